"""The state of a tree as one object for machines and as a few lines for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from patches.catalogue import PATCHES
from patches.facts import ReleaseReport, describe_release, facts_of, verdict_on
from patches.patch import Patch
from patches.plan import Plan, way_out_of_edits
from patches.survey import FileReport, Survey

_NEXT = {
    "pristine": "check, then apply",
    "patched": "revert takes it out again",
    "outdated": "apply brings it up to date, revert takes it out",
    "half-applied": "apply or revert: both mend it",
    "unsupported": "install a supported release of LiteLLM",
}


def describe_target(survey: Survey) -> dict[str, Any]:
    """Keys: target, litellm_version, has_record, applied_fork and applied_build (None where none is)."""
    tree = survey.tree
    return {
        "target": str(tree.target.root),
        "litellm_version": tree.target.version,
        "has_record": tree.record is not None,
        "applied_fork": tree.manifest.fork if tree.manifest else None,
        "applied_build": tree.manifest.build if tree.manifest else None,
    }


def describe_status(survey: Survey) -> dict[str, Any]:
    """Keys: state, why, is_current, fits, misfits, untried (functions), those of `describe_target`, upstream (fixed,
    still, untried, worth_having), files (path, state, problem), strangers, patches (header, facts, edits of each).
    """
    release = describe_release(survey.tree.target.version, facts_of(PATCHES))
    return {
        "state": survey.state,
        "why": survey.why,
        "is_current": survey.is_current,
        "fits": not survey.misfits,
        "untried": list(survey.untried),
        "misfits": [misfit.sentence for misfit in survey.misfits],
        **describe_target(survey),
        "upstream": {
            "fixed": [fact.text for fact in release.fixed],
            "still": [fact.text for fact in release.still],
            "untried": [fact.text for fact in release.untried],
            "worth_having": release.worth_having,
        },
        "files": [
            {"path": report.path, "state": report.state, "problem": report.problem} for report in _concerned(survey)
        ],
        "strangers": list(survey.tree.strangers),
        "patches": [_describe_patch(survey, patch) for patch in PATCHES],
    }


def describe_plan(survey: Survey, plan: Plan) -> list[dict[str, str]]:
    """Each path that the plan changes, once: `action` is added, changed or removed."""
    present = {report.path for report in survey.all_files if report.current is not None}
    last = {step.path: step.data for step in plan.steps}
    changes = [
        {"path": path, "action": "removed" if data is None else "changed" if path in present else "added"}
        for path, data in last.items()
        if data is not None or path in present
    ]
    return changes + [{"path": path, "action": "removed"} for path in plan.leftovers if path not in last]


def status_lines(survey: Survey) -> Iterator[str]:
    """What `status` prints."""
    tree = survey.tree
    release = describe_release(tree.target.version, facts_of(PATCHES))
    yield target_line(survey)
    yield f"state     {survey.state}: {survey.why}"
    yield f"upstream  has fixed here: {release.fixed_line}"
    yield f"the fork  {release.adds_line}"
    if release.untried:
        yield f"          {release.untried_line}"
    yield from tried_lines(survey)
    for patch in PATCHES:
        yield f"patch     {patch.slug}: {patch.description}"
        yield f"          {_remove_line(patch, describe_release(tree.target.version, patch.facts))}"
    own = {report.path for report in survey.own_files}
    for report in _concerned(survey):
        if report.path not in own or report.problem:
            yield f"file      {report.state:9} {report.path}" + (f" ({report.problem})" if report.problem else "")
    counts = Counter(report.state for report in survey.own_files)
    yield "own files " + ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
    yield from stranger_lines(survey)
    is_unfit = survey.misfits and survey.state in ("patched", "outdated", "half-applied")
    next_step = _NEXT.get(survey.state) or way_out_of_edits(tree)
    yield f"next      {'python -m patches revert' if is_unfit else next_step}"


def target_line(survey: Survey) -> str:
    return f"target    {survey.tree.target.root}, {survey.tree.target.title}"


def tried_lines(survey: Survey) -> Iterator[str]:
    """Whether a proxy was ever tried with these functions; nothing where the fork does not fit."""
    if survey.untried:
        yield "untried   these functions differ from every tried release:"
        yield from (f"          {function}" for function in survey.untried)
    elif survey.edits.edits:
        yield "tried     each patched function is as in a release that a proxy was tried on"


def stranger_lines(survey: Survey) -> Iterator[str]:
    for path in survey.tree.strangers:
        yield f"note      {path} is not the fork's: it is left as it is"


def edit_lines(survey: Survey) -> Iterator[str]:
    """What `check` prints: every edit that this release gets, and every file that is added."""
    for patch, edit in survey.edits.edits:
        yield f"edit      {edit.title} [{patch.slug}]"
    for path in survey.tree.own:
        yield f"add       {path}"
    for report in survey.records:
        yield f"{'add ' if report.pristine is None else 'edit'}      {report.path}"


def _concerned(survey: Survey) -> tuple[FileReport, ...]:
    """The files that apply or revert would look after, without those that this release needs no edit in."""
    return tuple(
        report
        for report in survey.all_files
        if survey.misfits or report.wanted != report.pristine or report.state != "pristine"
    )


def _remove_line(patch: Patch, release: ReleaseReport) -> str:
    is_over = patch.facts and release.fixed and release.worth_having is False
    return "no longer needed here" if is_over else f"remove when {patch.remove_when}"


def _describe_patch(survey: Survey, patch: Patch) -> dict[str, Any]:
    version = survey.tree.target.version
    return {
        **vars(patch),
        "facts": [{"text": fact.text, "verdict": verdict_on(fact, version)} for fact in patch.facts],
        "edits": [edit.title for owner, edit in survey.edits.edits if owner is patch],
    }
