"""The tool as one file: run from anywhere, on pristine wheels, proved by code that is not the tool's."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from compatibility.proof import stats_of, unlike_record, unpack, wheel_files, wheel_record
from compatibility.registry import fetch_wheel, list_versions
from compatibility.releases import live_default
from lab.redis_server import RedisServer
from lab.trees import installed_release, link_tree, tree
from patches import read_fork_version, read_own_files
from release.pyz import ROOT, pyz_bytes
from tests.deploy.versions import UPSTREAM

NEWEST = "newest"


@pytest.fixture(scope="module")
def pyz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pyz") / "tool.pyz"
    path.write_bytes(pyz_bytes())
    return path


def run(pyz: Path, folder: Path, *arguments: object, python: Path | None = None) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [str(python or sys.executable), str(pyz), *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True, timeout=300)


def told(pyz: Path, folder: Path, *arguments: object) -> dict:
    done = run(pyz, folder, *arguments, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_it_is_built_twice_with_the_same_bytes_whatever_lies_beside(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "patches", tmp_path / "patches")
    shutil.copytree(ROOT / "litellm", tmp_path / "litellm")
    (tmp_path / "patches" / "catalogue.py.orig").touch()
    folder = tmp_path / next(iter(read_own_files())).rpartition("/")[0]
    for name in ("bridge.py~", "dump.rdb", "bridge.orig.py"):
        (folder / name).touch()
    assert pyz_bytes(tmp_path) == pyz_bytes() == pyz_bytes()


def test_it_holds_the_tool_and_the_forks_own_files_alone(pyz: Path) -> None:
    with zipfile.ZipFile(pyz) as archive:
        names = {name for name in archive.namelist() if not name.startswith("patches/") and name[-1] != "/"}
    assert names == {"__main__.py", *read_own_files()}


@pytest.mark.parametrize("release", ["1.69.3", "1.85.7", UPSTREAM, NEWEST])
def test_it_patches_and_reverts_a_pristine_wheel(pyz: Path, tmp_path: Path, release: str) -> None:
    release = live_default(list_versions())[-1] if release == NEWEST else release
    wheel = fetch_wheel(release).path
    root = tmp_path / "tree"
    unpack(wheel, root)
    before = {path: stat.mode for path, stat in stats_of(root).items()}

    assert told(pyz, tmp_path, "check", "--target", root)["would_change"] is True
    assert told(pyz, tmp_path, "apply", "--target", root)["applied_fork"] == read_fork_version()
    assert told(pyz, tmp_path, "status", "--expect", "patched", "--target", root)["is_current"] is True
    (record,) = root.glob("litellm-*.dist-info/RECORD")
    assert unlike_record(root, record.read_bytes()) == ()

    assert told(pyz, tmp_path, "revert", "--target", root)["unproved"] == []
    name, original = wheel_record(wheel)
    assert (root / name).read_bytes() == original
    assert unlike_record(root, original) == ()
    assert {path for path in stats_of(root) if (root / path).is_file()} == wheel_files(wheel)
    assert {path: stat.mode for path, stat in stats_of(root).items()} == before


def test_without_a_target_it_takes_the_litellm_of_the_python_that_runs_it(pyz: Path, tmp_path: Path) -> None:
    import venv

    venv.create(tmp_path / "venv", symlinks=True)
    packages = next((tmp_path / "venv").glob("lib/python*/site-packages"))
    link_tree(tree("pristine"), installed_release(), packages)
    python = tmp_path / "venv/bin/python"
    (tmp_path / "litellm").mkdir()  # no package
    done = run(pyz, tmp_path, "apply", python=python)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"target    {packages.resolve()}, LiteLLM {installed_release()}" in done.stdout
    assert run(pyz, tmp_path, "status", "--expect", "patched", python=python).returncode == 0


def test_what_it_tells_people_to_type_is_its_own_name(pyz: Path, tmp_path: Path) -> None:
    (tmp_path / "litellm").mkdir()
    (tmp_path / "litellm/__init__.py").touch()
    done = run(pyz, tmp_path, "status", "--target", tmp_path / "litellm")
    assert f"next:  {pyz} status --target {tmp_path.resolve()}" in done.stderr
    assert f"usage: {pyz}" in run(pyz, tmp_path, "--help").stdout


def test_an_older_python_gets_one_line(pyz: Path, tmp_path: Path) -> None:
    """None is at hand: what it would read is compiled as for 3.4, and run as if it were one."""
    with zipfile.ZipFile(pyz) as archive:
        for name in ("__main__.py", "patches/__init__.py"):
            ast.parse(archive.read(name), feature_version=(3, 4))
    old = "import runpy, sys; sys.version_info = (3, 6, 9, 'final', 0)"
    script = f"{old}; runpy.run_path({str(pyz)!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: this needs Python 3.10 or newer; this one is 3.6\n"


def test_it_reaches_redis_by_the_forks_own_code_inside(pyz: Path, tmp_path: Path) -> None:
    with RedisServer() as server, server.client() as client:
        client.hset("litellm_patch:session:{a}:turns", "by", "8mV0..")
        erased = told(pyz, tmp_path, "erase", "--user", "somebody", "--url", server.url)
        assert (erased["conversations"], erased["scanned"]) == (0, 1)
        # With the mark that the erasure leaves.
        assert told(pyz, tmp_path, "purge", "--url", server.url)["removed"] == 2
