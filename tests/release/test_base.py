"""The release that the fork is based on stands in pyproject.toml; what must repeat it says the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from patches import read_fork_version
from tests.release.test_wheel import UPSTREAM

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", ["README.md", "ROLLBACK.md", "deploy/Dockerfile", "deploy/kubernetes.yaml"])
def test_every_image_tag_is_of_the_base(name: str) -> None:
    tags = re.findall(r"(?:litellm[\w-]*):v(\d+\.\d+\.\d+)", (ROOT / name).read_text())
    assert tags and set(tags) == {UPSTREAM}


def test_the_readme_names_the_base() -> None:
    assert f"The base is {UPSTREAM};" in (ROOT / "README.md").read_text()


def test_the_pinned_requirements_are_of_the_base() -> None:
    assert f"litellm[proxy]=={UPSTREAM}" in (ROOT / "requirements" / f"{UPSTREAM}.in").read_text()


def test_the_forks_version_stands_in_one_place() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    (pattern,) = re.findall(r"^pattern = '(.*)'$", text, re.MULTILINE)
    (path,) = re.findall(r'^path = "(.*)"$', text, re.MULTILINE)
    found = re.search(pattern, (ROOT / path).read_text())
    assert found and found["version"] == read_fork_version()
    assert "\nversion = " not in text
