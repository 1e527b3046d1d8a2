"""deploy/patch_image.py, on folders like those of an image. `make image-test` builds and starts images."""

from __future__ import annotations

import importlib.util
import os
import py_compile
import re
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

from lab.trees import ROOT, files_that_differ_from_record, installed_release, link_tree, tree
from tests.deploy.tools import DEPLOY
from tests.deploy.versions import FORK, UPSTREAM

DOCKERFILES = {name: (DEPLOY / name).read_text(encoding="utf-8") for name in ("Dockerfile", "Dockerfile.slim")}
CHECKED_HASH = 0b11  # PEP 552
BRIDGE = Path("litellm/responses/litellm_completion_transformation")


@pytest.fixture
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("patch_image", DEPLOY / "patch_image.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["patch_image"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Two copies: `app`, the source in the working directory, and an installed one."""
    for name in ("app", "site-packages"):
        link_tree(tree("pristine"), installed_release(), tmp_path / name)
    return tmp_path


def last_stage(dockerfile: str) -> list[str]:
    lines = re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "", dockerfile, flags=re.MULTILINE)).splitlines()
    lines = [line for line in lines if line.strip()]
    return lines[max(index for index, line in enumerate(lines) if line.startswith("FROM")) :]


@pytest.mark.parametrize("name", DOCKERFILES)
def test_the_release_and_the_forks_version_are_the_pinned_ones(name: str) -> None:
    assert set(re.findall(r"^ARG LITELLM_RELEASE=(.*)", DOCKERFILES[name], re.MULTILINE)) == {UPSTREAM}
    assert set(re.findall(r"^ARG FORK_VERSION=(.*)", DOCKERFILES[name], re.MULTILINE)) == {FORK}
    assert set(re.findall(r"litellm-fork\S*:(\S+)", DOCKERFILES[name])) == {f"{UPSTREAM}-{FORK}"}


def test_the_slim_image_has_the_wheels_that_are_pinned() -> None:
    pinned = (ROOT / "requirements/image.txt").read_text(encoding="utf-8")
    assert f"litellm=={UPSTREAM} " in pinned and "pytest" not in pinned


def test_the_image_keeps_what_the_base_says_about_running() -> None:
    words = [line.split()[0] for line in last_stage(DOCKERFILES["Dockerfile"])]
    assert words == ["FROM", "ARG", "ARG", "ARG", "COPY", "COPY", "LABEL"]
    assert last_stage(DOCKERFILES["Dockerfile"])[0] == "FROM base"


@pytest.mark.parametrize("name", DOCKERFILES)
def test_the_build_gets_the_files_that_it_uses_and_nothing_else(name: str) -> None:
    rules = (DEPLOY / f"{name}.dockerignore").read_text().split()
    assert rules[0] == "*"
    wanted = {"litellm", "patches", "deploy/patch_image.py"}
    used = set(re.findall(r"/tmp/litellm-fork/(\S+\.(?:py|txt))", DOCKERFILES[name]))
    assert {rule[1:] for rule in rules if rule.startswith("!")} == wanted | used


def test_every_copy_is_found_and_no_installers_cache(script: ModuleType, image: Path) -> None:
    shutil.copytree(image / "app", image / "root/.cache/uv/archive/x", copy_function=os.link)
    assert script.find_copies(image) == [image / "app", image / "site-packages"]


def test_what_has_changed_goes_into_the_layer_with_mode_owner_and_even_times(
    script: ModuleType, image: Path, tmp_path: Path
) -> None:
    copy, layer = image / "site-packages", tmp_path / "layer"
    before = {path: path.stat().st_mode for path in copy.rglob("*.py")}
    layer.mkdir()
    count = script.patch_copy(copy, layer, ("--accept-untried",))
    script.level_times(layer)
    inside = layer / copy.relative_to("/")
    files = [path for path in layer.rglob("*") if path.is_file()]
    assert len(files) == count
    for path in files:
        twin = copy / path.relative_to(inside)
        assert path.read_bytes() == twin.read_bytes()
        assert path.stat().st_mode == before.get(twin, path.stat().st_mode)
    assert {path.stat().st_mtime for path in layer.rglob("*")} == {0}
    put_back = image / "app"
    shutil.copytree(inside, put_back, dirs_exist_ok=True, copy_function=replace)
    assert files_that_differ_from_record(put_back, installed_release()) == []
    assert script.is_patched(put_back)


