"""What the fork uses of LiteLLM is declared: each import of its runtime, and each kind of need means something."""

from __future__ import annotations

import ast

import pytest

from lab.trees import ROOT
from patches import PatchError
from patches.catalogue import PATCHES
from patches.manifest import FOLDER
from patches.needs import read_needs, unmet_needs
from patches.releases import version_number

from .trees import HANDLER, SOURCES, STREAMING

KINDS = {"is", "takes", "binds", "has", "defines", "uses", "calls", "says"}


def imports() -> set[tuple[str, str]]:
    """(module of LiteLLM, name) of the runtime's own imports; its floors import each other relatively."""
    found = set()
    for path in (ROOT / FOLDER).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.ImportFrom) and not node.level and str(node.module).partition(".")[0] == "litellm":
                found |= {(str(node.module), alias.name) for alias in node.names}
    return found


@pytest.mark.parametrize("module, name", sorted(imports()))
def test_each_import_of_the_runtime_is_declared(module: str, name: str) -> None:
    """What `litellm` itself gives is declared where it is defined."""
    file = f"{module.replace('.', '/')}.py"
    of_it = [need for need in read_needs() if module == "litellm" or need.file == file]
    assert any(name == need.scope.partition(".")[0] or name in need.names for need in of_it)


def test_each_edited_function_is_in_a_class_or_file_of_which_something_is_declared() -> None:
    declared = {need.file for need in read_needs()}
    assert {edit.file for patch in PATCHES for edit in patch.edits} <= declared


def test_the_declarations_are_well_formed() -> None:
    for need in read_needs():
        assert need.kind in KINDS and need.file.startswith("litellm/") and need.file.endswith(".py"), need
        assert bool(need.names) is (need.kind != "is") and (need.scope or need.kind != "is"), need
        for limit in filter(None, (need.since, need.until)):
            assert version_number(limit) != version_number(None), need


def test_all_that_is_lost_is_told_at_once() -> None:
    lost = {**SOURCES, STREAMING: "", HANDLER: "class LiteLLMCompletionTransformationHandler:\n    pass\n"}
    sentences = [str(error) for error in unmet_needs({path: text.encode() for path, text in lost.items()}, "1.106.2")]
    assert {sentence.partition(":")[0] for sentence in sentences} == {STREAMING, HANDLER}
    assert any("async_response_api_handler" in sentence for sentence in sentences)


@pytest.mark.parametrize(
    "version, is_wanted", [("1.108.9", False), ("1.109.0rc1", False), ("1.109.0", True), (None, True)]
)
def test_a_need_holds_from_its_release_on(version: str | None, is_wanted: bool) -> None:
    sources = {path: text.encode() for path, text in SOURCES.items()}
    told = [error for error in unmet_needs(sources, version) if isinstance(error, PatchError)]
    assert any("input_replaces_history" in error.sentence for error in told) is is_wanted
