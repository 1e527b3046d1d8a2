"""The whole way on small trees: apply, status, revert, and what must never be touched."""

from __future__ import annotations

import os
import py_compile
import stat
import subprocess
from collections.abc import Callable, Collection
from pathlib import Path

import pytest

from patches import PatchError, apply_patches, open_target, plan_apply, plan_revert, revert_patches
from patches.apply import Done
from patches.disk import Disk
from patches.manifest import MANIFEST
from tests.patches.trees import (
    HANDLER,
    NEWEST,
    OWN,
    PROXY_SERVER,
    RESPONSE_CACHE,
    ROUTING,
    RUNTIME,
    SESSION,
    SOURCES,
    STREAMING,
    TRANSFORMATION,
    make_tree,
    snapshot,
    survey,
    write_record,
    wrong_hashes,
)

RECORD = "litellm-1.106.2.dist-info/RECORD"
BYTECODE = f"{Path(HANDLER).parent}/__pycache__"


def test_apply_and_revert_leave_no_trace(tmp_path: Path) -> None:
    target = make_tree(tmp_path)
    before = snapshot(tmp_path)

    apply_patches(target, OWN)
    assert survey(target).state == "patched"
    assert snapshot(tmp_path) != before

    revert_patches(target, OWN)
    assert survey(target).state == "pristine"
    assert snapshot(tmp_path) == before


def test_every_call_site_gets_its_lines_in_the_right_place(tmp_path: Path) -> None:
    apply_patches(make_tree(tmp_path), OWN)

    handler = (tmp_path / HANDLER).read_text()
    assert (
        "            # >>> PATCH redis-session-store: the answer is kept until its reply leaves\n"
        "            from litellm.responses.litellm_completion_transformation.transformation import (\n"
        "                _patch_keep_answer,\n"
        "            )\n"
        "            _patch_keep_answer(responses_api_response, litellm_completion_response)\n"
        "            # <<< PATCH redis-session-store\n"
        "            return responses_api_response\n"
        "        return inner()\n"
    ) in handler
    assert "    @_patch_remember_request\n    # <<< PATCH redis-session-store\n    async def async_resp" in handler
    routing = (tmp_path / ROUTING).read_text()
    assert "@_patch_take_client_request\n# <<< PATCH redis-session-store\nasync def route_request(" in routing
    assert "    @_patch_store_stream_in_redis\n    # <<< PATCH" in (tmp_path / STREAMING).read_text()
    session = (tmp_path / SESSION).read_text()
    assert session.index("@staticmethod") < session.index("@_patch_note_history") < session.index("async def")
    assert "    @_patch_note_rows\n    # <<< PATCH redis-session-lookup\n    async def get_all_spend_logs" in session
    transformation = (tmp_path / TRANSFORMATION).read_text()
    assert (
        "    @_patch_get_session_from_redis\n    # <<< PATCH redis-session-lookup\n    async def async_resp"
        in transformation
    )
    cache = (tmp_path / RESPONSE_CACHE).read_text()
    assert '"""\n        # >>> PATCH redis-session-response-cache: ' in cache
    assert "        if _patch_is_cached_as_chat(self, original_function):\n            return False\n" in cache
    assert transformation.endswith(
        "\nTOOL_CALLS_CACHE = _patch_without_known_calls(TOOL_CALLS_CACHE)\n# <<< PATCH redis-session-helpers\n"
    )
    assert (
        (tmp_path / PROXY_SERVER)
        .read_text()
        .endswith("_patch_announce_at_startup(app)\n# <<< PATCH redis-session-start\n")
    )


def test_taking_the_marked_lines_out_by_hand_is_the_same_as_revert(tmp_path: Path) -> None:
    apply_patches(make_tree(tmp_path), OWN)
    for path, text in SOURCES.items():
        kept, inside = [], False
        for line in (tmp_path / path).read_text().splitlines(keepends=True):
            inside = inside or "# >>> PATCH" in line
            if not inside:
                kept.append(line)
            inside = inside and "# <<< PATCH" not in line
        assert "".join(kept) == text


def test_applying_twice_writes_nothing_the_second_time(tmp_path: Path) -> None:
    target = make_tree(tmp_path)
    apply_patches(target, OWN)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    inodes = {path: path.stat().st_ino for path in tmp_path.rglob("*")}

    assert apply_patches(target, OWN).is_empty
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    assert {path: path.stat().st_ino for path in tmp_path.rglob("*")} == inodes


