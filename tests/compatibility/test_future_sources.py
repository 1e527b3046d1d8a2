"""Any future source: the fork stands where it did, or the tool refuses and writes nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patches import PatchError, Target, apply_patches, revert_patches
from patches.catalogue import upstream_files
from patches.places import HANDLER, STREAMING, TRANSFORMATION, TRANSPORT
from tests.compatibility.mutations import CHANGES, HARMLESS, Mutation, Placement, placements_in
from tests.patches.trees import NEWEST, OWN, SOURCES, make_tree, snapshot, survey, wrong_hashes

# The transport is marked where it hides what broke, and nowhere else: it may change as it likes.
FILES = sorted({*upstream_files()} - {TRANSPORT})
RELEASES = {"1.106.2": SOURCES, "1.109.1": {**SOURCES, **NEWEST}}


def placements(root: Path) -> dict[str, tuple[Placement, ...]]:
    return {path: placements_in((root / path).read_text()) for path in FILES if (root / path).exists()}


def patched_placements(sources: Mapping[str, str], version: str) -> dict[str, tuple[Placement, ...]]:
    with tempfile.TemporaryDirectory() as folder:
        apply_patches(make_tree(Path(folder), sources, version), OWN)
        return placements(Path(folder))


PLACES = [(version, path) for version, sources in RELEASES.items() for path in FILES if path in sources]
EXPECTED = {version: patched_placements(sources, version) for version, sources in RELEASES.items()}


def is_refused(target: Target) -> bool:
    """Applies; whichever way it goes, everything that must hold then is checked."""
    before = snapshot(target.root)
    try:
        apply_patches(target, OWN)
    except PatchError as error:
        assert snapshot(target.root) == before, "a refusal must write nothing"
        assert error.sentence and "\n" not in error.sentence
        assert error.sentence.split(": ")[0] in FILES, f"which file is it? {error.sentence}"
        return True
    assert survey(target).state == "patched"
    assert wrong_hashes(target.root) == []
    return False


def expect_the_usual_places(target: Target, version: str, before: dict) -> None:
    found = placements(target.root)
    for path, usual in EXPECTED[version].items():
        assert [(each.slug, each.line, each.scope) for each in found[path]] == [
            (each.slug, each.line, each.scope) for each in usual
        ], path
    revert_patches(target, OWN)
    assert snapshot(target.root) == before


def test_the_reader_of_places_reads_the_three_that_matter() -> None:
    found = {(path, each.line): each for path, all_of in EXPECTED["1.106.2"].items() for each in all_of}
    lookup = found[TRANSFORMATION, "@_patch_get_session_from_redis"]
    assert lookup.scope == "ClassDef LiteLLMCompletionResponsesConfig.async def async_responses_api_session_handler"
    stream = found[STREAMING, "@_patch_store_stream_in_redis"]
    assert stream.scope == "ClassDef LiteLLMCompletionStreamingIterator.async def __anext__"
    store = found[HANDLER, "_patch_keep_answer(responses_api_response, litellm_completion_response)"]
    assert store.scope == "ClassDef LiteLLMCompletionTransformationHandler.async def async_response_api_handler"
    assert store.following == "return responses_api_response"


@pytest.mark.parametrize("version, path", PLACES)
@pytest.mark.parametrize("mutation", [*HARMLESS, *CHANGES], ids=lambda each: each.name)
def test_one_change_in_one_file(mutation: Mutation, path: str, version: str, tmp_path: Path) -> None:
    changed = mutation.change(RELEASES[version][path])
    if changed is None:
        return
    target = make_tree(tmp_path, {**RELEASES[version], path: changed}, version)
    before = snapshot(tmp_path)
    if is_refused(target):
        assert not mutation.fits
    else:
        expect_the_usual_places(target, version, before)


@pytest.mark.parametrize("version, path", PLACES)
def test_a_file_that_is_gone(path: str, version: str, tmp_path: Path) -> None:
    assert is_refused(make_tree(tmp_path, {**RELEASES[version], path: None}, version))


@settings(max_examples=60)
@given(
    version=st.sampled_from(sorted(RELEASES)),
    changes=st.lists(st.tuples(st.sampled_from(FILES), st.sampled_from([*HARMLESS, *CHANGES])), min_size=1, max_size=5),
)
def test_many_changes_at_once(version: str, changes: list[tuple[str, Mutation]]) -> None:
    sources = dict(RELEASES[version])
    for path, mutation in changes:
        if path not in sources:
            continue
        try:
            sources[path] = mutation.change(sources[path]) or sources[path]
        except SyntaxError:
            continue  # an earlier change broke it already
    with tempfile.TemporaryDirectory() as folder:
        target = make_tree(Path(folder), sources, version)
        before = snapshot(Path(folder))
        if not is_refused(target):
            expect_the_usual_places(target, version, before)
