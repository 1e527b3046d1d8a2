"""The commands that look at a tree: status, check, apply, revert, diff."""

from __future__ import annotations

import argparse

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
    tried_lines,
)
from patches.errors import UNEXPECTED, UNTRIED, PatchError
from patches.locate import Target, find_target, other_copies
from patches.manifest import Manifest
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
    body = {**describe_status(survey), "would_change": None, "changes": [], "obstacle": None}
    try:
        plan = plan_apply(survey)
    except PatchError as error:
        error.body = body
        raise
    changes = describe_plan(survey, plan)
    body.update(would_change=not plan.is_empty, changes=changes)
    told = "nothing to do: it is applied" if plan.is_empty else f"apply would change {len(changes)} files"
    lines = [target_line(survey), *edit_lines(survey), *stranger_lines(survey), *tried_lines(survey)]
    lines.append(f"result    everything fits and compiles; {told}")
    try:
        require_writable(plan, survey.tree.target.root)
    except PatchError as error:
        body["obstacle"] = {"sentence": error.sentence, "next": error.next_step}
        lines += [f"note      apply by this user would be refused: {error.sentence}", f"          {error.next_step}"]
    return Answer(body, tuple(lines), UNTRIED if survey.untried and not plan.is_empty else 0)


def _apply(options: argparse.Namespace) -> Answer:
    done = apply_patches(find_target(options.target), wait_seconds=options.wait, accept_untried=options.accept_untried)
    return _answer_of(options, done, done.survey.new)


def _revert(options: argparse.Namespace) -> Answer:
    return _answer_of(options, revert_patches(find_target(options.target), wait_seconds=options.wait), None)


def _diff(options: argparse.Namespace) -> Answer:
    survey = look_at(find_target(options.target))
    diff = unified_diff_of(survey)
    return Answer({**describe_target(survey), "diff": diff.decode("utf-8", "surrogateescape")}, raw=diff)


TREE_COMMANDS = (
    ("status", _status, "say what state a LiteLLM is in, what it has fixed itself and what the fork adds"),
    ("check", _check, "dry run of apply: say what would be changed, and whether it fits; needs no right to write"),
    ("apply", _apply, "put the fork's lines in"),
    ("revert", _revert, "take the fork's lines out, without a trace"),
    ("diff", _diff, "print the fork as a unified diff for `git apply`"),
)


def _answer_of(options: argparse.Namespace, done: Done, now: Manifest | None) -> Answer:
    """What was done; `now` is what the fork's manifest says after it."""
    survey, changes = done.survey, describe_plan(done.survey, done.plan)
    words = {"added": "written", "changed": "written" if now else "restored", "removed": "removed"}
    kept = "keeps stale bytecode that this user cannot remove; Python does not use it"
    unproved = "no RECORD, only the fork's own note of it says that it is upstream's"
    proved = f"{done.proved} files by RECORD, and that {'all of the fork is in' if now else 'no module of it is left'}"
    result = f"{'applied' if now else 'reverted'}: restart LiteLLM"
    nothing = f"nothing to do: it is {'applied' if now else 'pristine'}"
    lines = [
        target_line(survey),
        *(f"{words[each['action']]:9} {each['path']}" for each in changes),
        *(f"note      {path} {kept}" for path in done.kept),
        *stranger_lines(survey),
        *_other_copies(options, survey.tree.target),
        *(f"not proved {path}: {unproved}" for path in done.unproved),
        *([] if done.is_empty else [f"proved    {proved}"]),
        f"result    {nothing if done.is_empty else result}",
    ]
    body = {
        "state": "patched" if now else "pristine",
        **describe_target(survey),
        "applied_fork": now and now.fork,
        "applied_build": now and now.build,
        "changes": changes,
        "strangers": list(survey.tree.strangers),
        "bytecode_kept": list(done.kept),
        "proved": done.proved,
        "unproved": list(done.unproved),
    }
    return Answer(body, tuple(lines))


def _other_copies(options: argparse.Namespace, target: Target) -> tuple[str, ...]:
    copies = other_copies(target) if options.target is None else ()
    return tuple(f"note      another LiteLLM is at {root}: it is left as it is" for root in copies)
