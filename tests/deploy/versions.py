"""The releases of LiteLLM and the fork's version, from their one place."""

from __future__ import annotations

import re

from lab.trees import ROOT

VERSION_FILE = "litellm/responses/litellm_completion_transformation/redis_session_patch/version.py"


def _first(pattern: str, file: str) -> str:
    found = re.search(pattern, (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
    assert found, f"{file} names none"
    return found[1]


UPSTREAM = _first(r'^upstream = "([^"]+)"', "pyproject.toml")
FORK = _first(r'^FORK_VERSION = "([^"]+)"', VERSION_FILE)
ALSO_TESTED = _first(r'^also-tested = \["([^"]+)"', "pyproject.toml")
