"""The watch on upstream's releases: what it finds, the exit code for it, and a report that says what to do."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from compatibility import watch
from compatibility.registry import RegistryFailed, Wheel
from compatibility.releases import sort_key
from compatibility.watch import FITS, FORGETS, REMEMBERS, TRIED, UNFIT, UNTRIED, Found, look, newest_tried, play, report
from lab.trees import installed_release, tree
from tests.patches.trees import HANDLER

NEW = "9.0.0"


@pytest.fixture
def newer(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """The files of a release 9.0.0, to be changed: this one's own."""
    files: dict[str, bytes] = {}

    def unpack(path: Path, root: Path) -> None:
        for source in (tree("pristine") / "litellm").rglob("*.py"):
            to = root / source.relative_to(tree("pristine"))
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_bytes(files.get(to.relative_to(root).as_posix(), source.read_bytes()))
        (root / f"litellm-{NEW}.dist-info").mkdir()

    monkeypatch.setattr(watch, "unpack", unpack)
    wheel = Wheel(NEW, Path("none"), hashlib.sha256().hexdigest(), 0.0)
    monkeypatch.setattr(watch, "fetch_wheel", lambda release: wheel)
    return files


def handler() -> bytes:
    return (tree("pristine") / HANDLER).read_bytes()


def test_the_newest_tried_release_is_one_that_was_played() -> None:
    assert sort_key(newest_tried()) >= sort_key("1.110.2")


@pytest.mark.parametrize("available", [["1.0.0", "1.106.2"], ["1.106.2", "1.107.0", "9.0.0rc1"]])
def test_nothing_is_to_be_done_where_no_final_release_is_newer(available: list[str]) -> None:
    found = look(available, "1.106.2")
    assert (found, found.code) == (Found("1.106.2", "1.106.2"), TRIED)
    assert "There is nothing to do." in report(found, found.code)


def test_a_newer_release_with_the_same_functions_fits(newer: dict[str, bytes]) -> None:
    if sort_key(installed_release()) < sort_key("1.109.0"):  # has not what a release after 1.109 must have
        found = look([NEW], "1.106.2")
        assert found.code == UNFIT and any("get_stored_turns" in sentence for sentence in found.misfits)
    else:
        assert look([NEW], "1.106.2").code == FITS


def test_a_registry_without_a_release_is_an_error_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> tuple[str, ...]:
        raise RegistryFailed("no registry here")

    monkeypatch.setattr(watch, "list_versions", fail)
    assert watch.main([]) == 1
    assert capsys.readouterr().err == "error: no registry here\n"
    monkeypatch.setattr(watch, "list_versions", lambda: ("0.1.0",))
    assert watch.main([]) == 1


@pytest.mark.parametrize("plays, code", [(0, REMEMBERS), (1, FORGETS)])
@pytest.mark.parametrize("untried", [(), ("a.py: f",)])
def test_a_release_that_fits_is_played(plays: int, code: int, untried: tuple[str, ...]) -> None:
    asked = []
    found = Found(NEW, "1.106.2", untried=untried)
    assert play(found, lambda arguments: asked.append(arguments) or plays) == code
    assert asked == [["--releases", NEW]]


@pytest.mark.parametrize("found", [Found("1.2.3", "1.2.3"), Found(NEW, "1.2.3", misfits=("a.py: no",))])
def test_nothing_else_is_played(found: Found) -> None:
    assert play(found, lambda arguments: 1 / 0) == found.code


@pytest.mark.parametrize(
    "found, code, said",
    [
        (Found(NEW, "1.2.3"), FITS, "make matrix-live RELEASES=9.0.0"),
        (Found(NEW, "1.2.3", untried=("a.py: f",)), UNTRIED, "- differs from every tried release: a.py: f"),
        (Found(NEW, "1.2.3", misfits=("a.py: no f",)), UNFIT, "- does not fit: a.py: no f"),
    ],
)
def test_the_report_says_what_to_do(found: Found, code: int, said: str, tmp_path: Path) -> None:
    assert found.code == code
    text = report(found, code)
    assert text.startswith(f"# LiteLLM {NEW}\n") and said in text and "{" not in text


def test_the_report_goes_into_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(watch, "list_versions", lambda: (watch.newest_tried(),))
    assert watch.main(["--report", str(tmp_path / "report.md")]) == TRIED
    assert (tmp_path / "report.md").read_text().startswith("# LiteLLM ")
