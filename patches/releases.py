"""The order of LiteLLM's releases, and which of them are refused."""

from __future__ import annotations

import re

FIRST_SUPPORTED = "1.68.0"
WITHDRAWN = frozenset({"1.82.7", "1.82.8", "1.107.0"})


def version_number(version: str | None) -> tuple[int, ...]:
    """Sortable: (major, minor, patch, 0), with -1 at the end for a release candidate, dev or nightly build.

    A local part (`+…`) does not count. What is no version sorts behind all releases.
    """
    match = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?(.*)", version or "")
    if not match:
        return (10**6,)
    rest = match[4].partition("+")[0]
    is_early = bool(re.search(r"a|b|rc|dev|nightly", rest)) and "stable" not in rest
    return int(match[1]), int(match[2]), int(match[3] or 0), -1 if is_early else 0


def why_refused(version: str | None) -> str | None:
    """One sentence, or None when the version is no reason to refuse."""
    if version is None:
        return None
    if version.partition("+")[0] in WITHDRAWN:
        return f"LiteLLM {version} was withdrawn from the registry as compromised"
    if version_number(version) < version_number(FIRST_SUPPORTED):
        return f"LiteLLM {version} is older than {FIRST_SUPPORTED}, the first supported release"
    return None
