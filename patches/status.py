"""The state of a tree as one object for machines and as a few lines for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from patches.anchors import describe
from patches.catalogue import PATCHES
from patches.judge import FileReport
from patches.patch import Edit
from patches.survey import Survey
from patches.upstream import describe_release

_NEXT = {
    "pristine": "check, then apply",
    "patched": "revert takes it out again",
    "half-applied": "apply or revert: both mend it",
    "edited": "undo the changes named above, or reinstall LiteLLM",
    "unsupported": "install a supported release of LiteLLM",
}


def describe_status(survey: Survey) -> dict[str, Any]:
    """Keys: state, why, litellm_version, target, upstream (fixed, still, worth_having), files
    (path, state, problem), patches (slug, description, bug, forwarded, applied_upstream,
    remove_when, upstream_fixed, adds, files)."""
    version = survey.tree.target.version
    release = describe_release(version)
    return {
        "state": survey.state,
        "why": survey.why,
        "litellm_version": version,
        "target": str(survey.tree.target.root),
        "has_record": survey.tree.record is not None,
        "is_current": survey.state != "patched" or not survey.outdated,
        "upstream": {
            "fixed": list(release.fixed),
            "still": list(release.still),
            "worth_having": release.worth_having,
        },
        "files": [
            {"path": report.path, "state": report.state, "problem": report.problem}
            for report in concerned_files(survey)
        ],
        "patches": [_describe_patch(survey, index) for index in range(len(PATCHES))],
    }


def status_lines(survey: Survey) -> Iterator[str]:
    """What `status` prints."""
    target = survey.tree.target
    release = describe_release(target.version)
    yield f"target    {target.root}, {target.title}"
    yield f"state     {survey.state}: {survey.why}"
    yield f"upstream  has fixed here: {release.fixed_line}"
    yield f"the fork  {release.adds_line}"
    for patch in PATCHES:
        yield f"patch     {patch.slug}: {patch.description}"
        yield f"          remove when {patch.remove_when}"
    own = [report.path for report in survey.own_files]
    for report in concerned_files(survey):
        if report.path not in own or report.problem:
            yield f"file      {report.state:9} {report.path}" + (f" ({report.problem})" if report.problem else "")
    counts = Counter(report.state for report in survey.own_files)
    yield "own files " + ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
    yield f"next      {_NEXT[survey.state]}"


def edit_lines(survey: Survey) -> Iterator[str]:
    """What `check` prints: every edit that this release gets, and every file that is added."""
    assert survey.edits is not None
    for patch, edit in survey.edits.edits:
        yield f"edit      {edit.file}: {_describe_edit(edit)} [{patch.slug}]"
    for path in survey.tree.own:
        yield f"add       {path}"
    for report in survey.records:
        yield f"{'add ' if report.pristine is None else 'edit'}      {report.path}"


def concerned_files(survey: Survey) -> tuple[FileReport, ...]:
    """The files that apply or revert would look after, without those that this release needs no
    edit in."""
    return tuple(
        report
        for report in survey.all_files
        if survey.edits is None or report.wanted != report.pristine or report.state != "pristine"
    )


def _describe_edit(edit: Edit) -> str:
    return f"{describe(edit.anchor)}: {edit.why}"


def _describe_patch(survey: Survey, index: int) -> dict[str, Any]:
    patch = PATCHES[index]
    release = describe_release(survey.tree.target.version, patch.slug)
    needed = survey.edits.edits if survey.edits else ()
    return {
        "slug": patch.slug,
        "description": patch.description,
        "bug": patch.bug,
        "forwarded": patch.forwarded,
        "applied_upstream": patch.applied_upstream,
        "remove_when": patch.remove_when,
        "upstream_fixed": list(release.fixed),
        "adds": list(release.still),
        "edits": [f"{edit.file}: {_describe_edit(edit)}" for owner, edit in needed if owner is patch],
    }
