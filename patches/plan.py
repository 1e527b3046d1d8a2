"""From the state of a tree to the steps that change it. Nothing here touches the disk.

The order keeps the manifest's promise: each file on disk is one that the manifest on disk names. Our own files come
before upstream's lines that import them, and go after them.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import PurePosixPath

from patches.edits import compile_source
from patches.errors import UNTRIED, PatchError, all_in_one
from patches.manifest import MANIFEST
from patches.survey import FileReport, Survey
from patches.tree import Tree


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


def plan_apply(survey: Survey, accept_untried: bool = True) -> Plan:
    """Raises PatchError when the tree is edited or its release does not fit, or was never tried and must have been."""
    _refuse_edited(survey, "apply")
    if survey.misfits:
        raise all_in_one(survey.misfits)
    tree, new = survey.tree, survey.new
    for path, data in tree.own.items():
        compile_source(path, data)
    if survey.is_current:
        return Plan(())
    if survey.untried and not accept_untried:
        raise PatchError(
            f"LiteLLM {tree.target.version} fits, but was never tried; nothing was written",
            'try it (README, "A new release"), then apply --accept-untried',
            tuple(f"{function} differs from every tried release" for function in survey.untried),
            exit_code=UNTRIED,
        )
    final = Step(MANIFEST, new.encode())
    older = tree.manifest if tree.manifest is not None and tree.manifest != new else None
    first = Step(MANIFEST, new.over(older).encode()) if older else final
    reports = (*_record_of(survey), *survey.own_files, *survey.files)
    changes = [Step(report.path, report.wanted) for report in reports if report.current != report.wanted]
    added = [step for step in changes if step.data is not None]
    removed = [step for step in changes if step.data is None]
    steps = [first, *added, *removed, final] if changes else [final]
    return _plan(survey, steps)


def plan_revert(survey: Survey) -> Plan:
    """Raises PatchError when the pristine files cannot be had back; the edits need not fit for this."""
    _refuse_edited(survey, "revert")
    tree = survey.tree
    reports = (*reversed(survey.files), *reversed(survey.own_files), *_record_of(survey))
    steps = [Step(report.path, report.pristine) for report in reports if report.current != report.pristine]
    if MANIFEST in tree.folder:
        steps.append(Step(MANIFEST, None))
    return _plan(survey, steps)


def _plan(survey: Survey, steps: list[Step]) -> Plan:
    """Without the steps that write what the manifest holds at that moment."""
    kept, manifest = [], survey.tree.folder.get(MANIFEST)
    for step in steps:
        if step.path == MANIFEST and step.data == manifest:
            continue
        manifest = step.data if step.path == MANIFEST else manifest
        kept.append(step)
    plan = Plan(tuple(kept), survey.tree.leftovers)
    for path in (*(step.path for step in plan.steps), *plan.leftovers):
        for link in survey.tree.links:
            if f"{path}/".startswith(f"{link}/") or link == str(PurePosixPath(path).parent / "__pycache__"):
                here = shlex.quote(str(survey.tree.target.root / link))
                sentence = f"{link}: is a symbolic link, and neither it nor what is behind it is replaced"
                copy = f"cp -RL {here} {here}.copy && rm {here} && mv {here}.copy {here}"
                raise PatchError(sentence, f"put a copy in its place: {copy}")
    return plan


def _record_of(survey: Survey) -> tuple[FileReport, ...]:
    return tuple(report for report in survey.records if report.path != MANIFEST)


def way_out_of_edits(tree: Tree) -> str:
    """What to do about a file that somebody changed."""
    if tree.problem and tree.problem.next_step:
        return tree.problem.next_step
    if tree.record is None:
        return "undo the change (in a checkout: git checkout -- FILE), then run the command again"
    return f"undo the change, or: {tree.target.reinstall}"


def _refuse_edited(survey: Survey, command: str) -> None:
    if survey.state == "edited":
        sentence = f"{command} would overwrite somebody's changes, so nothing was written: {survey.why}"
        raise PatchError(sentence, way_out_of_edits(survey.tree))