def replace(source: str, target: str) -> None:
    Path(target).unlink(missing_ok=True)  # never through a hard link
    shutil.copy2(source, target)


def test_stale_bytecode_of_the_image_is_covered_by_fresh_one_that_is_the_same_in_each_build(
    script: ModuleType, tmp_path: Path
) -> None:
    """Python runs a file of the unchecked kind whatever its source says."""
    fresh = []
    for _ in range(2):
        copy, layer = tmp_path / "copy", tmp_path / "layer"
        link_tree(tree("pristine"), installed_release(), copy)
        layer.mkdir()
        source = copy / BRIDGE / "transformation.py"
        py_compile.compile(str(source), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
        (cached,) = (source.parent / "__pycache__").glob("transformation.*.pyc")
        stale = cached.read_bytes()
        script.patch_copy(copy, layer, ("--accept-untried",))
        fresh.append((layer / cached.relative_to("/")).read_bytes())
        assert fresh[-1] == cached.read_bytes() != stale
        assert int.from_bytes(fresh[-1][4:8], "little") == CHECKED_HASH
        shutil.rmtree(copy)
        shutil.rmtree(layer)
    assert fresh[0] == fresh[1]


def test_a_copy_without_the_fork_fails_the_build(script: ModuleType, image: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(script, "ask_starts", lambda: iter([("litellm", image / "app")]))
    with pytest.raises(SystemExit) as ended:
        script.assert_starts(tmp_path / "report")
    assert str(ended.value).startswith(f"error: litellm: imports {image / 'app'}, which has no fork\nnext:  ")
    (tmp_path / "layer").mkdir()
    script.patch_copy(image / "app", tmp_path / "layer", ("--accept-untried",))
    script.assert_starts(tmp_path / "report")
    assert (tmp_path / "report/asserted.txt").read_text() == (
        f"asserted  litellm: imports {image / 'app'}, which has the fork\n"
    )


def test_a_command_is_asked_which_copy_it_imports(script: ModuleType, image: Path, monkeypatch) -> None:
    """As an installer's script does it: its folder, not the working directory, is first on the path."""
    command = image / "litellm"
    command.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(1, {str(image / 'site-packages')!r})\n"
        "import importlib.util\nimportlib.util.find_spec('litellm').loader.get_code('litellm')\n"
    )
    command.chmod(0o755)
    monkeypatch.chdir(image / "app")
    assert script.imported_by((str(command),)) == (image / "site-packages").resolve()
    assert Path(script.run(sys.executable, *script.FROM_HERE[1:]).stdout.strip()) == image / "app/litellm/__init__.py"


def test_a_command_that_fails_shows_its_error(script: ModuleType, image: Path) -> None:
    (image / "litellm").write_text(f"#!{sys.executable}\nraise SystemExit('it has no proxy extra')\n")
    (image / "litellm").chmod(0o755)
    with pytest.raises(SystemExit, match="it has no proxy extra"):
        script.imported_by((str(image / "litellm"),))


@pytest.mark.parametrize("release, version", [("0.0.1", FORK), (UPSTREAM, "9.9.9")])
def test_a_build_argument_that_is_not_true_is_refused(
    release: str, version: str, script: ModuleType, image: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(script, "find_copies", lambda _: [image / "app"])
    with pytest.raises(SystemExit, match=r"LITELLM_RELEASE says 0\.0\.1|FORK_VERSION says 9\.9\.9"):
        script.patch(tmp_path / "layer", release, version, accept_untried=False)
    assert files_that_differ_from_record(image / "app", installed_release()) == []


def test_a_source_tree_says_its_release(script: ModuleType, tmp_path: Path) -> None:
    assert script.release_of(tmp_path) is None
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n')
    assert script.release_of(tmp_path) == "1.2.3"