def test_reverting_a_pristine_tree_does_nothing(tmp_path: Path) -> None:
    target = make_tree(tmp_path)
    before = snapshot(tmp_path)
    assert revert_patches(target, OWN).is_empty
    assert snapshot(tmp_path) == before


def test_record_is_right_after_apply_and_as_before_after_revert(tmp_path: Path) -> None:
    target = make_tree(tmp_path)
    record = (tmp_path / RECORD).read_bytes()

    apply_patches(target, OWN)
    assert wrong_hashes(tmp_path) == []
    assert f"{RUNTIME}/bridge.py" in (tmp_path / RECORD).read_text()

    revert_patches(target, OWN)
    assert (tmp_path / RECORD).read_bytes() == record
    assert wrong_hashes(tmp_path) == []


def test_a_record_with_crlf_and_no_last_ending_comes_back_byte_for_byte(tmp_path: Path) -> None:
    target = make_tree(tmp_path)
    record = (tmp_path / RECORD).read_bytes().replace(b"\n", b"\r\n")[:-2]
    (tmp_path / RECORD).write_bytes(record)
    apply_patches(target, OWN)
    assert wrong_hashes(tmp_path) == []
    revert_patches(target, OWN)
    assert (tmp_path / RECORD).read_bytes() == record


def test_a_tree_without_record_works_too(tmp_path: Path) -> None:
    target = make_tree(tmp_path, with_record=False)
    before = snapshot(tmp_path)
    apply_patches(target, OWN)
    assert survey(target).state == "patched"
    assert apply_patches(target, OWN).is_empty
    revert_patches(target, OWN)
    assert snapshot(tmp_path) == before


def test_a_git_checkout_takes_its_version_from_its_pyproject(tmp_path: Path) -> None:
    make_tree(tmp_path, with_record=False)
    for path in (tmp_path / "litellm-1.106.2.dist-info").iterdir():
        path.unlink()
    (tmp_path / "litellm-1.106.2.dist-info").rmdir()
    assert open_target(tmp_path).version is None
    (tmp_path / "pyproject.toml").write_text(
        '[tool.other]\nversion = "9"\n[tool.poetry]\nname = "litellm"\nversion = "1.85.7"\n'
    )
    assert open_target(tmp_path).version == "1.85.7"


def test_an_unknown_version_is_patched_when_every_anchor_fits(tmp_path: Path) -> None:
    make_tree(tmp_path, NEWEST, with_record=False)
    for path in (tmp_path / "litellm-1.106.2.dist-info").iterdir():
        path.unlink()
    (tmp_path / "litellm-1.106.2.dist-info").rmdir()
    target = open_target(tmp_path)
    apply_patches(target, OWN)
    assert survey(target).state == "patched"
    text = (tmp_path / SESSION).read_text()
    assert "@_patch_get_stored_turns_from_redis\n" in text and "@_patch_note_history\n" in text
    assert "_patch_get_session_from_redis" not in text


def test_a_release_whose_lookups_are_in_another_package_is_served_in_its_session_step(
    tmp_path: Path,
) -> None:
    target = make_tree(tmp_path, {SESSION: None}, version="1.74.15")
    before = snapshot(tmp_path)
    apply_patches(target, OWN)
    text = (tmp_path / TRANSFORMATION).read_text()
    assert "    @_patch_get_session_from_redis\n    # <<< PATCH redis-session-lookup\n    async def async_resp" in text
    revert_patches(target, OWN)
    assert snapshot(tmp_path) == before


def test_a_hard_linked_cache_is_never_written_through(tmp_path: Path) -> None:
    cache, site = tmp_path / "cache", tmp_path / "site"
    make_tree(cache)
    for path in cache.rglob("*"):
        if path.is_file():
            copy = site / path.relative_to(cache)
            copy.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, copy)
    before = snapshot(cache)
    target = open_target(site)
    apply_patches(target, OWN)
    assert snapshot(cache) == before
    revert_patches(target, OWN)
    assert snapshot(cache) == before == snapshot(site)


