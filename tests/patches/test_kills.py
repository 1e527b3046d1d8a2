"""Runs that fail or die at every single step, and what the next command makes of the rest."""

from __future__ import annotations

import ast
import errno
import os
import py_compile
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from pathlib import Path
from py_compile import PycInvalidationMode

import pytest

from patches import PatchError, Target, apply_patches, revert_patches
from patches.disk import Disk
from tests.patches.trees import OWN, RUNTIME, make_tree, snapshot, survey

OLDER = {f"{RUNTIME}/bridge.py": b"old = 1\n", f"{RUNTIME}/breaker.py": b"gone = 1\n"}
REPOSITORY = Path(__file__).resolve().parents[2]


class FaultyDisk(Disk):
    """Calls `fail` instead of the step of this number; counts the steps."""

    def __init__(self, number: int, fail: Callable[[], None]) -> None:
        self.left = number
        self._fail = fail

    def __getattribute__(self, name: str) -> object:
        value = super().__getattribute__(name)
        if name.startswith("_") or not callable(value):
            return value

        def step(*arguments: object) -> object:
            self.left -= 1
            if self.left == 0:
                self._fail()
            return value(*arguments)

        return step


def count_steps(target: Target, command: Callable[..., object]) -> int:
    disk = FaultyDisk(0, lambda: None)
    command(target, OWN, disk)
    return -disk.left


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def run_and_kill(target: Target, command: Callable[..., object], number: int) -> None:
    child = os.fork()
    if child == 0:
        try:
            command(target, OWN, FaultyDisk(number, die))
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)


def make_start(root: Path, start: str, with_record: bool) -> Target:
    target = make_tree(root, with_record=with_record)
    if start != "pristine":
        apply_patches(target, OWN if start == "patched" else OLDER, fork="0.1.9" if start == "older" else None)
    return target


@pytest.mark.parametrize(
    ("start", "command", "with_record"),
    [
        ("pristine", apply_patches, True),
        ("pristine", apply_patches, False),
        ("patched", revert_patches, True),
        ("patched", revert_patches, False),
        ("older", apply_patches, True),
        ("older", apply_patches, False),
        ("older", revert_patches, True),
        ("older", revert_patches, False),
    ],
)
def test_a_run_killed_at_any_step_is_recognised_and_mended(
    tmp_path: Path, start: str, command: Callable[..., object], with_record: bool
) -> None:
    pristine_root, patched_root, probe = (
        tmp_path / "pristine",
        tmp_path / "patched",
        tmp_path / "probe",
    )
    make_tree(pristine_root, with_record=with_record)
    apply_patches(make_tree(patched_root, with_record=with_record), OWN)
    pristine, patched = snapshot(pristine_root), snapshot(patched_root)
    steps = count_steps(make_start(probe, start, with_record), command)
    assert steps > 10
    states = set()
    for number in range(1, steps + 1):
        for mend, wanted in ((apply_patches, patched), (revert_patches, pristine)):
            root = tmp_path / "tree"
            target = make_start(root, start, with_record)
            before = snapshot(root)
            run_and_kill(target, command, number)
            state = survey(target).state
            states.add(state)
            if snapshot(root) not in (before, pristine, patched):
                assert state == "half-applied", f"step {number}"
            for path in root.rglob("*.py"):
                ast.parse(path.read_bytes())
            mend(target, OWN)
            assert snapshot(root) == wanted, f"step {number}"
            shutil.rmtree(root)
    assert "half-applied" in states
    assert "edited" not in states


STARTS = [
    ("pristine", apply_patches),
    ("patched", revert_patches),
    ("older", apply_patches),
    ("older", revert_patches),
]


def sources(root: Path) -> dict[str, tuple[bytes, int]]:
    """Bytecode left out."""
    return {path: each for path, each in snapshot(root).items() if "__pycache__" not in path}


def files(found: dict[str, tuple[bytes, int]]) -> dict[str, tuple[bytes, int]]:
    """Folders left out."""
    return {path: each for path, each in found.items() if stat.S_ISREG(each[1])}


@pytest.mark.parametrize(("start", "command"), STARTS[1:3])
def test_a_step_that_fails_once_leaves_the_tree_as_it_was(
    tmp_path: Path, start: str, command: Callable[..., object]
) -> None:
    steps = count_steps(make_start(tmp_path / "probe", start, True), command)
    wanted = snapshot(tmp_path / "probe")

    def fail() -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/somewhere")

    outcomes = set()
    for number in range(1, steps + 1):
        root = tmp_path / "tree"
        target = make_start(root, start, True)
        before = snapshot(root)
        try:
            command(target, OWN, FaultyDisk(number, fail))
        except PatchError as error:
            assert "No space left on device); the tree is as it was" in error.sentence
            assert error.next_step.startswith("make room")
            assert snapshot(root) == before
            outcomes.add("as it was")
        else:
            outcomes.add("nothing that matters")
        command(target, OWN)
        assert snapshot(root) == wanted, f"step {number}"
        shutil.rmtree(root)
    assert outcomes == {"as it was", "nothing that matters"}


class ReadOnlyDisk(FaultyDisk):
    """From the step of this number on, all of them fail."""

    def __init__(self, number: int) -> None:
        super().__init__(number, self._refuse)

    def _refuse(self) -> None:
        self.left = 1
        raise OSError(errno.EROFS, "Read-only file system", "/somewhere")


