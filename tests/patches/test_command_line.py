"""The commands as people type them: exit codes, what is printed, and one clear line for every mistake."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from patches import apply_patches, read_fork_version, read_own_files
from patches.own import build_of
from tests.patches.trees import HANDLER, REPOSITORY, RUNTIME, SOURCES, STREAMING, make_tree, snapshot, tool


def run(*arguments: object, python: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(python or sys.executable), "-m", "patches", *map(str, arguments)],
        cwd=tool(),
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
        for field in ("slug", "description", "bug", "forwarded", "applied_upstream", "remove_when"):
            assert patch[field]
        for fact in patch["facts"]:
            assert fact["text"] and fact["verdict"] in ("holds", "fixed", "not yet", "not tried")
    assert any(patch["edits"] for patch in found["patches"])  # type: ignore[attr-defined]


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
    told = json.loads(found.stdout)
    assert (found.returncode, told["exit_code"], told["fits"], told["state"]) == (1, 1, False, "unsupported")
    assert "async_response_api_handler" in told["error"]["sentence"]


def test_a_class_that_was_renamed_is_named_by_what_it_was(tmp_path: Path) -> None:
    renamed = SOURCES[STREAMING].replace("class LiteLLMCompletionStreamingIterator", "class Events")
    make_tree(tmp_path, {STREAMING: renamed})
    for command in ("check", "apply"):
        done = run(command, "--target", tmp_path)
        assert done.returncode == 1
        assert done.stderr.startswith(
            f"error: {STREAMING}: in the module: expected one definition of LiteLLMCompletionStreamingIterator, "
        )


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


@pytest.mark.parametrize("arguments", [[], ["frobnicate"], ["check", "--wait", "1"], ["status", "--what"]])
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


def read_only_run(root: Path, command: str, *more: str) -> subprocess.CompletedProcess[str]:
    """Root may write anywhere, so the command runs as nobody."""
    prefix = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    if os.geteuid() != 0:
        prefix = []
    elif shutil.which("setpriv") is None:
        pytest.skip("setpriv is missing, and root may write anywhere")
    return subprocess.run(
        [*prefix, sys.executable, "-B", "-m", "patches", command, "--target", str(root), *more],
        cwd=tool(),
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
        cwd=tool(),
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
        cwd=tool(),
        capture_output=True,
        check=True,
    ).stdout
    assert again == made


def test_without_a_target_the_litellm_that_this_python_imports_is_taken(tmp_path: Path) -> None:
    make_tree(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "patches", "status"],
        cwd=tool(),
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert f"target    {tmp_path.resolve()}, LiteLLM 1.106.2" in done.stdout
    assert done.returncode == 0


def test_a_python_without_litellm_is_one_clear_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-S", "-m", "patches", "status"],
        cwd=tool(),
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "has no LiteLLM to import" in done.stderr


def editable_install(folder: Path) -> tuple[Path, dict[str, str]]:
    """(the source folder, an environment whose Python has it installed as `pip install -e` leaves it: by a finder)."""
    make_tree(folder / "source", with_record=False)
    site = folder / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import importlib.util, sys\n"
        "class Finder:\n"
        "    @classmethod\n"
        "    def find_spec(cls, name, path=None, target=None):\n"
        "        if name == 'litellm':\n"
        "            return importlib.util.spec_from_file_location(name, PLACE)\n"
        f"PLACE = {str(folder / 'source/litellm/__init__.py')!r}\n"
        "sys.meta_path.append(Finder)\n"
    )
    return folder / "source", {**os.environ, "PYTHONPATH": str(site)}


def test_an_editable_install_is_found_although_the_working_directory_has_a_litellm_folder(tmp_path: Path) -> None:
    source, environment = editable_install(tmp_path)
    done = subprocess.run(
        [
            sys.executable,
            "-S",
            "-c",
            "import sitecustomize, sys; from patches.cli import main; sys.exit(main(['status']))",
        ],
        cwd=tool(),  # it holds the fork's own litellm/, which is no package
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert f"target    {source.resolve()}, LiteLLM 1.106.2" in done.stdout


def test_an_empty_target_is_an_error_and_not_the_default() -> None:
    done = run("apply", "--target", "")
    assert (done.returncode, "--target is empty" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "exit_code"),
    [
        (("status",), 0),
        (("status", "--expect", "pristine"), 0),
        (("status", "--expect", "patched"), 3),
        (("check",), 0),
        (("diff",), 0),
        (("apply",), 0),
        (("apply",), 0),
        (("status", "--expect", "patched"), 0),
        (("check",), 0),
        (("revert",), 0),
        (("revert",), 0),
    ],
    ids=lambda each: "-".join(each) if isinstance(each, tuple) else str(each),
)
def test_every_command_has_json_of_one_schema(tmp_path: Path, arguments: tuple[str, ...], exit_code: int) -> None:
    make_tree(tmp_path)
    if (arguments, exit_code) == (("status", "--expect", "patched"), 0) or arguments == ("revert",):
        run("apply", "--target", tmp_path)
    for place, wanted in ((tmp_path, exit_code), (tmp_path / "nowhere", 1)):
        done = run(*arguments, "--json", "--target", place)
        told = json.loads(done.stdout)
        assert (done.returncode, done.stderr, told["exit_code"]) == (wanted, "", wanted)
        assert (told["schema"], told["command"], told["tool"]) == (1, arguments[0], read_fork_version())
        if wanted == 1:
            assert set(told["error"]) == {"sentence", "more", "next"}
            continue
        assert told["error"] is None
        assert told["target"] == str(tmp_path.resolve())


def test_wrong_usage_is_json_too() -> None:
    done = run("status", "--json", "--what")
    told = json.loads(done.stdout)
    assert (done.returncode, done.stderr, told["exit_code"], told["schema"]) == (2, "", 2, 1)
    assert "--what" in told["error"]["sentence"]


@pytest.mark.parametrize(
    "words", [["--json"], ["--json", "status"], ["apply", "--json", "--wait", "x"], ["ask", "--json"]]
)
def test_so_is_any_other(words: list[str]) -> None:
    done = run(*words)
    assert (done.returncode, done.stderr, json.loads(done.stdout)["exit_code"]) == (2, "", 2)


def test_an_option_is_known_by_its_whole_name_alone(tmp_path: Path) -> None:
    """Else `--js` would be taken, and answered with no JSON."""
    make_tree(tmp_path)
    assert run("status", "--js", "--target", tmp_path).returncode == 2


BROKEN = """
import sys
from patches import commands, cli
def broken(options):
    raise {error}
