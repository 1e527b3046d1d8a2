"""The target of a run: what installs it again, what is no file of it, and one run on it at a time."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from patches import PatchError, open_target
from patches.lock import locked
from patches.manifest import MANIFEST
from tests.patches.trees import HANDLER, NEWEST, RECORD, make_tree, snapshot, tool

REPOSITORY = Path(__file__).resolve().parents[2]


def installed(root: Path, installer: str | None) -> Path:
    make_tree(root)
    if installer is not None:
        (root / "litellm-1.106.2.dist-info/INSTALLER").write_text(installer)
    return root


def environment_of(folder: Path) -> Path:
    """Its packages' folder."""
    venv.create(folder, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    return packages


@pytest.mark.parametrize("installer", ["pip\n", "", None])
def test_what_pip_installed_pip_installs_again_for_the_same_python(tmp_path: Path, installer: str | None) -> None:
    root = installed(environment_of(tmp_path / "an env"), installer)
    again = f"'{tmp_path / 'an env'}/bin/python' -m pip install --force-reinstall --no-deps litellm==1.106.2"
    assert open_target(root).reinstall == again


def test_what_uv_installed_uv_installs_again(tmp_path: Path) -> None:
    root = installed(environment_of(tmp_path / "env"), "uv")
    again = f"uv pip install --python {tmp_path}/env/bin/python --reinstall --no-deps litellm==1.106.2"
    assert open_target(root).reinstall == again


def test_another_installer_is_named(tmp_path: Path) -> None:
    root = installed(environment_of(tmp_path / "env"), "poetry 2.1.1")
    again = f"install litellm==1.106.2 again with poetry (--python {tmp_path}/env/bin/python)"
    assert open_target(root).reinstall == again


def test_a_python_of_the_system_is_the_one_of_that_version(tmp_path: Path) -> None:
    packages = tmp_path / "usr/lib/python3.12/dist-packages"
    (tmp_path / "usr/bin").mkdir(parents=True)
    for name in ("python", "python3.12"):
        (tmp_path / "usr/bin" / name).touch()
    again = open_target(installed(packages, "pip")).reinstall
    assert again.startswith(f"{tmp_path}/usr/bin/python3.12 -m pip ")


def test_a_folder_of_no_python_is_installed_into_again(tmp_path: Path) -> None:
    for installer, start in (("pip", "python -m pip install "), ("uv", "uv pip install ")):
        root = installed(tmp_path / installer, installer)
        assert open_target(root).reinstall.startswith(f"{start}--target {root} ")


def test_the_running_python_is_known_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = installed(tmp_path / "lib", "pip")
    monkeypatch.syspath_prepend(root)
    assert open_target(root).reinstall.startswith(f"{sys.executable} -m pip ")


def test_two_dist_infos_say_how_to_install_again(tmp_path: Path) -> None:
    root = installed(tmp_path, "uv")
    (root / "litellm-1.85.7.dist-info").mkdir()
    (root / "litellm-1.85.7.dist-info/INSTALLER").write_text("uv")
    with pytest.raises(PatchError, match="found 2") as caught:
        open_target(root)
    assert caught.value.next_step == f"uv pip install --target {root} --reinstall --no-deps litellm"


PIPES = (
    "litellm/main.py",
    HANDLER,
    RECORD,
    MANIFEST,
    f"{Path(HANDLER).parent}/__pycache__/handler.cpython-311.pyc",
    "pyproject.toml",
)


@pytest.mark.parametrize("command", ["status", "check", "apply", "revert"])
@pytest.mark.parametrize("path", PIPES)
def test_a_pipe_in_a_file_s_place_is_named_or_passed_over_and_nobody_waits(
    tmp_path: Path, path: str, command: str
) -> None:
    make_tree(tmp_path, NEWEST)
    (tmp_path / path).unlink(missing_ok=True)
    if path == "pyproject.toml":  # which is read where no installer left its folder
        shutil.rmtree((tmp_path / RECORD).parent)
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(tmp_path / path)
    words = [sys.executable, "-m", "patches", command, "--target", str(tmp_path)]
    done = subprocess.run(words, cwd=tool(), capture_output=True, text=True, timeout=60)
    said = f"error: {tmp_path / path}: cannot be read (not a regular file)" if path in PIPES[:4] else ""
    assert (done.returncode, done.stderr.partition("\nnext:")[0]) == (1 if said else 0, said)


def test_a_file_system_that_locks_only_what_is_open_for_writing_is_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As NFS does, which has flock by locks on ranges of a file."""
    flock = fcntl.flock

    def as_nfs_does(descriptor: int, operation: int) -> None:
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, "Bad file descriptor")
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", as_nfs_does)
    target = make_tree(tmp_path)
    before = snapshot(tmp_path)
    with locked(target), pytest.raises(PatchError, match="another run of this tool"), locked(target, 0.0):
        pass
    with locked(target, 0.0):
        assert snapshot(tmp_path) == before


def test_environments_that_share_files_by_hard_links_do_not_wait_for_each_other(tmp_path: Path) -> None:
    """As uv makes them, from its cache."""
    one = make_tree(tmp_path / "one")
    shutil.copytree(one.root, tmp_path / "two", copy_function=os.link)
    with locked(one), locked(open_target(tmp_path / "two"), 0.0):
        assert (tmp_path / "two/litellm/__init__.py").stat().st_nlink == 2


LOCK_TWICE = """
import os, sys
from pathlib import Path
from patches import open_target, lock
real = os.open
def read_only(path, flags, *rest):
    if flags & os.O_ACCMODE != os.O_RDONLY:
        raise PermissionError(13, "denied", str(path))
    return real(path, flags, *rest)
os.open, os.access = read_only, lambda *_: False
target = open_target(Path(sys.argv[1]))
with lock.locked(target), lock.locked(target, float(sys.argv[2])):
    pass
"""


@pytest.mark.parametrize("seconds", ["0", "nan", "-1"])
def test_a_lock_needs_no_right_to_write_and_any_time_to_wait_ends(tmp_path: Path, seconds: str) -> None:
    target = make_tree(tmp_path)
    command = [sys.executable, "-c", LOCK_TWICE, str(target.root), seconds]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60)
    assert "another run of this tool is at work" in done.stderr
