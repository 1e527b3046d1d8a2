"""From the state of a tree to the steps that change it. Nothing here touches the disk.

The order keeps the manifest's promise: each file on disk is one that the manifest on disk names. Our own files come
before upstream's lines that import them, and go after them.
"""

from __future__ import annotations

from dataclasses import dataclass

from patches.edits import compile_source
from patches.errors import PatchError, all_in_one
from patches.manifest import MANIFEST
from patches.survey import FileReport, Survey


@dataclass(frozen=True)
class Step:
    """Write `data` to a path (relative to the target), or remove the path where `data` is None."""

    path: str
    data: bytes | None


@dataclass(frozen=True)
class Plan:
    """Steps in order. `leftovers` are what a killed run left, and go first."""

    steps: tuple[Step, ...]
    leftovers: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not self.steps and not self.leftovers


def plan_apply(survey: Survey) -> Plan:
    """Raises PatchError when the tree is edited or its release does not fit."""
    _refuse_edited(survey, "apply")
    if survey.misfits:
        raise all_in_one(survey.misfits)
    tree, new = survey.tree, survey.new
    for path, data in tree.own.items():
        if path.endswith(".py"):
            compile_source(path, data)
    if survey.is_current:
        return Plan(())
    final = Step(MANIFEST, new.encode())
    older = tree.manifest if tree.manifest is not None and tree.manifest != new else None
    first = Step(MANIFEST, new.over(older).encode()) if older else final
    reports = (*_record_of(survey), *survey.own_files, *survey.files)
    changes = [Step(report.path, report.wanted) for report in reports if report.current != report.wanted]
    added = [step for step in changes if step.data is not None]
    removed = [step for step in changes if step.data is None]
    steps = [first, *added, *removed, final] if changes else [final]
    return Plan(_without_repeats(steps, tree.manifest_data), tree.leftovers)


def plan_revert(survey: Survey) -> Plan:
    """Raises PatchError when the pristine files cannot be had back; the edits need not fit for this."""
    _refuse_edited(survey, "revert")
    tree = survey.tree
    reports = (*reversed(survey.files), *reversed(survey.own_files), *_record_of(survey))
    steps = [Step(report.path, report.pristine) for report in reports if report.current != report.pristine]
    if tree.manifest_data is not None:
        steps.append(Step(MANIFEST, None))
    return Plan(_without_repeats(steps, tree.manifest_data), tree.leftovers)


def _without_repeats(steps: list[Step], manifest: bytes | None) -> tuple[Step, ...]:
    """Without the steps that write what the manifest holds at that moment."""
    kept = []
    for step in steps:
        if step.path == MANIFEST and step.data == manifest:
            continue
        manifest = step.data if step.path == MANIFEST else manifest
        kept.append(step)
    return tuple(kept)


def _record_of(survey: Survey) -> tuple[FileReport, ...]:
    return tuple(report for report in survey.records if report.path != MANIFEST)


def _refuse_edited(survey: Survey, command: str) -> None:
    if survey.state != "edited":
        return
    target = survey.tree.target
    if survey.tree.problem and survey.tree.problem.next_step:
        way_out = survey.tree.problem.next_step
    elif survey.tree.record is None:
        way_out = "undo the change (in a checkout: git checkout -- FILE), then run the command again"
    else:
        way_out = f"undo the change, or: pip install --force-reinstall --no-deps litellm=={target.version}"
    raise PatchError(f"{command} would overwrite somebody's changes, so nothing was written: {survey.why}", way_out)
