"""The real LiteLLM of this environment, and real installers."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from lab.trees import installed_release, link_tree, tree
from patches import apply_patches, look_at, open_target, read_own_files, revert_patches
from tests.patches.trees import OWN, RUNTIME, make_tree, snapshot, wrong_hashes


def installed_copy(folder: Path) -> Path:
    """Hard links to the installed package, so nothing is copied and any write through a link would show."""
    link_tree(tree("pristine"), installed_release(), folder)
    return folder


def hashes_that_differ(root: Path) -> list[str]:
    """By the wheel's own RECORD; the installer's launchers outside the folder and bytecode are not copied."""
    return [path for path in wrong_hashes(root) if not path.startswith("../") and "__pycache__" not in path]


def test_apply_then_revert_on_the_installed_wheel_equals_its_record(tmp_path: Path) -> None:
    root = installed_copy(tmp_path / "site")
    own = read_own_files()
    target = open_target(root)
    before = snapshot(root)
    assert hashes_that_differ(root) == []

    apply_patches(target, own)
    applied = look_at(target, own)
    assert (applied.state, applied.is_current) == ("patched", True)
    assert hashes_that_differ(root) == []
    for report in applied.all_files:
        if report.path.endswith(".py"):
            compile((root / report.path).read_bytes(), report.path, "exec")
    assert apply_patches(target, own).is_empty

    revert_patches(target, own)
    assert hashes_that_differ(root) == []
    assert snapshot(root) == before


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with pip and nothing else."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=True, symlinks=True)
    return folder


def build_wheel(folder: Path, version: str = "1.106.2") -> Path:
    tree = folder / f"tree-{version}"
    make_tree(tree, version=version)
    info = f"litellm-{version}.dist-info"
    (tree / info / "WHEEL").write_text(
        "Wheel-Version: 1.0\nGenerator: a test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    wheel = folder / f"litellm-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        lines = (tree / info / "RECORD").read_text().splitlines(keepends=True)
        (tree / info / "RECORD").write_text("".join([*lines, f"{info}/WHEEL,,\n"]))
        for path in sorted(path for path in tree.rglob("*") if path.is_file()):
            archive.write(path, path.relative_to(tree).as_posix())
    return wheel


def pip(environment: Path, *arguments: object) -> None:
    command = [environment / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "-q", *arguments]
    subprocess.run(
        list(map(str, command)), check=True, capture_output=True, env={**os.environ, "PIP_NO_INDEX": "1"}, timeout=300
    )


def site_packages(environment: Path) -> Path:
    return environment / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


def of_litellm(environment: Path) -> list[str]:
    root = site_packages(environment)
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if "litellm" in path.as_posix())


def test_pip_uninstall_after_apply_leaves_nothing(tmp_path: Path, environment: Path) -> None:
    pip(environment, "install", build_wheel(tmp_path))
    target = open_target(site_packages(environment))
    apply_patches(target, OWN)
    module = f"{RUNTIME}.bridge".replace("/", ".")
    writes_bytecode = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": ""}
    command = [environment / "bin" / "python", "-c", f"import {module}"]
    subprocess.run(command, check=True, env=writes_bytecode)
    assert any("bridge.cpython" in name for name in of_litellm(environment))
    pip(environment, "uninstall", "-y", "litellm")
    assert of_litellm(environment) == []


def test_pip_upgrade_after_apply_leaves_nothing_of_the_fork(tmp_path: Path, environment: Path) -> None:
    pip(environment, "install", build_wheel(tmp_path))
    apply_patches(open_target(site_packages(environment)), OWN)
    pip(environment, "install", "--upgrade", build_wheel(tmp_path, "1.106.3"))
    assert look_at(open_target(site_packages(environment)), OWN).state == "pristine"
    assert not [name for name in of_litellm(environment) if "redis_session" in name]
    pip(environment, "uninstall", "-y", "litellm")


def test_revert_after_pip_install_leaves_the_same_files_but_for_bytecode_of_what_was_changed(
    tmp_path: Path, environment: Path
) -> None:
    pip(environment, "install", build_wheel(tmp_path))
    before = of_litellm(environment)
    root = site_packages(environment)
    hard = {name: (root / name).read_bytes() for name in before if (root / name).is_file() and ".pyc" not in name}
    apply_patches(open_target(root), OWN)
    assert wrong_of_litellm(root) == []
    revert_patches(open_target(root), OWN)
    after = of_litellm(environment)
    assert set(after) <= set(before)
    assert {name: (root / name).read_bytes() for name in after if name in hard} == hard
    changed = {"caching_handler", "proxy_server", "route_llm_request"}
    changed |= {"transformation", "session_handler", "handler", "streaming_iterator", "llm_http_handler"}
    assert {Path(name).name.partition(".")[0] for name in set(before) - set(after)} == changed
    pip(environment, "uninstall", "-y", "litellm")
    assert of_litellm(environment) == []


def wrong_of_litellm(root: Path) -> list[str]:
    own = ("litellm/", "litellm-1.106.2.dist-info/")
    names = (
        Path(name).relative_to(root).as_posix() if Path(name).is_absolute() else name for name in wrong_hashes(root)
    )
    return [name for name in names if name.startswith(own) and "__pycache__" not in name]
