"""The command line as another user than the one who owns part of the tree: real users, real bytecode, real imports."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from patches import read_own_files
from tests.patches.trees import (
    BRIDGE_FOLDER,
    HANDLER,
    RECORD,
    RESPONSE_CACHE,
    RUNTIME,
    make_tree,
    record_hash,
    snapshot,
    take_for_tried,
    wrong_hashes,
)

REPOSITORY = Path(__file__).resolve().parents[2]
NOBODY = 65534
AS_NOBODY = ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"]
CACHE = f"{BRIDGE_FOLDER}/__pycache__"

# What an import would run, told by names in it.
IS_PATCHED = """
import importlib.machinery, sys, types
def names(code):
    yield from (*code.co_names, *(each for each in code.co_consts if isinstance(each, str)))
    for each in code.co_consts:
        if isinstance(each, types.CodeType):
            yield from names(each)
        elif isinstance(each, tuple):
            yield from map(str, each)
code = importlib.machinery.SourceFileLoader("module", sys.argv[1]).get_code("module")
print(any("_patch_" in name for name in names(code)))
"""


def python() -> str:
    """One that nobody may run: that of the tests may be in root's home."""
    for each in (sys.executable, shutil.which("python3", path="/usr/local/bin:/usr/bin:/bin")):
        script = "import ast, csv, json, sys; sys.exit(sys.version_info < (3, 10))"
        if each and not subprocess.run([*AS_NOBODY, each, "-c", script], cwd="/", capture_output=True).returncode:
            return each
    pytest.skip("the user nobody cannot run a Python of 3.10 or newer here")


@dataclass(frozen=True)
class Place:
    """A copy of the tool, and a tree that nobody owns."""

    tool: Path
    root: Path
    python: str

    def run(self, command: str, *arguments: str, by: int = NOBODY) -> subprocess.CompletedProcess[str]:
        words = [self.python, "-B", "-m", "patches", command, "--target", str(self.root), *arguments]
        return self._run(words, by)

    def compile(self, path: str, mode: str = "timestamp") -> None:
        """By root: into a `__pycache__` that is root's where there was none."""
        self._run([self.python, "-m", "compileall", "-qf", "--invalidation-mode", mode, str(self.root / path)], by=0)

    def is_patched(self, path: str, by: int) -> bool:
        return self._run([self.python, "-B", "-c", IS_PATCHED, str(self.root / path)], by).stdout == "True\n"

    def _run(self, words: list[str], by: int) -> subprocess.CompletedProcess[str]:
        prefix = AS_NOBODY if by else []
        return subprocess.run([*prefix, *words], cwd=self.tool, capture_output=True, text=True, timeout=120)


@pytest.fixture
def place() -> Iterator[Place]:
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("only root, with setpriv, can act as several users")
    folder = Path(tempfile.mkdtemp(prefix="other-owners-"))
    try:
        folder.chmod(0o755)
        shutil.copytree(REPOSITORY / "patches", folder / "tool" / "patches", ignore=shutil.ignore_patterns("*.pyc"))
        take_for_tried(folder / "tool" / "patches")
        for path, data in read_own_files().items():
            (folder / "tool" / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / "tool" / path).write_bytes(data)
        make_tree(folder / "tree")
        give(folder / "tree", NOBODY)
        yield Place(folder / "tool", folder / "tree", python())
    finally:
        subprocess.run(["chattr", "-R", "-i", str(folder)], capture_output=True, check=False)
        shutil.rmtree(folder)


def give(path: Path, user: int) -> None:
    for each in (path, *path.rglob("*")):
        os.chown(each, user, user)


def files(root: Path) -> dict[str, tuple[bytes, int]]:
    return {path: each for path, each in snapshot(root).items() if "__pycache__" not in path}


def check_only_folders_are_left(place: Place, before: dict[str, tuple[bytes, int]]) -> None:
    """Of the fork's own, those around the bytecode."""
    left = files(place.root)
    folders = [path for path in left if path.startswith(RUNTIME)]
    assert folders and all((place.root / path).is_dir() for path in folders)
    assert {path: each for path, each in left.items() if path not in folders} == before


def follow_the_hint(error: str) -> None:
    """What root types when told so."""
    (hint,) = (line for line in error.splitlines() if line.startswith("next:  run the command as the owner of "))
    subprocess.run(shlex.split(hint.partition("; or: sudo ")[2]), check=True)


def refused(place: Place, *commands: str, said: str) -> str:
    """All of them say the same, with 1, and write nothing; `check` says it, too, with 0. Returns the error."""
    before = snapshot(place.root)
    if "apply" in commands:
        done = place.run("check")
        assert (done.returncode, done.stderr) == (0, "")
        (note,) = (line for line in done.stdout.splitlines() if "apply by this user would be refused: " in line)
        assert said in note
        assert snapshot(place.root) == before
    for command in commands:
        done = place.run(command)
        assert (done.returncode, said in done.stderr.splitlines()[0]) == (1, True), done
        assert "; the tree is as it was" in done.stderr.splitlines()[0]
        assert snapshot(place.root) == before
    return done.stderr


