"""Runs that fail or die at every single step, and what the next command makes of the rest."""

from __future__ import annotations

import ast
import errno
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from patches import PatchError, Target, apply_patches, revert_patches
from patches.disk import Disk
from tests.patches.trees import OWN, RUNTIME, make_tree, snapshot, survey, wrong_hashes

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


@pytest.mark.parametrize("command", [apply_patches, revert_patches])
def test_a_step_that_fails_leaves_the_tree_as_it_was_or_says_half_way(
    tmp_path: Path, command: Callable[..., object]
) -> None:
    start = "pristine" if command is apply_patches else "patched"
    steps = count_steps(make_start(tmp_path / "probe", start, True), command)

    def fail() -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "somewhere")

    sentences = set()
    for number in range(1, steps + 1):
        root = tmp_path / "tree"
        target = make_start(root, start, True)
        before = snapshot(root)
        with pytest.raises(PatchError) as caught:
            command(target, OWN, FaultyDisk(number, fail))
        if "as it was" in caught.value.sentence:
            assert "No space left on device" in caught.value.sentence
            assert caught.value.next_step.startswith("make room")
            assert snapshot(root) == before
            sentences.add("as it was")
        else:
            assert "stopped half-way" in caught.value.sentence
            assert caught.value.exit_code == 4
            sentences.add("half-way")
        command(target, OWN)
        assert wrong_hashes(root) == []
        shutil.rmtree(root)
    assert sentences == {"as it was", "half-way"}


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
