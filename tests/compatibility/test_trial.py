"""The trial of one wheel, and that it sees what it is there to see."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from compatibility import registry, trial
from compatibility.registry import RegistryFailed, fetch_wheel, last_error, sha256_of
from compatibility.tool import Functions, ToolRefused
from compatibility.trial import DAMAGED, EXACT, UNFIT, try_release
from lab.trees import installed_release, link_tree, tree
from patches import read_own_files
from tests.patches.trees import HANDLER, OWN, SOURCES, make_tree, record_hash


def wheel_of(root: Path, version: str, folder: Path) -> Path:
    """A wheel out of an unpacked tree: its Python files and its metadata, with a RECORD of just
    these."""
    info = f"litellm-{version}.dist-info"
    names = [f"{info}/METADATA", *(path.relative_to(root).as_posix() for path in (root / "litellm").rglob("*.py"))]
    texts = {name: (root / name).read_bytes() for name in names}
    lines = [f"{name},{record_hash(data)},{len(data)}\n" for name, data in texts.items()]
    wheel = folder / f"litellm-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, data in texts.items():
            archive.writestr(name, data)
        archive.writestr(f"{info}/RECORD", "".join([*lines, f"{info}/RECORD,,\n"]))
    return wheel


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    make_tree(tmp_path / "tree")
    return wheel_of(tmp_path / "tree", "1.106.2", tmp_path)


def test_the_installed_release_goes_the_whole_way(tmp_path: Path) -> None:
    release = installed_release()
    link_tree(tree("pristine"), release, tmp_path / "linked")
    done = try_release(wheel_of(tmp_path / "linked", release, tmp_path), release, "API", read_own_files())
    assert (done.state, done.problem) == (EXACT, "")
    assert done.edits >= 6
    assert done.files > 1_000
    assert HANDLER in done.edited
    assert list(done.seconds) == ["unpack", "check", "apply", "compile", "apply again", "revert", "prove"]


def test_a_release_that_does_not_fit_says_which_anchor_and_what_stands_there(tmp_path: Path) -> None:
    changed = SOURCES[HANDLER].replace("async def async_response_api_handler", "async def respond")
    make_tree(tmp_path / "tree", {HANDLER: changed})
    done = try_release(wheel_of(tmp_path / "tree", "1.106.2", tmp_path), "1.106.2", "API", OWN)
    assert done.state == UNFIT
    assert done.problem.startswith(f"{HANDLER}: ")
    assert "expected one definition of async_response_api_handler, under no condition; found 0" in done.problem


def test_the_command_line_is_tried_as_well(wheel: Path) -> None:
    done = try_release(wheel, "1.106.2", "command", {})
    assert (done.state, done.problem) == (EXACT, "")
    assert any("redis_session_patch" in path for path in done.added)


def touch(path: Path) -> None:
    os.utime(path, ns=(1, 1))


def append(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\n")


@pytest.mark.parametrize(
    ("step", "harm", "message"),
    [
        ("check", touch, "check wrote litellm/responses"),
        ("apply", append, "after apply RECORD is wrong about litellm/responses"),
        ("apply", lambda path: path.write_text("x ="), "does not compile after apply"),
        ("apply again", touch, "the second apply wrote litellm/responses"),
        ("revert", append, "after the revert these files are not the wheel's: litellm/responses"),
        ("revert", Path.unlink, "too many or missing: litellm/responses"),
        ("revert", lambda path: path.chmod(0o600), "another mode: litellm/responses"),
        ("revert", lambda path: (path.parent / "left").mkdir(), "these folders are too many or missing"),
    ],
)
def test_harm_done_at_any_step_is_seen(
    step: str, harm: Callable[[Path], object], message: str, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Harmful(Functions):
        applied = 0

        def check(self) -> None:
            super().check()
            self.harm_after("check")

        def apply(self) -> bool:
            wrote = super().apply()
            self.harm_after("apply again" if self.applied else "apply")
            self.applied += 1
            return wrote

        def revert(self) -> None:
            super().revert()
            self.harm_after("revert")

        def harm_after(self, done: str) -> None:
            if done == step:
                harm(self._root / HANDLER)

    monkeypatch.setattr(trial, "open_tool", lambda through, root, own: Harmful(root, own))
    done = try_release(wheel, "1.106.2", "API", OWN)
    assert done.state == DAMAGED
    assert message in done.problem


def test_a_refusal_that_left_something_written_is_no_mere_misfit(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class HalfWay(Functions):
        def apply(self) -> bool:
            append(self._root / HANDLER)
            raise ToolRefused("it does not fit")

    monkeypatch.setattr(trial, "open_tool", lambda through, root, own: HalfWay(root, own))
    done = try_release(wheel, "1.106.2", "API", OWN)
    assert (done.state, done.problem) == (DAMAGED, f"it does not fit; and it wrote {HANDLER}")


def test_a_crash_of_the_tool_is_a_row_and_not_the_end_of_the_run(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Crashing(Functions):
        def check(self) -> None:
            raise RuntimeError("boom")

    monkeypatch.setattr(trial, "open_tool", lambda through, root, own: Crashing(root, own))
    assert try_release(wheel, "1.106.2", "API", OWN).problem == "crashed with RuntimeError: boom"


def test_a_cached_wheel_with_another_hash_is_fetched_again(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / wheel.name).write_bytes(b"cut off")
    monkeypatch.setattr(registry, "hashes_of", lambda version: frozenset({sha256_of(wheel)}))
    commands = []

    def run(command: list[str], text: str | None = None) -> str:
        commands.append(command)
        (Path(command[-1]) / wheel.name).write_bytes(wheel.read_bytes())
        return ""

    monkeypatch.setattr(registry, "_run", run)
    assert not fetch_wheel("1.106.2", cache).is_cached
    assert "--require-hashes" in commands[0]
    assert fetch_wheel("1.106.2", cache).is_cached
    assert len(commands) == 1


def test_a_wheel_with_another_hash_than_the_index_says_is_refused(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "hashes_of", lambda version: frozenset({"0" * 64}))
    monkeypatch.setattr(
        registry, "_run", lambda command, text=None: (Path(command[-1]) / wheel.name).write_bytes(wheel.read_bytes())
    )
    with pytest.raises(RegistryFailed, match="none of those that the index lists"):
        fetch_wheel("1.106.2", tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_release_without_a_wheel_is_built_from_its_source_archive(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "hashes_of", lambda version: frozenset({"0" * 64}))
    verbs = []

    def run(command: list[str], text: str | None = None) -> str:
        verbs.append(command[4])
        if command[4] == "download":
            raise RegistryFailed("`pip download` failed: ERROR: No matching distribution found for litellm==1.106.2")
        (Path(command[-1]) / wheel.name).write_bytes(wheel.read_bytes())
        return ""

    monkeypatch.setattr(registry, "_run", run)
    got = fetch_wheel("1.106.2", tmp_path / "cache")
    assert got.is_built
    assert got.sha256 == sha256_of(wheel)
    assert verbs == ["download", "wheel"]


def test_an_installers_complaint_is_one_line_without_addresses() -> None:
    text = "Looking in indexes: https://a.example/simple\nERROR: No matching distribution found for x==1\n\n"
    assert last_error(text) == "ERROR: No matching distribution found for x==1"
    assert "example" not in last_error("error: https://a.example/x failed")