def test_bytecode_of_root_in_everybodys_way_stops_neither_apply_nor_revert(place: Place) -> None:
    before = files(place.root)
    for path in (BRIDGE_FOLDER, RESPONSE_CACHE):
        place.compile(path)
    assert place.run("check").returncode == 0
    applied = place.run("apply")
    assert (applied.returncode, applied.stderr) == (0, "")
    assert f"note      {CACHE} keeps stale bytecode that this user cannot remove; Python does not" in applied.stdout
    assert all(place.is_patched(HANDLER, by=user) for user in (0, NOBODY))

    for path in (BRIDGE_FOLDER, RESPONSE_CACHE):
        place.compile(path)
    assert place.is_patched(HANDLER, by=0)
    reverted = place.run("revert")
    assert (reverted.returncode, reverted.stderr) == (0, "")
    assert f"note      {RUNTIME}/__pycache__ keeps stale bytecode" in reverted.stdout
    for user in (NOBODY, 0):
        assert not any(place.is_patched(path, by=user) for path in (HANDLER, RESPONSE_CACHE))
        script = "import litellm.caching.caching_handler as it; print(it.LLMCachingHandler.__module__)"
        done = place._run([place.python, "-c", f"import sys; sys.path.insert(0, {str(place.root)!r}); {script}"], user)
        assert (done.stdout, done.stderr) == ("litellm.caching.caching_handler\n", "")
    check_only_folders_are_left(place, before)
    assert "state     pristine" in place.run("status", "--expect", "pristine").stdout
    again = place.run("revert")
    assert (again.returncode, "nothing to do: it is pristine" in again.stdout) == (0, True)


@pytest.mark.parametrize("state", ["pristine", "patched"])
def test_bytecode_that_python_would_go_on_using_is_refused_with_the_command_that_helps(
    place: Place, state: str
) -> None:
    before = files(place.root)
    if state == "patched":
        assert place.run("apply").returncode == 0
    place.compile(HANDLER, "unchecked-hash")
    commands = ("apply",) if state == "pristine" else ("revert",)
    error = refused(place, *commands, said="handler.cpython-")
    assert "cannot be removed, and Python may go on using it" in error
    follow_the_hint(error)
    assert place.run(commands[-1]).returncode == 0
    assert all(place.is_patched(HANDLER, by=user) == (state == "pristine") for user in (NOBODY, 0))
    assert state == "pristine" or files(place.root) == before


def test_a_hash_that_python_checks_is_harmless(place: Place) -> None:
    place.compile(HANDLER, "checked-hash")
    assert place.run("apply").returncode == 0
    assert place.is_patched(HANDLER, by=0)


def test_a_new_source_never_has_the_time_of_bytecode_that_stays(place: Place) -> None:
    """A clock that goes backwards, or two versions within one second: here all seconds around are taken."""
    assert place.run("apply").returncode == 0
    (place.root / CACHE).mkdir()
    size = len((place.root / HANDLER).read_bytes())
    stale = {}
    for number in range(-3, 60):
        seconds = int((place.root / HANDLER).stat().st_mtime) + number
        stale[seconds] = place.root / CACHE / f"handler.other-{number}.pyc"
        stale[seconds].write_bytes(b"MAGC" + bytes(4) + seconds.to_bytes(4, "little") + size.to_bytes(4, "little"))
    assert place.run("revert").returncode == 0
    assert all(path.exists() for path in stale.values())
    assert int((place.root / HANDLER).stat().st_mtime) not in stale


@pytest.mark.parametrize("mode", [0o700, 0o711, 0o744])
def test_a_folder_of_bytecode_that_cannot_be_read_is_refused_where_it_may_matter(place: Place, mode: int) -> None:
    place.compile(HANDLER)
    (place.root / CACHE).chmod(mode)
    error = refused(place, "apply", said=f"{place.root / CACHE}")
    follow_the_hint(error)
    assert place.run("apply").returncode == 0


def test_one_in_the_forks_own_folder_is_only_noted(place: Place) -> None:
    before = files(place.root)
    assert place.run("apply").returncode == 0
    place.compile(RUNTIME, "unchecked-hash")
    (place.root / RUNTIME / "__pycache__").chmod(0o700)
    done = place.run("revert")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"note      {RUNTIME}/__pycache__ keeps stale bytecode" in done.stdout
    check_only_folders_are_left(place, before)
    assert place.run("status", "--expect", "pristine").returncode == 0


