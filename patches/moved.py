"""A look at a target: its survey, with where functions went that an anchor no longer finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from patches.errors import AnchorError, PatchError
from patches.locate import Target
from patches.source import parse_source, seen_elsewhere
from patches.survey import Survey, survey_tree
from patches.tree import read_tree


def look_at(target: Target, own: Mapping[str, bytes] | None = None, fork: str | None = None) -> Survey:
    """Reads the tree. Each misfit about a function says in which neighbouring file it was seen, if in one."""
    survey = survey_tree(read_tree(target, own, fork))
    misfits, why = [], survey.why
    for misfit in survey.misfits:
        misfits.append(_with_whereabouts(misfit, target.root))
        why = why.replace(misfit.sentence, misfits[-1].sentence)
    return replace(survey, misfits=tuple(misfits), why=why)


def _with_whereabouts(error: PatchError, root: Path) -> PatchError:
    if not isinstance(error, AnchorError) or not error.function:
        return error
    for path in sorted((root / error.file).parent.glob("*.py")):
        name = path.relative_to(root).as_posix()
        if name == error.file:
            continue
        try:
            seen = seen_elsewhere(parse_source(name, path.read_bytes()), error.function)
        except (OSError, PatchError):
            continue
        if seen:
            return error.with_hint(f"{name} has {', '.join(seen)}")
    return error
