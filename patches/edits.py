"""From the catalogue to new texts: which edits a release needs, where they go, and the proof that only they came in."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from patches.anchors import DecoratorOn, EndOfFile, Place, find_function, find_place, place_above_definition
from patches.blocks import Block, Insertion, block_lines, insert_blocks, remove_blocks
from patches.catalogue import PATCHES
from patches.errors import AnchorError, PatchError
from patches.patch import Condition, Edit, Has, Patch, Returns
from patches.releases import version_number
from patches.source import Module, functions_at, parse_module, parse_source, returns_nothing_early


@dataclass(frozen=True)
class EditPlan:
    """`texts` are the patched contents by path; `edits` are those that this release needs, with their patch."""

    texts: Mapping[str, bytes]
    edits: tuple[tuple[Patch, Edit], ...]


def plan_edits(
    pristine: Mapping[str, bytes], version: str | None, patches: tuple[Patch, ...] | None = None
) -> tuple[EditPlan, tuple[PatchError, ...]]:
    """Plans and compiles everything in memory. Where anything does not fit the plan is empty, and all misfits are
    told."""
    return _plan_edits(tuple(pristine.items()), version, PATCHES if patches is None else patches)


@lru_cache(maxsize=1)  # a tree is surveyed before and after it is written to
def _plan_edits(
    files: tuple[tuple[str, bytes], ...], version: str | None, patches: tuple[Patch, ...]
) -> tuple[EditPlan, tuple[PatchError, ...]]:
    pristine = dict(files)
    sources = _Sources(pristine)
    chosen: list[tuple[Patch, Edit]] = []
    insertions: dict[str, list[Insertion]] = {}
    misfits: list[PatchError] = []
    for patch, edit in [(each, edit) for each in patches for edit in each.edits]:
        try:
            if all(_holds(condition, sources, version) for condition in edit.when):
                added = _insertions_of(patch, edit, sources)
                insertions.setdefault(edit.file, []).extend(added)
                chosen.append((patch, edit))
        except PatchError as error:
            misfits.append(error)
    texts = {}
    for path, wanted in insertions.items():
        try:
            texts[path] = insert_blocks(pristine[path], wanted)
            _prove(path, pristine[path], texts[path], sources)
        except PatchError as error:
            misfits.append(error)
    return (EditPlan({}, ()), tuple(misfits)) if misfits else (EditPlan(texts, tuple(chosen)), ())


def _insertions_of(patch: Patch, edit: Edit, sources: _Sources) -> list[Insertion]:
    """A decorator stands between other lines of its `def`, so the import of its helper goes above the whole
    definition; other lines have it in front of them."""
    module = sources.module(edit.file)
    if module is None:
        raise AnchorError(edit.file, "the package", "this file", "none")

    def insertion(place: Place, *lines: str) -> Insertion:
        return Insertion(place.line, place.indent, Block(patch.slug, edit.why, lines))

    place = find_place(module, edit.anchor)
    if not edit.helper:
        return [insertion(place, *edit.lines)]
    import_lines = _import_of(edit.helper)
    if isinstance(edit.anchor, DecoratorOn):
        decorator = f"@_patch_{edit.helper.partition(':')[2]}"
        return [insertion(place_above_definition(module, edit.anchor), *import_lines), insertion(place, decorator)]
    return [insertion(place, *import_lines, *([""] if isinstance(edit.anchor, EndOfFile) else []), *edit.lines)]


def _import_of(helper: str) -> tuple[str, ...]:
    """`module:name` as an import of `_patch_name`; a module that has it under that name gives it as it is."""
    module, _, name = helper.partition(":")
    given = f"_patch_{name}" if module.endswith(".transformation") else f"{name} as _patch_{name}"
    return f"from {module} import (", f"    {given},", ")"


class _Sources:
    """The pristine files, each parsed once and only when asked for."""

    def __init__(self, texts: Mapping[str, bytes]) -> None:
        self._texts = texts
        self._modules: dict[str, Module] = {}

    def module(self, path: str) -> Module | None:
        if path not in self._texts:
            return None
        if path not in self._modules:
            self._modules[path] = parse_module(path, self._texts[path])
        return self._modules[path]


def _holds(condition: Condition, sources: _Sources, version: str | None) -> bool:
    module = sources.module(condition.file)
    functions = functions_at(module.tree, condition.function) if module is not None else []
    if isinstance(condition, Returns):
        return any(returns_nothing_early(function) for function in functions)
    is_there = module is not None and (not condition.function or bool(functions))
    if not isinstance(condition, Has):
        return not is_there
    if not is_there and version_number(version) >= version_number(condition.since):
        if module is None:
            expected = f"this file, which releases have since {condition.since}"
            raise AnchorError(condition.file, "the package", expected, "none", condition.function)
        find_function(module, condition.function)  # raises, and says what is there instead
    return is_there


def _prove(path: str, before: bytes, after: bytes, sources: _Sources) -> None:
    """The blocks come out again without a trace, the result compiles, and no statement but ours is
    new or changed."""
    if remove_blocks(after) != before:
        raise PatchError(f"{path}: the inserted blocks could not be taken out again; nothing was written")
    tree = parse_source(path, after)
    compile_source(path, tree)
    module = sources.module(path)
    if module is None or not _same_program(module.tree, tree, block_lines(after)):
        raise PatchError(f"{path}: the inserted lines would change upstream's statements; nothing was written")


def compile_source(path: str, tree: ast.Module) -> None:
    """Raises PatchError when the tree is no valid program."""
    try:
        compile(tree, path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError) as error:
        raise PatchError(
            f"{path}: does not compile with the inserted lines ({error}); nothing was written",
            "this release needs other lines in patches/catalogue.py: mend them, then `python -m patches check` again",
        ) from error


def _same_program(before: ast.AST, after: ast.AST, ours: frozenset[int]) -> bool:
    """Whether two syntax trees are equal once the nodes that start on `ours`, in the second one, are left out."""
    waiting: list[tuple[object, object]] = [(before, after)]
    while waiting:
        one, two = waiting.pop()
        if isinstance(one, list) and isinstance(two, list):
            kept = [item for item in two if getattr(item, "lineno", None) not in ours]
            if len(one) != len(kept):
                return False
            waiting.extend(zip(one, kept, strict=True))
        elif type(one) is not type(two):
            return False
        elif isinstance(one, ast.AST):
            waiting.extend((getattr(one, name, None), getattr(two, name, None)) for name in one._fields)
        elif one != two:
            return False
    return True