def test_a_legacy_file_beside_its_source_is_not_imported(place: Place) -> None:
    assert place.run("apply").returncode == 0
    place._run([place.python, "-m", "compileall", "-qb", str(place.root / RESPONSE_CACHE)], by=0)
    assert (place.root / RESPONSE_CACHE).with_suffix(".pyc").exists()
    assert place.run("revert").returncode == 0
    for user in (NOBODY, 0):
        script = "import litellm.caching.caching_handler as it; print(it.__file__, it.LLMCachingHandler.__name__)"
        done = place._run([place.python, "-c", f"import sys; sys.path.insert(0, {str(place.root)!r}); {script}"], user)
        assert (done.stdout, done.stderr) == (f"{place.root / RESPONSE_CACHE} LLMCachingHandler\n", "")


def test_a_source_of_root_in_a_folder_of_ones_own_is_replaced(place: Place) -> None:
    before = files(place.root)
    os.chown(place.root / HANDLER, 0, 0)
    for command in ("check", "apply", "revert"):
        assert place.run(command).returncode == 0
    assert files(place.root) == before


def test_what_cannot_be_read_is_named_with_the_command_that_helps(place: Place) -> None:
    os.chown(place.root / HANDLER, 0, 0)
    (place.root / HANDLER).chmod(0o600)
    done = place.run("check")
    assert (done.returncode, f"{place.root / HANDLER}: cannot be read" in done.stderr) == (1, True)
    follow_the_hint(done.stderr)
    assert place.run("check").returncode == 0


def test_a_sticky_folder_of_somebody_elses_is_refused(place: Place) -> None:
    assert place.run("apply").returncode == 0
    folder = place.root / BRIDGE_FOLDER
    os.chown(folder, 0, 0)
    folder.chmod(0o1777)
    os.chown(place.root / HANDLER, 0, 0)
    error = refused(place, "revert", said=f"{place.root / HANDLER}: cannot be written (somebody else's, in a sticky")
    follow_the_hint(error)
    assert place.run("revert").returncode == 0
    assert wrong_hashes(place.root) == []


@pytest.mark.parametrize("by", [0, NOBODY])
def test_an_immutable_file_is_refused_and_immutable_bytecode_is_not_in_the_way(place: Place, by: int) -> None:
    if by == 0:
        give(place.root, 0)
    place.compile(HANDLER)
    (compiled,) = (place.root / CACHE).iterdir()
    if subprocess.run(["chattr", "+i", compiled, place.root / HANDLER], capture_output=True).returncode:
        pytest.skip("this file system has no immutable files")
    sentence = f"{place.root / HANDLER}: cannot be written (immutable); the tree is as it was"
    for command, exit_code, head in (
        ("check", 0, "note      apply by this user would be refused"),
        ("apply", 1, "error"),
    ):
        done = place.run(command, by=by)
        assert (done.returncode, f"{head}: {sentence}" in (done.stdout + done.stderr).splitlines()) == (exit_code, True)
        assert f"lsattr -d {place.root / HANDLER}" in done.stdout + done.stderr
    subprocess.run(["chattr", "-i", place.root / HANDLER], check=True)
    assert place.run("apply", by=by).returncode == 0
    assert place.is_patched(HANDLER, by=0)
    assert place.run("revert", by=by).returncode == 0
    assert compiled.exists() and not place.is_patched(HANDLER, by=0)


def test_what_shows_only_when_it_is_tried_is_put_back(place: Place) -> None:
    """An append-only file: the system says that it may be written, and then does not rename anything over it."""
    assert place.run("apply").returncode == 0
    before = files(place.root)
    if subprocess.run(["chattr", "+a", place.root / HANDLER], capture_output=True).returncode:
        pytest.skip("this file system has no append-only files")
    try:
        done = place.run("revert")
        assert (done.returncode, "the tree is as it was" in done.stderr) == (1, True)
        assert f"{place.root / HANDLER}: cannot be written" in done.stderr
        assert files(place.root) == before
    finally:
        subprocess.run(["chattr", "-a", place.root / HANDLER], check=True)
    assert place.run("revert").returncode == 0
    assert record_hash((place.root / HANDLER).read_bytes()) in (place.root / RECORD).read_text()


def test_a_read_only_file_system_is_refused_for_root_too(place: Place) -> None:
    tree, command = shlex.quote(str(place.root)), f"{shlex.quote(place.python)} -B -m patches"
    mounted = f"mount --bind {tree} {tree} && mount -o remount,ro,bind {tree} || exit 77"
    before = snapshot(place.root)
    for each, exit_code in (("check", 0), ("apply", 1)):
        script = f"{mounted}; {command} {each} --target {tree}"
        done = subprocess.run(["unshare", "-m", "sh", "-c", script], cwd=place.tool, capture_output=True, text=True)
        if done.returncode == 77 or "unshare" in done.stderr:
            pytest.skip("nothing can be mounted here")
        said = done.stdout + done.stderr
        assert (done.returncode, "cannot be written (no permission, or a read-only" in said) == (exit_code, True)
        assert "findmnt -T" in said
    assert snapshot(place.root) == before
