"""Each declared meaning, broken once in the real sources of a release, is refused or said to be untried."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from functools import lru_cache

import pytest

from lab.trees import installed_release, tree
from patches.catalogue import upstream_files
from patches.needs import needed_files

from .meaning import PASSED, REFUSED, SAID, Mutation, edited_functions, mutations_for, patched, verdict
from .placements import Placement, placements_in
from .trees import HANDLER, TRANSFORMATION

RELEASE = installed_release()


@lru_cache(maxsize=1)
def sources() -> Mapping[str, bytes]:
    root = tree("pristine")
    paths = {*upstream_files(), *needed_files()}
    return {path: (root / path).read_bytes() for path in sorted(paths) if (root / path).is_file()}


def mutations() -> list[Mutation]:
    return list(mutations_for(RELEASE, edited_functions(sources(), RELEASE), sources()))


@pytest.mark.parametrize("mutation", mutations(), ids=lambda mutation: mutation.name)
def test_a_lost_meaning_is_refused_or_said(mutation: Mutation) -> None:
    changed = mutation.applied_to(sources()[mutation.file])
    assert changed is not None, "nothing is broken"
    assert verdict(sources(), RELEASE, {mutation.file: changed}) in (REFUSED, SAID)


HARMLESS: Mapping[str, Callable[[str], str]] = {
    "another layout": lambda text: ast.unparse(ast.parse(text)) + "\n",
    "a licence above": lambda text: f"# a new licence\n# of two lines\n\n{text}",
    "newcomers below": lambda text: f"{text}\n\nclass Newcomer:\n    async def __anext__(self):\n        return self\n",
}


@pytest.mark.parametrize("path", sorted(sources()))
@pytest.mark.parametrize("change", HARMLESS)
def test_what_changes_no_meaning_fits_and_the_lines_stand_where_they_did(change: str, path: str) -> None:
    changed = HARMLESS[change](sources()[path].decode()).encode()
    assert changed != sources()[path]
    assert verdict(sources(), RELEASE, {path: changed}) == PASSED
    if path in upstream_files():
        assert places_of({**sources(), path: changed}, path) == places_of(sources(), path)


def places_of(files: Mapping[str, bytes], path: str) -> list[Placement]:
    """Without the import of a decorator's helper, which stands above its class."""
    return [
        each
        for each in placements_in(patched(files, RELEASE, path).decode())
        if each.scope or not each.line.startswith(")")
    ]


def test_the_reader_of_places_reads_a_decorator_a_line_and_an_end() -> None:
    found = {each.line: each.scope for path in (HANDLER, TRANSFORMATION) for each in places_of(sources(), path)}
    handle = "ClassDef LiteLLMCompletionTransformationHandler.async def async_response_api_handler"
    assert found["@_patch_remember_request"] == handle
    assert found["_patch_keep_answer(responses_api_response, litellm_completion_response)"] == handle
    assert found["TOOL_CALLS_CACHE = _patch_without_known_calls(TOOL_CALLS_CACHE)"] == ""
