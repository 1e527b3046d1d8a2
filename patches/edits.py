"""From the catalogue to new texts: which edits a release needs, where they go, and the proof that
only they came in."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from patches.anchors import find_function, find_place
from patches.blocks import Block, Insertion, block_lines, insert_blocks, remove_blocks
from patches.catalogue import PATCHES
from patches.errors import AnchorError, PatchError
from patches.patch import Condition, Edit, Has, Patch, Returns
from patches.source import Module, functions_at, parse_module, parse_source, returns_nothing_early
from patches.upstream import version_number


@dataclass(frozen=True)
class EditPlan:
    """`texts` are the patched contents by path; `edits` are those that this release needs, with
    their patch."""

    texts: Mapping[str, bytes]
    edits: tuple[tuple[Patch, Edit], ...]


def plan_edits(pristine: Mapping[str, bytes], version: str | None, patches: tuple[Patch, ...] = PATCHES) -> EditPlan:
    """Plans and compiles everything in memory; raises PatchError when an anchor or a condition does
    not fit."""
    return _plan_edits(tuple(pristine.items()), version, patches)


@lru_cache(maxsize=1)  # a tree is surveyed before and after it is written to
def _plan_edits(files: tuple[tuple[str, bytes], ...], version: str | None, patches: tuple[Patch, ...]) -> EditPlan:
    pristine = dict(files)
    sources = _Sources(pristine)
    chosen = tuple((patch, edit) for patch in patches for edit in patch.edits if _is_needed(edit, sources, version))
    insertions: dict[str, list[Insertion]] = {}
    for patch, edit in chosen:
        module = sources.module(edit.file)
        if module is None:
            raise AnchorError(edit.file, "the package", "this file", "none")
        place = find_place(module, edit.anchor)
        insertions.setdefault(edit.file, []).append(Insertion(place.line, place.indent, block_of(patch, edit)))
    texts = {}
    for path, wanted in insertions.items():
        texts[path] = insert_blocks(pristine[path], wanted)
        _prove(path, pristine[path], texts[path], sources)
    return EditPlan(texts, chosen)


def block_of(patch: Patch, edit: Edit) -> Block:
    """The block that an edit inserts."""
    return Block(patch.slug, edit.why, edit.lines)


def known_blocks(path: str, patches: tuple[Patch, ...] = PATCHES) -> frozenset[Block]:
    """Every block that this catalogue could put into a file, on any release."""
    return frozenset(block_of(patch, edit) for patch in patches for edit in patch.edits if edit.file == path)


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


def _is_needed(edit: Edit, sources: _Sources, version: str | None) -> bool:
    return all(_holds(condition, sources, version) for condition in edit.when)


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