def test_stale_bytecode_goes(tmp_path: Path) -> None:
    target = make_tree(tmp_path)
    unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
    compiled = Path(str(py_compile.compile(str(tmp_path / STREAMING), doraise=True, invalidation_mode=unchecked)))
    foreign = compiled.with_name("streaming_iterator.cpython-38.pyc")
    foreign.write_bytes(b"old")
    neighbour = compiled.with_name("streaming_iterator_more.cpython-38.pyc")
    neighbour.write_bytes(b"not ours")

    apply_patches(target, OWN)
    assert not compiled.exists() and not foreign.exists()
    assert neighbour.read_bytes() == b"not ours"

    py_compile.compile(str(tmp_path / RUNTIME / "bridge.py"))
    py_compile.compile(str(tmp_path / STREAMING))
    revert_patches(target, OWN)
    assert not compiled.exists()
    assert not (tmp_path / RUNTIME).exists()


def test_modes_are_kept_and_new_files_take_their_neighbours(tmp_path: Path) -> None:
    target = make_tree(tmp_path)
    (tmp_path / HANDLER).chmod(0o640)
    (tmp_path / TRANSFORMATION).chmod(0o604)
    apply_patches(target, OWN)
    assert stat.S_IMODE((tmp_path / HANDLER).stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / RUNTIME / "bridge.py").stat().st_mode) == 0o604
    revert_patches(target, OWN)
    assert stat.S_IMODE((tmp_path / HANDLER).stat().st_mode) == 0o640


@pytest.mark.parametrize("path", [TRANSFORMATION, HANDLER, PROXY_SERVER])
def test_a_foreign_edit_before_apply_is_refused(tmp_path: Path, path: str) -> None:
    target = make_tree(tmp_path)
    (tmp_path / path).write_text(SOURCES[path] + "# mine\n")
    before = snapshot(tmp_path)
    assert survey(target).state == "edited"
    for command in (apply_patches, revert_patches):
        with pytest.raises(PatchError, match=path):
            command(target, OWN)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("with_record", [True, False])
@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        (HANDLER, "_patch_keep_answer(responses", "_patch_keep_answer( responses"),
        (HANDLER, "# <<< PATCH redis-session-store\n            return", "            return"),
        (f"{RUNTIME}/bridge.py", "None", "True"),
        (
            TRANSFORMATION,
            "# >>> PATCH redis-session-helpers: the fork",
            "# >>> PATCH redis-session-helpers: The fork",
        ),
    ],
)
def test_a_foreign_edit_of_our_own_lines_is_refused(
    tmp_path: Path, path: str, old: str, new: str, with_record: bool
) -> None:
    target = make_tree(tmp_path, with_record=with_record)
    apply_patches(target, OWN)
    text = (tmp_path / path).read_text()
    assert old in text
    (tmp_path / path).write_text(text.replace(old, new))
    before = snapshot(tmp_path)
    assert survey(target).state == "edited"
    for command in (apply_patches, revert_patches):
        with pytest.raises(PatchError, match=path):
            command(target, OWN)
    assert snapshot(tmp_path) == before


def test_a_foreign_edit_outside_the_blocks_after_apply_is_refused(tmp_path: Path) -> None:
    target = make_tree(tmp_path)
    apply_patches(target, OWN)
    with (tmp_path / STREAMING).open("a") as file:
        file.write("# mine\n")
    before = snapshot(tmp_path)
    for command in (apply_patches, revert_patches):
        with pytest.raises(PatchError, match="was changed since the fork wrote it"):
            command(target, OWN)
    assert snapshot(tmp_path) == before


def test_somebody_elses_file_in_our_place_is_refused(tmp_path: Path) -> None:
    target = make_tree(tmp_path)
    (tmp_path / RUNTIME).mkdir()
    (tmp_path / RUNTIME / "bridge.py").write_text("mine = 1\n")
    before = snapshot(tmp_path)
    with pytest.raises(PatchError, match="is not the fork's file"):
        apply_patches(target, OWN)
    assert snapshot(tmp_path) == before


def test_upstream_shipping_a_file_of_our_name_is_refused(tmp_path: Path) -> None:
    target = make_tree(tmp_path, {f"{RUNTIME}/bridge.py": "upstream = 1\n"})
    with pytest.raises(PatchError, match="is upstream's"):
        apply_patches(target, OWN)


def test_one_block_taken_out_by_hand_is_half_applied_and_mended(tmp_path: Path) -> None:
    target = make_tree(tmp_path)
    apply_patches(target, OWN)
    patched = snapshot(tmp_path)
    (tmp_path / STREAMING).write_text(SOURCES[STREAMING])
    assert survey(target).state == "half-applied"
    apply_patches(target, OWN)
    assert snapshot(tmp_path) == patched