@pytest.mark.parametrize(("start", "command"), STARTS[1:3])
def test_a_disk_that_turns_read_only_is_mended_by_both_commands_later(
    tmp_path: Path, start: str, command: Callable[..., object]
) -> None:
    steps = count_steps(make_start(tmp_path / "probe", start, True), command)
    ends = {apply_patches: tmp_path / "patched", revert_patches: tmp_path / "pristine"}
    apply_patches(make_tree(ends[apply_patches]), OWN)
    make_tree(ends[revert_patches])
    codes = set()
    for number in range(1, steps + 1):
        for mend, wanted in ends.items():
            root = tmp_path / "tree"
            target = make_start(root, start, True)
            before = sources(root)
            try:
                command(target, OWN, ReadOnlyDisk(number))
            except PatchError as error:
                codes.add(error.exit_code)
                if error.exit_code == 1:
                    left = {path: each for path, each in files(sources(root)).items() if not path.endswith(".tmp")}
                    assert left == files(before)
                else:
                    assert "stopped half-way (Read-only file system)" in error.sentence
                    assert error.next_step.startswith("once it can be written: python -m patches revert")
            mend(target, OWN)
            assert snapshot(root) == snapshot(wanted), f"step {number}"
            shutil.rmtree(root)
    assert codes == {1, 4}


class StubbornDisk(Disk):
    """Refuses one thing on one path, or all things in one folder, however often it is tried; `seen` are all things."""

    def __init__(self, refused: tuple[str, str] | None, root: Path) -> None:
        self._refused, self._root = refused, root
        self.seen: set[tuple[str, str]] = set()

    def __getattribute__(self, name: str) -> object:
        value = super().__getattribute__(name)
        if name.startswith("_") or not callable(value):
            return value

        def step(*arguments: object) -> object:
            path = Path(str(arguments[1 if name == "replace" else 0]))
            shown = path.with_name("*.tmp") if path.suffix == ".tmp" else path
            mine = {(name, str(shown.relative_to(self._root))), ("all in", str(path.parent.relative_to(self._root)))}
            self.seen |= mine
            if self._refused in mine:
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return value(*arguments)

        return step


def with_bytecode(target: Target) -> Target:
    """Of every other source Python would notice that its bytecode is stale."""
    for number, source in enumerate(sorted(target.root.rglob("*.py"))):
        mode = PycInvalidationMode.UNCHECKED_HASH if number % 2 else PycInvalidationMode.TIMESTAMP
        py_compile.compile(str(source), doraise=True, invalidation_mode=mode)
    return target


@pytest.mark.parametrize(("start", "command"), STARTS)
def test_what_is_refused_for_ever_leaves_the_tree_as_it_was_or_does_not_matter(
    tmp_path: Path, start: str, command: Callable[..., object]
) -> None:
    """With the same refusal still there, nothing is half done, and all of the bytecode that stays is seen as stale."""
    probe = with_bytecode(make_start(tmp_path / "probe", start, True))
    disk = StubbornDisk(None, probe.root)
    command(probe, OWN, disk)
    wanted = sources(probe.root)
    outcomes = set()
    for refused in sorted(disk.seen):
        root = tmp_path / "tree"
        target = with_bytecode(make_start(root, start, True))
        before = sources(root)
        try:
            command(target, OWN, StubbornDisk(refused, target.root))
        except PatchError as error:
            assert (error.exit_code, "the tree is as it was" in error.sentence) == (1, True), refused
            assert sources(root) == before, refused
            outcomes.add((refused[0], False))
        else:
            assert files(sources(root)) == files(wanted), refused
            outcomes.add((refused[0], True))
        for source in root.rglob("*.py"):
            used = SourceFileLoader("module", str(source)).get_code("module")
            assert used == compile(source.read_bytes(), str(source), "exec", dont_inherit=True), refused
        command(target, OWN)
        assert files(sources(root)) == files(wanted), refused
        shutil.rmtree(root)
    assert {("replace", False), ("all in", False), ("sync_folder", True)} <= outcomes
    assert {("remove", False), ("remove", True)} <= outcomes


def test_a_kill_from_outside_is_mended_by_the_command_line(tmp_path: Path) -> None:
    target = make_tree(tmp_path)
    before = snapshot(tmp_path)
    script = (
        "import os, signal, sys\n"
        "from patches import apply_patches, open_target\n"
        "from patches.disk import Disk\n"
        "from pathlib import Path\n"
        "class Dying(Disk):\n"
        "    def replace(self, temporary, path):\n"
        "        if path.name == 'handler.py':\n"
        "            os.kill(os.getpid(), signal.SIGKILL)\n"
        "        super().replace(temporary, path)\n"
        "apply_patches(open_target(Path(sys.argv[1])), disk=Dying())\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path)], cwd=REPOSITORY, capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    run = [sys.executable, "-m", "patches"]
    status = subprocess.run([*run, "status", "--target", str(tmp_path)], cwd=REPOSITORY, capture_output=True, text=True)
    assert "state     half-applied" in status.stdout
    reverted = subprocess.run(
        [*run, "revert", "--target", str(tmp_path)], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert (reverted.returncode, reverted.stderr) == (0, "")
    assert snapshot(tmp_path) == before
    assert target.root == tmp_path.resolve()
