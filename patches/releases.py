"""The order of LiteLLM's releases, and which of them are refused."""

from __future__ import annotations

import re

FIRST_SUPPORTED = "1.68.0"
WITHDRAWN = frozenset({"1.82.7", "1.82.8", "1.107.0"})

FINAL = 2
_STAGES = {"a": 0, "b": 0, "dev": 0, "nightly": 0, "rc": 1, "post": 3}


def version_number(version: str | None) -> tuple[int, ...]:
    """Sortable: (major, minor, patch, stage, the stage's number); dev < rc < final < post.

    A local part (`+…`) does not count. What is no version sorts behind all releases.
    """
    match = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?(?:[.-]?(a|b|dev|nightly|rc|post)\.?(\d*))?", version or "")
    if not match:
        return (10**6,)
    major, minor, patch, stage, number = match.groups()
    return int(major), int(minor), int(patch or 0), _STAGES.get(stage, FINAL), int(number or 0)


def why_refused(version: str | None) -> str | None:
    """One sentence, or None when the version is no reason to refuse."""
    if version is None:
        return None
    if version.partition("+")[0] in WITHDRAWN:
        return f"LiteLLM {version} was withdrawn from the registry as compromised"
    if version_number(version) < version_number(FIRST_SUPPORTED):
        return f"LiteLLM {version} is older than {FIRST_SUPPORTED}, the first supported release"
    return None
