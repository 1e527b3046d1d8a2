"""From the state of a tree to the steps that change it. Nothing here touches the disk.

The order keeps one promise at every moment of a run: each file on disk is listed, by its hash, in
the pristine RECORD or in the present one. So whatever is left by a kill can be told from somebody
else's edit, by any version of the fork. Bringing a tree from another version up to date is
therefore a whole revert and then a whole apply.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from patches.bytecode import source_of
from patches.edits import compile_source
from patches.errors import PatchError
from patches.judge import FileReport
from patches.record import parse_record
from patches.source import parse_source
from patches.survey import Survey
from patches.tree import folders_of


@dataclass(frozen=True)
class Step:
    """Write `data` to a path (relative to the target), or remove the path where `data` is None."""

    path: str
    data: bytes | None


@dataclass(frozen=True)
class Plan:
    """Steps in order, then what a killed run left (`leftovers`) and our folders (`folders`) that go when empty.

    `compiled` is the bytecode of patched files that the installer made, so that it can be made again.
    """

    steps: tuple[Step, ...]
    leftovers: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    compiled: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not self.steps and not self.leftovers and not self.folders


def plan_apply(survey: Survey) -> Plan:
    """Raises PatchError when the tree is edited or its release does not fit."""
    _refuse_edited(survey, "apply")
    if survey.unfit:
        raise survey.unfit
    for path, data in survey.tree.own.items():
        if path.endswith(".py"):
            compile_source(path, parse_source(path, data))
    first = _revert_steps(survey) if survey.outdated else ()
    done = {step.path: step.data for step in first}
    order = (*reversed(survey.records), *survey.own_files, *survey.files)
    steps = (
        Step(report.path, report.wanted) for report in order if done.get(report.path, report.current) != report.wanted
    )
    emptied = [step.path for step in first if step.data is None]
    needed = folders_of(survey.tree.own)
    folders = tuple(
        folder
        for folder in survey.tree.own_folders
        if folder not in needed
        and (folder in survey.tree.empty_folders or any(path.startswith(f"{folder}/") for path in emptied))
    )
    return Plan((*first, *steps), survey.tree.leftovers, folders, _installed_bytecode(survey))


def plan_revert(survey: Survey) -> Plan:
    """Raises PatchError when the pristine files cannot be had back; anchors need not fit for
    this."""
    _refuse_edited(survey, "revert")
    tree = survey.tree
    return Plan(_revert_steps(survey), tree.leftovers, tree.own_folders, _installed_bytecode(survey))


def _revert_steps(survey: Survey) -> tuple[Step, ...]:
    order = (*reversed(survey.files), *reversed(survey.own_files), *survey.records)
    return tuple(Step(report.path, report.pristine) for report in order if report.current != report.pristine)


def _installed_bytecode(survey: Survey) -> tuple[str, ...]:
    tree = survey.tree
    if tree.record is None:
        return ()
    sources = {report.path for report in survey.files}
    return tuple(path for path in parse_record(tree.files[tree.record]) if source_of(path) in sources)


def _refuse_edited(survey: Survey, command: str) -> None:
    edited = [report for report in survey.all_files if report.state == "edited"]
    if edited:
        raise PatchError(_sentence(edited, command), _way_out(survey))


def _sentence(edited: Iterable[FileReport], command: str) -> str:
    files = "; ".join(f"{report.path} {report.problem}" for report in edited)
    return f"{command} would overwrite somebody's changes, so nothing was written: {files}"


def _way_out(survey: Survey) -> str:
    target = survey.tree.target
    if survey.tree.record is None:
        return "undo the change (in a checkout: git checkout -- FILE), then run the command again"
    return f"undo the change, or: pip install --force-reinstall --no-deps litellm=={target.version}"
