"""The commands that look at a tree: status, check, apply, revert, diff."""

from __future__ import annotations

import argparse
from typing import Any

from patches.answer import Answer
from patches.apply import Done, apply_patches, require_writable, revert_patches
from patches.describe import (
    describe_plan,
    describe_status,
    describe_target,
    edit_lines,
    status_lines,
    stranger_lines,
    target_line,
)
from patches.errors import UNEXPECTED, PatchError
from patches.locate import Target, find_target, other_copies
from patches.own import fork_root, strangers_in
from patches.plan import plan_apply
from patches.survey import look_at
from patches.unified import unified_diff_of


def _status(options: argparse.Namespace) -> Answer:
    survey = look_at(find_target(options.target))
    is_as_wanted = options.expect in (None, survey.state)
    lines = (*status_lines(survey), *_other_copies(options, survey.tree.target))
    if not is_as_wanted:
        lines = (*lines, f"expected  {options.expect}, found {survey.state}")
    body = {**describe_status(survey), "expected": options.expect}
    return Answer(body, lines, 0 if is_as_wanted else UNEXPECTED)


def _check(options: argparse.Namespace) -> Answer:
    survey = look_at(find_target(options.target))
    body = {**describe_status(survey), "would_change": None, "changes": []}
    try:
        plan = plan_apply(survey)
        require_writable(plan, survey.tree.target.root)
    except PatchError as error:
        raise error.with_body(body) from error
    changes = describe_plan(survey, plan)
    body.update(would_change=not plan.is_empty, changes=changes)
    told = "nothing to do: it is applied" if plan.is_empty else f"apply would change {len(changes)} files"
    result = f"result    everything fits and compiles; {told}"
    return Answer(body, (target_line(survey), *edit_lines(survey), *stranger_lines(survey), result))


def _apply(options: argparse.Namespace) -> Answer:
    target = find_target(options.target)
    done = apply_patches(target, wait_seconds=options.wait)
    words = {"added": "written", "changed": "written", "removed": "removed"}
    result = "nothing to do: it is applied" if done.is_empty else "applied: restart LiteLLM"
    ours = strangers_in(fork_root(), frozenset(done.survey.tree.own))
    notes = [f"note      {path} is beside the fork's own files and none of them: it is not installed" for path in ours]
    lines = (*_change_lines(done, words), *stranger_lines(done.survey), *notes, f"result    {result}")
    return Answer(_body(done, "patched"), (*lines, *_other_copies(options, target)))


def _revert(options: argparse.Namespace) -> Answer:
    done = revert_patches(find_target(options.target), wait_seconds=options.wait)
    words = {"added": "written", "changed": "restored", "removed": "removed"}
    lines = [*_change_lines(done, words), *stranger_lines(done.survey)]
    if done.unproved:
        said = "no RECORD, only the fork's own note of it says that it is upstream's"
        lines += [f"not proved {path}: {said}" for path in done.unproved]
    elif not done.is_empty:
        lines.append(f"proved    {done.proved} files by RECORD, and that no module of the fork is left")
    result = "nothing to do: it is pristine" if done.is_empty else "reverted: restart LiteLLM"
    body = {**_body(done, "pristine"), "proved": done.proved, "unproved": list(done.unproved)}
    return Answer(body, (*lines, f"result    {result}"))


def _diff(options: argparse.Namespace) -> Answer:
    survey = look_at(find_target(options.target))
    diff = unified_diff_of(survey)
    return Answer({**describe_target(survey), "diff": diff.decode("utf-8", "surrogateescape")}, raw=diff)


TREE_COMMANDS = (
    ("status", _status, "say what state a LiteLLM is in, what it has fixed itself and what the fork adds"),
    ("check", _check, "dry run of apply: say what would be changed, whether it fits and may be written"),
    ("apply", _apply, "put the fork's lines in"),
    ("revert", _revert, "take the fork's lines out, without a trace"),
    ("diff", _diff, "print the fork as a unified diff for `git apply`"),
)


def _body(done: Done, state: str) -> dict[str, Any]:
    changes = describe_plan(done.survey, done.plan)
    strangers = list(done.survey.tree.strangers)
    applied = done.survey.tree.fork if state == "patched" else None
    told = {**describe_target(done.survey), "applied_fork": applied}
    return {"state": state, **told, "changes": changes, "strangers": strangers, "bytecode_kept": list(done.kept)}


def _change_lines(done: Done, words: dict[str, str]) -> list[str]:
    changes = describe_plan(done.survey, done.plan)
    kept = "keeps stale bytecode that this user cannot remove; Python does not use it"
    return [
        target_line(done.survey),
        *(f"{words[each['action']]:9} {each['path']}" for each in changes),
        *(f"note      {path} {kept}" for path in done.kept),
    ]


def _other_copies(options: argparse.Namespace, target: Target) -> tuple[str, ...]:
    if options.target is not None:
        return ()
    return tuple(f"note      another LiteLLM is at {root}: it is left as it is" for root in other_copies(target))