commands.TREE_COMMANDS = [("apply", broken, "")]
cli.TREE_COMMANDS = commands.TREE_COMMANDS
sys.exit(cli.main())
"""


@pytest.mark.parametrize(
    ("error", "exit_code", "sentence"),
    [
        ("KeyboardInterrupt", 4, "interrupted"),
        ("ZeroDivisionError('x')", 4, "a defect of the tool: ZeroDivisionError at <string>:5 (x)"),
        ("RecursionError", 4, "a defect of the tool: RecursionError at <string>:5 ()"),
        ("OSError(28, 'No space', '/x')", 1, "/x: No space"),
    ],
)
def test_whatever_happens_is_one_line_or_json(error: str, exit_code: int, sentence: str) -> None:
    command = [sys.executable, "-c", BROKEN.format(error=error), "apply"]
    done = subprocess.run(command, cwd=tool(), capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr.splitlines()[0]) == (exit_code, "", f"error: {sentence}")
    done = subprocess.run([*command, "--json"], cwd=tool(), capture_output=True, text=True, timeout=60)
    told = json.loads(done.stdout)
    assert (done.returncode, done.stderr, told["exit_code"], told["error"]["sentence"]) == (
        exit_code,
        "",
        exit_code,
        sentence,
    )


def test_a_tool_without_its_own_files_says_so(tmp_path: Path) -> None:
    shutil.copytree(REPOSITORY / "patches", tmp_path / "patches", ignore=shutil.ignore_patterns("__pycache__"))
    make_tree(tmp_path / "tree")
    words = [sys.executable, "-m", "patches", "apply", "--json", "--target", str(tmp_path / "tree")]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    told = json.loads(done.stdout)
    assert (done.returncode, done.stderr, told["error"]["next"]) == (1, "", "copy the whole fork")


def shell(line: str, *words: str) -> subprocess.CompletedProcess[str]:
    """`patches …` is the tool; the line ends with what it ended with."""
    function = f'patches() {{ "{sys.executable}" -m patches "$@"; }}; '
    command = ["bash", "-c", function + line, "bash", *words]
    return subprocess.run(command, cwd=tool(), capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("option", ["", "--json"])
def test_a_reader_that_goes_away_changes_nothing_of_what_is_done(tmp_path: Path, option: str) -> None:
    make_tree(tmp_path)
    before = snapshot(tmp_path)

    def ends(words: str) -> tuple[int, str]:
        done = shell(f"patches {words} {option} --target $1 | head -c 0; exit ${{PIPESTATUS[0]}}", str(tmp_path))
        return done.returncode, done.stderr

    assert ends("apply") == (0, "")
    assert status(tmp_path)["state"] == "patched"
    assert ends("status --expect patched") == (0, "")
    assert ends("status --expect pristine") == (3, "")
    assert ends("diff") == (0, "")
    assert ends("revert") == (0, "")
    assert snapshot(tmp_path) == before
    (tmp_path / HANDLER).write_text("mine = 1\n")
    done = shell("patches apply --target $1 2>&1 >/dev/null | head -c 0; exit ${PIPESTATUS[0]}", str(tmp_path))
    assert (done.returncode, done.stderr) == (1, "")


def test_so_do_help_and_no_output_at_all(tmp_path: Path) -> None:
    make_tree(tmp_path)
    done = shell("patches --help | head -c 0; exit ${PIPESTATUS[0]}")
    assert (done.returncode, done.stderr) == (0, "")
    for words in ("apply", "diff", "revert --json"):
        done = shell(f"patches {words} --target $1 >&-", str(tmp_path))
        assert (done.returncode, done.stderr) == (0, ""), words


def test_an_answer_that_cannot_be_written_is_an_error_and_what_was_done_is_not(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    make_tree(tmp_path)
    for words, exit_code in (("apply", 0), ("diff", 1), ("revert --json", 0)):
        done = shell(f"patches {words} --target $1 >/dev/full", str(tmp_path))
        assert done.returncode == exit_code, words
        assert done.stderr.startswith("error: the answer cannot be printed (") and len(done.stderr.splitlines()) == 1
    assert status(tmp_path)["state"] == "pristine"


def test_another_build_is_outdated_and_says_what_to_do(tmp_path: Path) -> None:
    target = make_tree(tmp_path)
    own = {**read_own_files(), f"{RUNTIME}/version.py": b'FORK_VERSION = "0.1.9"\n'}
    apply_patches(target, own)
    done = run("status", "--expect", "patched", "--target", tmp_path)
    assert (done.returncode, done.stderr) == (3, "")
    assert (
        f"state     outdated: by another build of the fork ({read_fork_version()}, build {build_of(own)})"
        in done.stdout
    )
    assert "next      apply brings it up to date, revert takes it out\nexpected  patched, found outdated" in done.stdout
    told = json.loads(run("apply", "--json", "--target", tmp_path).stdout)
    assert (told["applied_build"], told["proved"] > 5) == (build_of(read_own_files()), True)
    found = status(tmp_path)
    assert (found["state"], found["applied_build"]) == ("patched", build_of(read_own_files()))
    assert run("revert", "--target", tmp_path).returncode == 0
    assert status(tmp_path)["applied_build"] is None


def test_the_way_out_of_an_edit_names_the_installer_of_the_target_everywhere(tmp_path: Path) -> None:
    make_tree(tmp_path)
    (tmp_path / "litellm-1.106.2.dist-info/INSTALLER").write_text("uv\n")
    (tmp_path / HANDLER).write_text(SOURCES[HANDLER] + "# mine\n")
    again = f"undo the change, or: uv pip install --target {tmp_path} --reinstall --no-deps litellm==1.106.2"
    assert f"next      {again}" in run("status", "--target", tmp_path).stdout.splitlines()
    for command in ("check", "apply", "revert", "diff"):
        assert json.loads(run(command, "--json", "--target", tmp_path).stdout)["error"]["next"] == again


def test_a_dry_run_says_what_would_change_and_a_run_what_it_did(tmp_path: Path) -> None:
    make_tree(tmp_path)

    def told(command: str) -> dict[str, Any]:
        return dict(json.loads(run(command, "--json", "--target", tmp_path).stdout))

    would = told("check")
    assert would["would_change"] is True
    did = told("apply")
    assert did["changes"] == would["changes"]
    assert {each["action"] for each in did["changes"]} == {"added", "changed"}
    assert (told("check")["would_change"], told("check")["changes"], told("apply")["changes"]) == (False, [], [])
    assert did["applied_fork"] == read_fork_version()
    back = told("revert")
    assert {each["path"] for each in back["changes"]} == {each["path"] for each in did["changes"]}
    assert {each["action"] for each in back["changes"]} == {"changed", "removed"}
    assert (back["state"], back["unproved"], back["proved"] > 5) == ("pristine", [], True)


def test_deletions_are_called_removed(tmp_path: Path) -> None:
    make_tree(tmp_path)
    run("apply", "--target", tmp_path)
    lines = run("revert", "--target", tmp_path).stdout.splitlines()
    ours = [line for line in lines if "redis_session_patch/" in line]
    assert ours and all(line.startswith("removed   ") for line in ours)
    assert f"restored  {HANDLER}" in lines
    assert any(line.startswith("proved    ") for line in lines)


def test_a_revert_without_record_says_what_it_could_not_prove(tmp_path: Path) -> None:
    make_tree(tmp_path, with_record=False)
    run("apply", "--target", tmp_path)
    done = run("revert", "--target", tmp_path)
    assert f"not proved {HANDLER}: no RECORD, only the fork's own note of it says that it is upstream's" in done.stdout


def test_all_misfits_are_told_at_once(tmp_path: Path) -> None:
    changes = {path: SOURCES[path].replace("async def", "async  def other_") for path in (HANDLER, STREAMING)}
    make_tree(tmp_path, changes)
    done = run("check", "--target", tmp_path)
    assert done.returncode == 1
    for path in (HANDLER, STREAMING):
        assert any(line.startswith(f"error: {path}: ") for line in done.stderr.splitlines())
    told = json.loads(run("status", "--json", "--target", tmp_path).stdout)
    assert {text.split(": ")[0] for text in told["misfits"]} == {HANDLER, STREAMING}


def test_a_patched_tree_that_no_longer_fits_says_so_and_how_to_revert(tmp_path: Path) -> None:
    """As when a newer fork, whose lines go elsewhere, meets a tree that an older one patched."""
    make_tree(tmp_path)
    before = snapshot(tmp_path)
    assert run("apply", "--target", tmp_path).returncode == 0
    text = (REPOSITORY / "patches" / "catalogue.txt").read_text()
    fork = tmp_path.parent / "newer"
    for folder in ("patches", "litellm"):
        shutil.copytree(REPOSITORY / folder, fork / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (fork / "patches" / "catalogue.txt").write_text(text.replace(".__anext__", ".__anext_v2__"))

    def newer(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "patches", *arguments, "--target", str(tmp_path)]
        return subprocess.run(command, cwd=fork, capture_output=True, text=True)

    status = newer("status", "--expect", "patched")
    assert (status.returncode, "state     outdated: by another build of the fork (" in status.stdout) == (3, True)
    assert "does not fit here, only revert will work" in status.stdout
    assert "expected one definition of __anext_v2__" in status.stdout
    assert "next      python -m patches revert" in status.stdout
    assert newer("check").returncode == 1
    assert newer("revert").returncode == 0
    assert snapshot(tmp_path) == before
    shutil.rmtree(fork)


def test_check_needs_no_right_to_write_and_says_what_apply_would_lack(tmp_path: Path) -> None:
    make_tree(tmp_path)
    for path in [tmp_path, *tmp_path.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    for parent in tmp_path.parents:
        if "pytest-" in str(parent):
            parent.chmod(parent.stat().st_mode | 0o055)
    try:
        if read_only_run(tmp_path, "status").returncode:
            pytest.skip("the user nobody cannot read this checkout")
        done = read_only_run(tmp_path, "check")
        assert (done.returncode, done.stderr) == (0, "")
        assert "result    everything fits and compiles; apply would change" in done.stdout
        note, next_step = done.stdout.splitlines()[-2:]
        assert note.startswith("note      apply by this user would be refused: ")
        assert "cannot be written (no permission, or a read-only file system)" in note
        assert "run the command as the owner of" in next_step
        told = json.loads(read_only_run(tmp_path, "check", "--json").stdout)
        assert (told["exit_code"], told["error"], told["fits"], told["would_change"]) == (0, None, True, True)
        assert told["obstacle"] == {"sentence": note.partition("refused: ")[2], "next": next_step.strip()}
    finally:
        for path in [tmp_path, *tmp_path.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)


def test_the_version_and_the_exit_codes_are_told() -> None:
    assert run("--version").stdout == f"litellm-redis-session {read_fork_version()}\n"
    told = run("--help").stdout
    for code in range(5):
        assert f"\n  {code}  " in told


def test_a_second_run_waits_and_says_why(tmp_path: Path) -> None:
    make_tree(tmp_path)
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(tmp_path / "litellm")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdin is not None and holder.stdout is not None
    try:
        assert holder.stdout.readline() == "held\n"
        before = snapshot(tmp_path)
        done = run("apply", "--wait", "0.2", "--target", tmp_path)
        assert done.returncode == 1
        assert "another run of this tool is at work on it" in done.stderr
        assert snapshot(tmp_path) == before
        waiting = subprocess.Popen(
            [sys.executable, "-m", "patches", "apply", "--target", str(tmp_path)],
            cwd=tool(),
            stdout=subprocess.DEVNULL,
        )
        holder.stdin.close()
        assert waiting.wait(timeout=120) == 0
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    assert status(tmp_path)["state"] == "patched"


_HOLD = """
import fcntl, os, sys
fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_an_older_python_gets_one_line() -> None:
    """None is at hand, so the two files that it reads are compiled as for 3.4, and run with another version."""
    for name in ("__init__.py", "__main__.py"):
        source = (REPOSITORY / "patches" / name).read_text()
        ast.parse(source, feature_version=(3, 4))
        assert source.isascii()
    script = "import sys; sys.version_info = (3, 6, 9, 'final', 0); import runpy; runpy.run_module('patches')"
    done = subprocess.run([sys.executable, "-c", script], cwd=tool(), capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: this needs Python 3.10 or newer; this one is 3.6\n"


def test_the_tool_needs_the_standard_library_only() -> None:
    script = (
        "import sys, pkgutil, importlib, patches\n"
        "for module in pkgutil.iter_modules(patches.__path__):\n"
        "    if module.name != '__main__': importlib.import_module('patches.' + module.name)\n"
        "tops = {name.partition('.')[0] for name in sys.modules}\n"
        "print(sorted(tops - set(sys.stdlib_module_names) - {'patches', '__main__'}))\n"
    )
    done = subprocess.run([sys.executable, "-S", "-c", script], cwd=tool(), capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