@pytest.mark.parametrize("version", ["1.82.7", "1.82.8", "1.107.0"])
def test_a_withdrawn_release_is_refused(tmp_path: Path, version: str) -> None:
    target = make_tree(tmp_path, version=version)
    before = snapshot(tmp_path)
    assert survey(target).state == "unsupported"
    with pytest.raises(PatchError, match="withdrawn from the registry as compromised"):
        apply_patches(target, OWN)
    assert snapshot(tmp_path) == before


def test_a_release_older_than_the_first_supported_is_refused(tmp_path: Path) -> None:
    target = make_tree(tmp_path, version="1.67.4")
    with pytest.raises(PatchError, match=r"older than 1\.68\.0"):
        apply_patches(target, OWN)


BOTH = pytest.mark.parametrize("command", [apply_patches, revert_patches], ids=["apply", "revert"])


@BOTH
def test_leftover_temporary_files_are_removed(tmp_path: Path, command: Callable[..., object]) -> None:
    target = make_tree(tmp_path)
    command(target, OWN)
    before = snapshot(tmp_path)
    Disk().write_beside(tmp_path / HANDLER, b"half", like=tmp_path / HANDLER)
    Disk().write_beside(tmp_path / RECORD, b"half", like=tmp_path / RECORD)
    assert survey(target).state == "half-applied"
    command(target, OWN)
    assert snapshot(tmp_path) == before


@BOTH
def test_files_that_only_look_like_them_stay(tmp_path: Path, command: Callable[..., Done]) -> None:
    """Somebody's notes, another tool's file, one of ours that is for a file of another folder."""
    target = make_tree(tmp_path)
    command(target, OWN)
    ours = Disk().write_beside(tmp_path / PROXY_SERVER, b"of the proxy", like=tmp_path / HANDLER)
    other = [".redis-session-patch-1.tmp", ".redis-session-patch-notes.txt", f".redis-session-patch-{'0' * 33}.tmp"]
    for name in (*other, ours.name):
        (tmp_path / HANDLER).with_name(name).write_bytes(b"somebody's")
    ours.unlink()
    before = snapshot(tmp_path)
    assert survey(target).state in ("pristine", "patched")
    assert command(target, OWN).is_empty
    assert snapshot(tmp_path) == before


@BOTH
@pytest.mark.parametrize(
    "path", [HANDLER, RECORD, "litellm/responses", "litellm-1.106.2.dist-info", RUNTIME, MANIFEST, BYTECODE]
)
def test_a_symbolic_link_in_the_way_is_refused_before_anything_is_written(
    tmp_path: Path, path: str, command: Callable[..., object]
) -> None:
    target = make_tree(tmp_path / "tree")
    if command is revert_patches:
        apply_patches(target, OWN)
    elif path == MANIFEST:
        (target.root / RUNTIME).mkdir()
    link, elsewhere = target.root / path, tmp_path / "elsewhere"
    if link.exists():
        link.rename(elsewhere)
    elif path in (RUNTIME, BYTECODE):
        elsewhere.mkdir()
        (elsewhere / "handler.cpython-311.pyc").touch()
    link.symlink_to(elsewhere)
    before, behind = snapshot(target.root), snapshot(tmp_path)
    with pytest.raises(PatchError, match=f"{path}: is a symbolic link") as caught:
        command(target, OWN)
    assert caught.value.exit_code == 1
    assert (snapshot(target.root), snapshot(tmp_path), link.is_symlink()) == (before, behind, True)
    if link.exists():  # what it tells to do helps
        subprocess.run(["sh", "-c", caught.value.next_step.partition(": ")[2]], check=True)
        command(target, OWN)
        assert not link.is_symlink()
        assert survey(target).state == ("patched" if command is apply_patches else "pristine")


def test_a_link_where_nothing_is_written_is_not_in_the_way(tmp_path: Path) -> None:
    make_tree(tmp_path / "tree")
    used = tmp_path / "tree/litellm/utils.py"
    used.rename(tmp_path / "elsewhere")
    used.symlink_to(tmp_path / "elsewhere")
    (tmp_path / "link").symlink_to(tmp_path / "tree")
    target = open_target(tmp_path / "link")
    apply_patches(target, OWN)
    revert_patches(target, OWN)
    assert used.is_symlink()


