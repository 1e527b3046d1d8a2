"""The commands as people type them: exit codes, what is printed, and one clear line for every mistake."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from patches.catalogue import HANDLER, STREAMING
from tests.patches.trees import SOURCES, make_tree, snapshot

REPOSITORY = Path(__file__).resolve().parents[2]


def run(*arguments: object, python: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(python or sys.executable), "-m", "patches", *map(str, arguments)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=300,
    )


def status(root: Path) -> dict[str, object]:
    done = run("status", "--json", "--target", root)
    assert (done.returncode, done.stderr) == (0, "")
    return dict(json.loads(done.stdout))


def test_the_whole_way(tmp_path: Path) -> None:
    make_tree(tmp_path)
    before = snapshot(tmp_path)

    checked = run("check", "--target", tmp_path)
    assert checked.returncode == 0
    assert f"{HANDLER}: before `return responses_api_response`" in checked.stdout
    assert "everything fits and compiles" in checked.stdout
    assert snapshot(tmp_path) == before

    applied = run("apply", "--target", tmp_path)
    assert (applied.returncode, applied.stderr) == (0, "")
    assert str(tmp_path.resolve()) in applied.stdout
    assert "LiteLLM 1.106.2" in applied.stdout
    assert "nothing to do" in run("apply", "--target", tmp_path).stdout
    assert status(tmp_path)["state"] == "patched"

    reverted = run("revert", "--target", tmp_path)
    assert (reverted.returncode, reverted.stderr) == (0, "")
    again = run("revert", "--target", tmp_path)
    assert (again.returncode, "nothing to do" in again.stdout) == (0, True)
    assert snapshot(tmp_path) == before


def test_status_as_json_has_what_scripts_need(tmp_path: Path) -> None:
    make_tree(tmp_path)
    found = status(tmp_path)
    assert found["state"] == "pristine"
    assert found["litellm_version"] == "1.106.2"
    assert found["target"] == str(tmp_path.resolve())
    assert {"path", "state", "problem"} == set(found["files"][0])  # type: ignore[index]
    for patch in found["patches"]:  # type: ignore[attr-defined]
        assert patch["slug"] and patch["remove_when"] and patch["adds"]
        assert isinstance(patch["upstream_fixed"], list)
        assert patch["edits"]


def test_status_says_in_two_lines_what_is_fixed_and_whether_the_fork_is_worth_having(
    tmp_path: Path,
) -> None:
    make_tree(tmp_path)
    lines = run("status", "--target", tmp_path).stdout.splitlines()
    (fixed,) = [line for line in lines if line.startswith("upstream ")]
    (adds,) = [line for line in lines if line.startswith("the fork ")]
    assert "PR #37956" in fixed
    assert "worth having" in adds


def test_check_as_json_says_whether_it_fits(tmp_path: Path) -> None:
    make_tree(tmp_path / "fits")
    found = run("check", "--json", "--target", tmp_path / "fits")
    assert (found.returncode, json.loads(found.stdout)["fits"]) == (0, True)
    make_tree(tmp_path / "not", {HANDLER: SOURCES[HANDLER].replace("async_resp", "other")})
    found = run("check", "--json", "--target", tmp_path / "not")
    assert (found.returncode, json.loads(found.stdout)["fits"]) == (1, False)
    assert "async_response_api_handler" in json.loads(found.stdout)["problem"]


def test_an_anchor_that_moved_says_where_its_function_went(tmp_path: Path) -> None:
    moved = SOURCES[STREAMING].replace("(self)", "(self, limit: int)")
    make_tree(
        tmp_path,
        {
            STREAMING: SOURCES[STREAMING].splitlines()[0] + "\n",
            STREAMING.replace("iterator", "events"): moved,
        },
    )
    for command in ("check", "apply"):
        done = run(command, "--target", tmp_path)
        assert done.returncode == 1
        assert "streaming_events.py has `async def LiteLLM" in done.stderr
        assert "__anext__(self, limit: int)` at line" in done.stderr


@pytest.mark.parametrize("command", ["status", "check", "apply", "revert", "diff"])
@pytest.mark.parametrize(
    ("place", "message"),
    [("nowhere", "not a folder"), ("file", "not a folder"), ("empty", "holds no LiteLLM")],
)
def test_a_wrong_target_is_one_clear_line(tmp_path: Path, command: str, place: str, message: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    done = run(command, "--target", tmp_path / place)
    assert done.returncode == 1
    assert message in done.stderr.splitlines()[0]
    assert done.stderr.splitlines()[1].startswith("next: ")
    assert len(done.stderr.splitlines()) == 2


def test_the_package_itself_as_target_is_told_from_its_folder(tmp_path: Path) -> None:
    make_tree(tmp_path)
    done = run("status", "--target", tmp_path / "litellm")
    assert done.returncode == 1
    assert f"--target {tmp_path.resolve()}" in done.stderr


@pytest.mark.parametrize("arguments", [[], ["frobnicate"], ["apply", "--json"], ["status", "--what"]])
def test_wrong_usage_exits_with_two(arguments: list[str]) -> None:
    assert run(*arguments).returncode == 2


def test_an_edited_tree_exits_with_one_and_is_left_alone(tmp_path: Path) -> None:
    make_tree(tmp_path)
    (tmp_path / HANDLER).write_text(SOURCES[HANDLER] + "# mine\n")
    before = snapshot(tmp_path)
    for command in ("check", "apply", "revert", "diff"):
        done = run(command, "--target", tmp_path)
        assert done.returncode == 1, command
        assert HANDLER in done.stderr
    assert status(tmp_path)["state"] == "edited"
    assert snapshot(tmp_path) == before


def test_a_withdrawn_release_is_unsupported_and_exits_with_one(tmp_path: Path) -> None:
    make_tree(tmp_path, version="1.82.8")
    assert status(tmp_path)["state"] == "unsupported"
    for command in ("check", "apply", "diff"):
        done = run(command, "--target", tmp_path)
        assert done.returncode == 1
        assert "withdrawn from the registry as compromised" in done.stderr
    assert run("revert", "--target", tmp_path).returncode == 0


def read_only_run(root: Path, command: str) -> subprocess.CompletedProcess[str]:
    """Root may write anywhere, so the command runs as nobody."""
    prefix = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    if os.geteuid() != 0:
        prefix = []
    elif shutil.which("setpriv") is None:
        pytest.skip("setpriv is missing, and root may write anywhere")
    return subprocess.run(
        [*prefix, sys.executable, "-B", "-m", "patches", command, "--target", str(root)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )


def test_a_read_only_target_is_one_clear_line_and_stays_as_it_was(tmp_path: Path) -> None:
    make_tree(tmp_path)
    for path in [tmp_path, *tmp_path.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    for parent in tmp_path.parents:
        if "pytest-" in str(parent):
            parent.chmod(parent.stat().st_mode | 0o055)
    if read_only_run(tmp_path, "status").returncode:
        pytest.skip("the user nobody cannot read this checkout")
    before = snapshot(tmp_path)
    try:
        done = read_only_run(tmp_path, "apply")
        assert done.returncode == 1
        assert "cannot be written" in done.stderr.splitlines()[0]
        assert "the tree is as it was" in done.stderr.splitlines()[0]
        assert snapshot(tmp_path) == before
    finally:
        for path in [tmp_path, *tmp_path.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_the_diff_is_what_git_apply_makes_into_the_same_tree(tmp_path: Path, ending: str) -> None:
    if shutil.which("git") is None:
        pytest.skip("git is missing")
    texts = {path: text.replace("\n", ending).encode() for path, text in SOURCES.items()}
    texts[HANDLER] = texts[HANDLER].rstrip()
    texts["litellm/proxy/proxy_server.py"] = texts["litellm/proxy/proxy_server.py"].rstrip()
    applied, through_git = tmp_path / "applied", tmp_path / "git"
    make_tree(applied, texts, with_record=False)
    make_tree(through_git, texts, with_record=False)
    made = subprocess.run(
        [sys.executable, "-m", "patches", "diff", "--target", str(through_git)],
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
    ).stdout
    removed = [line for line in made.splitlines() if line[:1] == b"-" and line[:4] != b"--- "]
    assert removed == [b"-app = make()"], "only the last line without an ending, which gets one"
    git = ["git", "-c", "core.autocrlf=false", "apply", "--whitespace=nowarn", "-"]
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(tmp_path)}
    subprocess.run(git, input=made, cwd=through_git, env=environment, check=True)
    assert run("apply", "--target", applied).returncode == 0
    assert {path: data for path, (data, _) in snapshot(through_git).items()} == {
        path: data for path, (data, _) in snapshot(applied).items()
    }
    assert status(through_git)["state"] == "patched"
    again = subprocess.run(
        [sys.executable, "-m", "patches", "diff", "--target", str(applied)],
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
    ).stdout
    assert again == made


def test_without_a_target_the_litellm_that_this_python_imports_is_taken(tmp_path: Path) -> None:
    make_tree(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "patches", "status"],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert f"target    {tmp_path.resolve()}, LiteLLM 1.106.2" in done.stdout
    assert done.returncode == 0


def test_a_python_without_litellm_is_one_clear_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-S", "-m", "patches", "status"],
        cwd=REPOSITORY,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "has no LiteLLM to import" in done.stderr


def test_the_tool_needs_the_standard_library_only() -> None:
    script = (
        "import sys, pkgutil, importlib, patches\n"
        "for module in pkgutil.iter_modules(patches.__path__):\n"
        "    if module.name != '__main__': importlib.import_module('patches.' + module.name)\n"
        "tops = {name.partition('.')[0] for name in sys.modules}\n"
        "print(sorted(tops - set(sys.stdlib_module_names) - {'patches', '__main__'}))\n"
    )
    done = subprocess.run([sys.executable, "-S", "-c", script], cwd=REPOSITORY, capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
