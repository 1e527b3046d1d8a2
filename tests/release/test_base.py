"""The release that the fork is based on stands in pyproject.toml; what must repeat it says the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import tomllib

from tests.deploy.versions import UPSTREAM

ROOT = Path(__file__).resolve().parents[2]


DEPLOYED = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "deploy").rglob("*")
    if path.is_file()
    and "monitoring" not in path.parts
    and re.search(r"\d\.\d{2,3}\.\d", path.read_text(errors="replace"))
)


@pytest.mark.parametrize("name", ["README.md", "ROLLBACK.md"])
def test_every_image_tag_is_of_the_base(name: str) -> None:
    tags = re.findall(r"(?:litellm[\w-]*:v?|LITELLM_RELEASE=)(\d+\.\d+\.\d+)", (ROOT / name).read_text())
    assert tags and set(tags) == {UPSTREAM}


@pytest.mark.parametrize("name", DEPLOYED)
def test_what_is_deployed_is_the_base(name: str) -> None:
    releases = re.findall(r"(?<![\d.])v?(1\.\d{2,3}\.\d+)", (ROOT / name).read_text())
    assert set(releases) <= {UPSTREAM}


def test_there_is_something_deployed_to_check() -> None:
    assert len(DEPLOYED) > 5


def test_the_readme_names_the_base() -> None:
    assert f"The base is {UPSTREAM};" in (ROOT / "README.md").read_text()


def test_the_pinned_requirements_are_of_the_base() -> None:
    assert f"litellm[proxy]=={UPSTREAM}" in (ROOT / "requirements" / f"{UPSTREAM}.in").read_text()


def test_the_forks_version_is_read_in_one_place() -> None:
    sources = [ROOT / "Makefile", *ROOT.glob("deploy/*"), *ROOT.glob("[a-z]*/**/*.py")]
    texts = {path.relative_to(ROOT).as_posix(): path.read_text(errors="replace") for path in sources if path.is_file()}
    del texts["tests/release/test_base.py"]
    assert [path for path, text in texts.items() if "^FORK_VERSION" in text] == ["patches/own.py"]


def test_nothing_offers_to_install_this_folder_as_a_package() -> None:
    """It would be a tool without the fork's own files."""
    assert set(tomllib.loads((ROOT / "pyproject.toml").read_text())) == {"tool"}
    assert not [name for name in ("setup.py", "setup.cfg") if (ROOT / name).exists()]