class LyingDisk(Disk):
    """Says that it wrote one file, and writes less; or that it removed it, and keeps it."""

    def __init__(self, path: str) -> None:
        self.path = path

    def write_beside(self, path: Path, data: bytes, like: Path, not_at: Collection[int] = ()) -> Path:
        return super().write_beside(path, data[:-1] if path.as_posix().endswith(self.path) else data, like, not_at)

    def remove(self, path: Path) -> None:
        if not path.as_posix().endswith(self.path):
            super().remove(path)


@BOTH
@pytest.mark.parametrize("with_record", [True, False], ids=["RECORD", "no RECORD"])
@pytest.mark.parametrize("path", [HANDLER, MANIFEST, f"{RUNTIME}/bridge.py", RECORD])
def test_what_was_written_is_read_again_and_what_is_not_proved_has_a_code_of_its_own(
    tmp_path: Path, path: str, with_record: bool, command: Callable[..., object]
) -> None:
    if path == RECORD and not with_record:
        path = PROXY_SERVER
    target = make_tree(tmp_path, with_record=with_record)
    if command is revert_patches:
        apply_patches(target, OWN)
    with pytest.raises(PatchError, match=path) as caught:
        command(target, OWN, LyingDisk(path))
    assert caught.value.exit_code == 4
    assert "is not what it should be after the" in caught.value.sentence and caught.value.next_step


def test_what_cannot_be_read_again_is_not_proved(tmp_path: Path) -> None:
    class Replacing(Disk):
        def sync_folder(self, path: Path) -> None:
            if path.name == "redis_session_patch":
                (path / "bridge.py").unlink()
                (path / "bridge.py").mkdir()

    with pytest.raises(PatchError, match=r"bridge\.py: cannot be read after the apply") as caught:
        apply_patches(make_tree(tmp_path), OWN, Replacing())
    assert caught.value.exit_code == 4


@pytest.mark.parametrize(
    "digest",
    ["shake_256=AAAA", "shake_128=", "sha257=AAAA", "=AAAA", "AAAA", "\udc80=AAAA", "a\0b="],
    ids=["shake", "none of shake", "unknown", "no name", "no value", "bytes", "NUL"],
)
def test_a_hash_in_record_that_nobody_can_calculate_is_none(tmp_path: Path, digest: str) -> None:
    target = make_tree(tmp_path)
    record = (tmp_path / RECORD).read_text().splitlines(keepends=True)
    odd = [f"{HANDLER},{digest},1\n" if line.startswith(HANDLER) else line for line in record]
    (tmp_path / RECORD).write_bytes("".join(odd).encode("utf-8", "surrogateescape"))
    before = snapshot(tmp_path)
    apply_patches(target, OWN)
    assert revert_patches(target, OWN).unproved == (HANDLER,)
    assert snapshot(tmp_path) == before


def test_plans_are_made_without_touching_the_disk(tmp_path: Path) -> None:
    target = make_tree(tmp_path)
    before = snapshot(tmp_path)
    plan = plan_apply(survey(target))
    order = [step.path for step in plan.steps]
    assert order[:2] == [MANIFEST, RECORD]
    assert max(map(order.index, OWN)) < order.index(TRANSFORMATION) < order.index(HANDLER)
    assert order.index(TRANSFORMATION) < order.index(STREAMING)
    assert order[-1] == PROXY_SERVER
    assert plan_revert(survey(target)).is_empty
    assert snapshot(tmp_path) == before


def test_records_of_other_packages_stay_out_of_it(tmp_path: Path) -> None:
    other = tmp_path / "litellm_enterprise-1.0.dist-info"
    other.mkdir(parents=True)
    (other / "RECORD").write_text("x,,\n")
    make_tree(tmp_path, with_record=False)
    write_record(tmp_path, tmp_path / "litellm-1.106.2.dist-info")
    apply_patches(open_target(tmp_path), OWN)
    assert (other / "RECORD").read_text() == "x,,\n"


def test_two_dist_infos_are_ambiguous(tmp_path: Path) -> None:
    make_tree(tmp_path)
    (tmp_path / "litellm-1.85.7.dist-info").mkdir()
    with pytest.raises(PatchError, match=r"expected one litellm dist-info, found 2"):
        open_target(tmp_path)
