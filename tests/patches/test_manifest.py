"""What the fork wrote is what its manifest says: it touches nothing else, and every version can undo every other."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from litellm.responses.litellm_completion_transformation.redis_session_patch import version
from patches import PATCHES, PatchError, apply_patches, edits, look_at, open_target, revert_patches
from patches.manifest import MANIFEST, Manifest, Patched, decode_manifest
from patches.own import build_of, files_below, read_fork_version, read_own_files
from tests.patches.trees import (
    HANDLER,
    OWN,
    RECORD,
    RUNTIME,
    SOURCES,
    STREAMING,
    TRANSFORMATION,
    make_tree,
    record_hash,
    snapshot,
    survey,
    wrong_hashes,
)

OLDER = {f"{RUNTIME}/bridge.py": b"old = 1\n", f"{RUNTIME}/gone.py": b"gone = 1\n"}
OTHER_LINES = tuple(
    dataclasses.replace(
        patch, edits=tuple(dataclasses.replace(edit, why=f"older {edit.why}") for edit in patch.edits[:1])
    )
    for patch in PATCHES
)
WITH_AND_WITHOUT = pytest.mark.parametrize("with_record", [True, False], ids=["RECORD", "no RECORD"])


def list_in_record(root: Path, path: str) -> None:
    data = (root / path).read_bytes()
    with (root / RECORD).open("a") as record:
        record.write(f"{path},{record_hash(data)},{len(data)}\n")


@pytest.fixture
def older_version(monkeypatch: pytest.MonkeyPatch) -> Callable[..., object]:
    """Applies what another version would: other files of its own, and other lines at fewer places."""

    def apply(target: object, own: dict[str, bytes] = OLDER, fork: str = "0.1.9") -> None:
        with monkeypatch.context() as changed:
            changed.setattr(edits, "PATCHES", OTHER_LINES)
            apply_patches(target, own, fork=fork)  # type: ignore[arg-type]

    return apply


def test_a_file_that_another_tool_adds_stays_through_apply_and_revert(
    tmp_path: Path, older_version: Callable[..., object]
) -> None:
    target = make_tree(tmp_path)
    older_version(target)
    (tmp_path / "litellm/added.py").write_text("added = 1\n")
    list_in_record(tmp_path, "litellm/added.py")

    apply_patches(target, OWN)
    assert wrong_hashes(tmp_path) == []
    revert_patches(target, OWN)
    assert (tmp_path / "litellm/added.py").read_text() == "added = 1\n"
    assert wrong_hashes(tmp_path) == []
    assert survey(target).state == "pristine"


def test_a_record_that_lost_a_line_costs_no_file(tmp_path: Path) -> None:
    target = make_tree(tmp_path, {"litellm/cost.py": "useful = 1\n"})
    apply_patches(target, OWN)
    lines = (tmp_path / RECORD).read_text().splitlines(keepends=True)
    (tmp_path / RECORD).write_text("".join(line for line in lines if not line.startswith("litellm/cost.py")))
    revert_patches(target, OWN)
    assert (tmp_path / "litellm/cost.py").exists()
    assert "litellm/cost.py" not in (tmp_path / RECORD).read_text()


@pytest.mark.parametrize("path", ["litellm/cost.py", f"{RUNTIME}/../../../cost.py", "/etc/hostname", "", MANIFEST])
def test_a_manifest_that_claims_other_files_is_refused(tmp_path: Path, path: str) -> None:
    target = make_tree(tmp_path, {"litellm/cost.py": "useful = 1\n"})
    apply_patches(target, OWN)
    body = json.loads((tmp_path / MANIFEST).read_text())
    body["own"][path] = [record_hash(b"useful = 1\n")]
    (tmp_path / MANIFEST).write_text(json.dumps(body))
    before = snapshot(tmp_path)
    assert survey(target).state == "edited"
    for command in (apply_patches, revert_patches):
        with pytest.raises(PatchError, match=r"manifest\.json cannot be read"):
            command(target, OWN)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    "path",
    ["litellm/\0.py", "litellm/\ud800.py", "litellm/" + "a/" * 3000 + "b.py"],
    ids=["NUL", "surrogate", "too long"],
)
def test_a_manifest_with_a_path_that_no_file_can_have_is_refused(tmp_path: Path, path: str) -> None:
    target = make_tree(tmp_path)
    apply_patches(target, OWN)
    body = json.loads((tmp_path / MANIFEST).read_text())
    body["patched"][path] = body["patched"][HANDLER] | {"record_line": None}
    (tmp_path / MANIFEST).write_text(json.dumps(body))
    before = snapshot(tmp_path)
    for command in (apply_patches, revert_patches):
        with pytest.raises(PatchError, match="cannot be read"):
            command(target, OWN)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    "line",
    ["litellm/cost.py,sha256=x,1", "", f"{HANDLER},sha256=x", f'{HANDLER},"sha256=\nx",1', f"{HANDLER},\ud800,1", 3],
    ids=["another", "none", "short", "two lines", "surrogate", "number"],
)
def test_a_manifest_whose_line_for_record_is_about_another_file_is_refused(tmp_path: Path, line: object) -> None:
    target = make_tree(tmp_path, {"litellm/cost.py": "useful = 1\n"})
    apply_patches(target, OWN)
    body = json.loads((tmp_path / MANIFEST).read_text())
    body["patched"][HANDLER]["record_line"] = line
    (tmp_path / MANIFEST).write_text(json.dumps(body))
    before = snapshot(tmp_path)
    assert survey(target).state == "edited"
    for command in (apply_patches, revert_patches):
        with pytest.raises(PatchError, match=r"manifest\.json cannot be read"):
            command(target, OWN)
    assert snapshot(tmp_path) == before


DEEP = b'{"format": 1, "own": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
NONE = [b"", b"{", b"[]", b"null", b"\xff", b'{"format": 1}', b'{"format": 1, "own": 3}', DEEP, DEEP[21:]]


@pytest.mark.parametrize("data", NONE, ids=range(len(NONE)))
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, data: bytes) -> None:
    target = make_tree(tmp_path)
    apply_patches(target, OWN)
    (tmp_path / MANIFEST).write_bytes(data)
    with pytest.raises(PatchError, match=r"manifest\.json cannot be read"):
        revert_patches(target, OWN)


def test_a_manifest_of_a_later_format_names_the_version_to_use(tmp_path: Path) -> None:
    target = make_tree(tmp_path)
    apply_patches(target, OWN)
    body = {**json.loads((tmp_path / MANIFEST).read_text()), "format": 2, "fork": "9.9.9"}
    (tmp_path / MANIFEST).write_text(json.dumps(body))
    with pytest.raises(PatchError, match=r"written by fork 9\.9\.9") as caught:
        revert_patches(target, OWN)
    assert caught.value.next_step == "use the tool of that version of the fork"


digests = st.lists(st.text(min_size=1), min_size=1, max_size=3, unique=True).map(tuple)
names = st.text("abc/_.", min_size=1, max_size=8).filter(lambda name: "/".join(Path(f"x/{name}").parts) == f"x/{name}")
manifests = st.builds(
    Manifest,
    st.text(),
    st.none() | st.text(),
    st.dictionaries(names.filter(lambda name: ".." not in name).map(f"{RUNTIME}/{{}}".format), digests),
    st.dictionaries(
        names.filter(lambda name: ".." not in name).map("litellm/{}".format),
        st.builds(Patched, st.text(), digests),
    ),
    st.text(),
    st.text(),
).map(
    lambda made: dataclasses.replace(made, patched={path: with_line(path, each) for path, each in made.patched.items()})
)


def with_line(path: str, patched: Patched) -> Patched:
    """As RECORD had it before, where what was there is one of the letters of a test."""
    return dataclasses.replace(patched, record_line=f"{path},sha256=é,1" if "a" in path else None)


@given(manifests, manifests)
def test_a_manifest_reads_back_as_it_was_and_one_over_another_names_the_files_of_both(
    new: Manifest, old: Manifest
) -> None:
    assert decode_manifest(new.encode()) == new
    assert new.encode() == decode_manifest(new.encode()).encode()
    both = decode_manifest(new.over(old).encode())
    for each in (new, old):
        assert all(set(found) <= set(both.own[path]) for path, found in each.own.items())
        assert all(set(found.after) <= set(both.patched[path].after) for path, found in each.patched.items())


@WITH_AND_WITHOUT
def test_a_stranger_in_the_forks_folder_is_named_and_left_alone(tmp_path: Path, with_record: bool) -> None:
    target = make_tree(tmp_path, with_record=with_record)
    apply_patches(target, OWN)
    strangers = {f"{RUNTIME}/bridge.py.orig": b"backup", f"{RUNTIME}/old.py": b"x = 1\n", f"{RUNTIME}/sub/dump": b"\0"}
    for path, data in strangers.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(data)
    found = survey(target)
    assert (found.state, found.tree.strangers) == ("patched", tuple(sorted(strangers)))
    assert apply_patches(target, OWN).is_empty
    revert_patches(target, OWN)
    assert {path: (tmp_path / path).read_bytes() for path in strangers} == strangers
    assert not (tmp_path / MANIFEST).exists()
    assert survey(target).state == "pristine"


def test_what_is_beside_the_forks_own_files_is_not_shipped(tmp_path: Path) -> None:
    own = read_own_files()
    for path, data in own.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    names = ("bridge.py~", "bridge.orig.py", "dump.rdb", "manifest.json", ".#store.py", "values/x.py.rej")
    beside = [f"{RUNTIME}/{name}" for name in names]
    for path in beside:
        (tmp_path / path).write_text("x = 1\n")
    (tmp_path / RUNTIME / "__pycache__").mkdir()
    (tmp_path / RUNTIME / "__pycache__/bridge.cpython-311.pyc").touch()
    assert read_own_files(tmp_path) == own
    assert set(files_below(tmp_path)) == {*own, *beside}


def test_every_module_of_the_folder_is_shipped(tmp_path: Path) -> None:
    for path in ("version.py", "new.py", "values/deep/other.py"):
        (tmp_path / RUNTIME / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / RUNTIME / path).write_text('FORK_VERSION = "9.9.9"\n')
    shipped = [f"{RUNTIME}/{path}" for path in ("new.py", "values/deep/other.py", "version.py")]
    assert list(read_own_files(tmp_path)) == shipped
    assert read_fork_version(tmp_path) == "9.9.9"


@WITH_AND_WITHOUT
def test_versions_replace_each_other_up_and_down_and_each_reverts_the_other(
    tmp_path: Path, with_record: bool, older_version: Callable[..., object]
) -> None:
    target = make_tree(tmp_path, with_record=with_record)
    before = snapshot(tmp_path)
    apply_patches(target, OWN, fork="0.2.0")
    patched = snapshot(tmp_path)
    for _ in range(2):
        older_version(target)
        found = survey(target)
        assert (found.state, found.is_current) == ("outdated", False)
        assert f"another build of the fork (0.1.9, build {build_of(OLDER)})" in found.why
        assert (tmp_path / RUNTIME / "gone.py").exists() and not (tmp_path / RUNTIME / "deep").exists()
        assert not with_record or wrong_hashes(tmp_path) == []
        apply_patches(target, OWN, fork="0.2.0")
        assert snapshot(tmp_path) == patched
    older_version(target)
    revert_patches(target, OWN)
    assert snapshot(tmp_path) == before
    apply_patches(target, OWN)
    revert_patches(target, OLDER)
    assert snapshot(tmp_path) == before


def test_another_build_of_the_same_version_is_outdated_and_brought_up_to_date(tmp_path: Path) -> None:
    target = make_tree(tmp_path)
    before = snapshot(tmp_path)
    other = {**OWN, f"{RUNTIME}/bridge.py": OWN[f"{RUNTIME}/bridge.py"] + b"# other\n"}
    apply_patches(target, other, fork="0.2.0")
    found = look_at(target, OWN, "0.2.0")
    assert found.state == "outdated"
    assert found.tree.manifest and (found.tree.manifest.build, found.new.build) == (build_of(other), build_of(OWN))
    apply_patches(target, OWN, fork="0.2.0")
    assert look_at(target, OWN, "0.2.0").state == "patched"
    apply_patches(target, other, fork="0.2.0")
    revert_patches(target, OWN)
    assert snapshot(tmp_path) == before


def test_a_manifest_of_a_build_that_did_not_name_itself_is_taken(tmp_path: Path) -> None:
    target = make_tree(tmp_path)
    before = snapshot(tmp_path)
    apply_patches(target, OWN)
    body = json.loads((tmp_path / MANIFEST).read_text())
    del body["build"]
    (tmp_path / MANIFEST).write_text(json.dumps(body))
    assert "build unknown" in survey(target).why
    revert_patches(target, OWN)
    assert snapshot(tmp_path) == before


def test_the_build_is_what_the_runtime_says_of_itself() -> None:
    assert build_of(read_own_files()) == version.BUILD


@given(st.dictionaries(names, st.binary()), st.dictionaries(names, st.binary()))
def test_other_files_are_another_build(one: dict[str, bytes], two: dict[str, bytes]) -> None:
    assert (build_of(one) == build_of(two)) is (one == two)
    assert build_of(dict(reversed(one.items()))) == build_of(one)


def test_a_version_that_differs_in_nothing_but_its_number_writes_the_number(tmp_path: Path) -> None:
    target = make_tree(tmp_path)
    apply_patches(target, OWN, fork="0.2.0")
    done = apply_patches(target, OWN, fork="0.2.1")
    assert {step.path for step in done.plan.steps} == {MANIFEST, RECORD}
    assert json.loads((tmp_path / MANIFEST).read_text())["fork"] == "0.2.1"
    assert wrong_hashes(tmp_path) == []


versions = st.lists(
    st.tuples(
        st.sampled_from(["0.1.9", "0.2.0", "0.3.0"]),
        st.dictionaries(
            st.sampled_from(["bridge", "deep/startup", "gone", "new"]), st.sampled_from([b"a = 1\n", b"b\n"])
        ),
        st.sampled_from([PATCHES, OTHER_LINES, PATCHES[2:]]),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=40, deadline=None)
@given(versions, st.booleans())
def test_any_row_of_versions_ends_as_the_last_one_alone_and_reverts_to_nothing(
    tmp_path_factory: pytest.TempPathFactory, row: list, with_record: bool
) -> None:
    roots = [tmp_path_factory.mktemp("row") for _ in range(2)]
    with pytest.MonkeyPatch.context() as changed:
        targets = [make_tree(root, with_record=with_record) for root in roots]
        before = snapshot(roots[0])
        for fork, modules, patches in row:
            changed.setattr(edits, "PATCHES", patches)
            own = {f"{RUNTIME}/{name}.py": data for name, data in modules.items()}
            apply_patches(targets[0], own, fork=fork)
        apply_patches(targets[1], own, fork=fork)
        assert snapshot(roots[0]) == snapshot(roots[1])
        assert not with_record or wrong_hashes(roots[0]) == []
    revert_patches(targets[0], OWN)
    assert snapshot(roots[0]) == before
    for root in roots:
        shutil.rmtree(root)


@WITH_AND_WITHOUT
def test_the_forks_lines_without_a_manifest_are_refused_and_say_the_way_out(tmp_path: Path, with_record: bool) -> None:
    """As 0.1 left a tree, which kept none, or after somebody deleted it: nothing proves what may go."""
    target = make_tree(tmp_path, with_record=with_record)
    apply_patches(target, OWN)
    (tmp_path / MANIFEST).unlink()
    before = snapshot(tmp_path)
    assert survey(target).state == "edited"
    for command in (apply_patches, revert_patches):
        with pytest.raises(PatchError, match="has lines of the fork, and no manifest says whose") as caught:
            command(target, OWN)
        assert ("pip install --target" if with_record else "git checkout") in caught.value.next_step
    assert snapshot(tmp_path) == before


def test_a_manifest_that_says_another_thing_of_before_is_refused(tmp_path: Path) -> None:
    target = make_tree(tmp_path)
    apply_patches(target, OWN)
    body = json.loads((tmp_path / MANIFEST).read_text())
    body["patched"][HANDLER]["before"] = record_hash(b"another text")
    (tmp_path / MANIFEST).write_text(json.dumps(body))
    before = snapshot(tmp_path)
    with pytest.raises(PatchError, match=r"handler\.py does not come out as its manifest says"):
        revert_patches(target, OWN)
    assert snapshot(tmp_path) == before


def test_a_tree_patched_through_git_apply_is_recognised_and_mended(tmp_path: Path) -> None:
    target = make_tree(tmp_path)
    before = snapshot(tmp_path)
    record = (tmp_path / RECORD).read_bytes()
    apply_patches(target, OWN)
    patched = snapshot(tmp_path)
    for mend, wanted in ((apply_patches, patched), (revert_patches, before)):
        apply_patches(target, OWN)
        (tmp_path / RECORD).write_bytes(record)
        assert survey(target).state == "half-applied"
        mend(target, OWN)
        assert snapshot(tmp_path) == wanted


def test_a_checkout_of_another_release_under_the_fork_is_patched_anew(tmp_path: Path) -> None:
    """As git leaves it: upstream's files are another release's, the fork's folder is untracked and stays."""
    target = make_tree(tmp_path, with_record=False)
    apply_patches(target, OWN)
    newer = {path: text + "\nNEWER = True\n" for path, text in SOURCES.items() if path in (HANDLER, STREAMING)}
    for path, text in {**SOURCES, **newer}.items():
        (tmp_path / path).write_text(text)
    assert survey(target).state == "half-applied"
    apply_patches(target, OWN)
    assert survey(target).state == "patched"
    revert_patches(target, OWN)
    assert (tmp_path / HANDLER).read_text() == newer[HANDLER]


def test_a_wheel_unpacked_over_a_patched_tree_is_patched_anew(tmp_path: Path) -> None:
    target = make_tree(tmp_path)
    apply_patches(target, OWN)
    shutil.rmtree(tmp_path / "litellm-1.106.2.dist-info")
    newer = {HANDLER: SOURCES[HANDLER] + "\nNEWER = True\n"}
    other = tmp_path / "other"
    make_tree(other, newer)
    shutil.copytree(other, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(other)
    before = {path: (tmp_path / path).read_bytes() for path in (HANDLER, TRANSFORMATION, RECORD)}
    target = open_target(tmp_path)
    apply_patches(target, OWN)
    assert (survey(target).state, wrong_hashes(tmp_path)) == ("patched", [])
    revert_patches(target, OWN)
    assert {path: (tmp_path / path).read_bytes() for path in before} == before
