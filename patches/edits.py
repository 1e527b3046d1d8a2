"""From the catalogue to new texts: which edits a release needs, where they go, and that they come out again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from patches.anchors import DECORATOR, END, find_place, place_above_definition
from patches.blocks import Insertion, insert_blocks, remove_blocks
from patches.catalogue import PATCHES
from patches.errors import AnchorError, PatchError
from patches.needs import unmet_needs
from patches.patch import Edit, Patch
from patches.releases import version_number, why_refused
from patches.source import parse_module, parse_source


@dataclass(frozen=True)
class EditPlan:
    """`texts` are the patched contents by path; `edits` are those that this release needs, with their patch."""

    texts: Mapping[str, bytes]
    edits: tuple[tuple[Patch, Edit], ...]


def plan_edits(
    pristine: Mapping[str, bytes],
    version: str | None,
    patches: tuple[Patch, ...] | None = None,
    others: Mapping[str, bytes] | None = None,
) -> tuple[EditPlan, tuple[PatchError, ...]]:
    """Plans and compiles everything in memory. Where anything does not fit the plan is empty, and all misfits are
    told. So it is for a release that is refused. `others`: files that the fork uses and does not change; None: what it
    uses is not looked for."""
    if refused := why_refused(version):
        return EditPlan({}, ()), (PatchError(refused, "install a supported release of LiteLLM"),)
    chosen: list[tuple[Patch, Edit]] = []
    insertions: dict[str, list[Insertion]] = {}
    misfits: list[PatchError] = []
    number = version_number(version)
    for patch, edit in [(each, edit) for each in (PATCHES if patches is None else patches) for edit in each.edits]:
        try:
            added = _insertions_of(patch, edit, pristine)
        except PatchError as error:
            if not edit.since or number >= version_number(edit.since):
                misfits.append(error)
            continue
        if not edit.until or number < version_number(edit.until):
            insertions.setdefault(edit.file, []).extend(added)
            chosen.append((patch, edit))
    if others is not None:
        misfits += unmet_needs({**others, **pristine}, version)
    texts = {}
    for path, wanted in insertions.items():
        try:
            texts[path] = insert_blocks(pristine[path], wanted)
            compile_source(path, texts[path])
            if remove_blocks(texts[path]) != pristine[path]:
                raise PatchError(f"{path}: the inserted blocks could not be taken out again; nothing was written")
        except PatchError as error:
            misfits.append(error)
    return (EditPlan({}, ()), tuple(misfits)) if misfits else (EditPlan(texts, tuple(chosen)), ())


def compile_source(path: str, data: bytes) -> None:
    """Raises PatchError when the text is no valid program."""
    try:
        compile(parse_source(path, data), path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError) as error:
        raise PatchError(
            f"{path}: does not compile with the inserted lines ({error}); nothing was written",
            "mend patches/catalogue.txt for this release, then run `python -m patches check` again",
        ) from error


def _insertions_of(patch: Patch, edit: Edit, pristine: Mapping[str, bytes]) -> list[Insertion]:
    """A decorator stands between other lines of its `def`, so the import of its helper goes above the whole
    definition; other lines have it in front of them."""
    if edit.file not in pristine:
        raise AnchorError(edit.file, "the package", "this file", "none")
    module = parse_module(edit.file, pristine[edit.file])
    place = find_place(module, edit.anchor)
    import_lines = _import_of(edit.helper) if edit.helper else ()
    blank = [""] if edit.helper and edit.anchor.kind == END else []
    blocks = [(place, (*import_lines, *blank, *edit.lines))]
    if edit.anchor.kind == DECORATOR:
        decorator = f"@_patch_{edit.helper.partition(':')[2]}"
        blocks = [(place_above_definition(module, edit.anchor), import_lines), (place, (decorator,))]
    return [Insertion(each.line, each.indent, patch.slug, edit.why, lines) for each, lines in blocks]


def _import_of(helper: str) -> tuple[str, ...]:
    """`module:name` as an import of `_patch_name`; a module that has it under that name gives it as it is."""
    module, _, name = helper.partition(":")
    given = f"_patch_{name}" if module.endswith(".transformation") else f"{name} as _patch_{name}"
    return f"from {module} import (", f"    {given},", ")"
