"""The releases of LiteLLM and the fork's version, from their one place."""

from __future__ import annotations

import re

from lab.trees import ROOT
from patches import read_fork_version


def _first(pattern: str, file: str) -> str:
    found = re.search(pattern, (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
    assert found, f"{file} names none"
    return found[1]


UPSTREAM = _first(r'^upstream = "([^"]+)"', "pyproject.toml")
FORK = read_fork_version()
ALSO_TESTED = _first(r'^also-tested = \["([^"]+)"', "pyproject.toml")
