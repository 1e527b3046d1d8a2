"""The command line: `python -m patches {status,check,apply,revert,diff,purge}`.

Exit 0: done, or nothing was left to do. 1: the tree or the Redis is not in a state to do it. 2:
wrong usage.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from patches.apply import apply_patches, revert_patches
from patches.errors import PatchError
from patches.locate import Target, find_target, other_copies
from patches.moved import with_whereabouts
from patches.plan import Plan, plan_apply
from patches.purge_command import add_purge_arguments, run_purge
from patches.status import describe_status, edit_lines, status_lines
from patches.survey import Survey, survey_tree
from patches.tree import read_tree
from patches.unified import unified_diff_of


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    options = _parser().parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # paths may hold any bytes
    try:
        return int(options.run(options))
    except PatchError as error:
        return _report(error)
    except BrokenPipeError:
        sys.stderr.close()  # the reader went away (head, less): nobody is left to tell
        return 1
    except OSError as error:
        return _report(PatchError(f"{error.filename or 'the system'}: {error.strerror or error}"))
    except KeyboardInterrupt:
        return _report(PatchError("interrupted", "python -m patches status shows what was done"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m patches", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, run, text in _COMMANDS:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        command.add_argument(
            "--target",
            metavar="DIR",
            help="the folder that holds litellm/ (default: the one this Python imports)",
        )
        if name in ("status", "check"):
            command.add_argument("--json", action="store_true", help="print one JSON object")
    purge = commands.add_parser("purge", help="remove the fork's keys from Redis")
    purge.set_defaults(run=run_purge)
    add_purge_arguments(purge)
    return parser


def _status(options: argparse.Namespace) -> int:
    survey = _survey(options)
    if options.json:
        _print_json(describe_status(survey))
    else:
        _print(status_lines(survey))
        _print_other_copies(options, survey.tree.target)
    return 0


def _check(options: argparse.Namespace) -> int:
    survey = _survey(options)
    try:
        plan = plan_apply(survey)
    except PatchError as error:
        if options.json:
            _print_json({**describe_status(survey), "fits": False, "problem": str(error), "writes": []})
        raise
    if options.json:
        _print_json({**describe_status(survey), "fits": True, "problem": "", "writes": _paths(plan)})
        return 0
    _print_target(survey.tree.target)
    _print(edit_lines(survey))
    done = "nothing to do: it is applied" if plan.is_empty else f"apply would change {len(_paths(plan))} files"
    _print([f"result    everything fits and compiles; {done}"])
    return 0


def _apply(options: argparse.Namespace) -> int:
    target = find_target(options.target)
    _print_target(target)
    plan = _explained(target, lambda: apply_patches(target))
    _print(f"written   {path}" for path in _paths(plan))
    _print(["result    nothing to do: it is applied" if plan.is_empty else "result    applied: restart LiteLLM"])
    _print_other_copies(options, target)
    return 0


def _revert(options: argparse.Namespace) -> int:
    target = find_target(options.target)
    _print_target(target)
    plan = _explained(target, lambda: revert_patches(target))
    _print(f"restored  {path}" for path in _paths(plan))
    _print(["result    nothing to do: it is pristine" if plan.is_empty else "result    reverted: restart LiteLLM"])
    return 0


def _diff(options: argparse.Namespace) -> int:
    survey = _survey(options)
    print(f"target    {survey.tree.target.root}, {survey.tree.target.title}", file=sys.stderr)
    sys.stdout.buffer.write(unified_diff_of(survey))
    sys.stdout.buffer.flush()
    return 0


_COMMANDS = (
    (
        "status",
        _status,
        "say what state a LiteLLM is in, what it has fixed itself and what the fork adds",
    ),
    ("check", _check, "dry run of apply: say what would be changed and whether it fits"),
    ("apply", _apply, "put the fork's lines in"),
    ("revert", _revert, "take the fork's lines out, without a trace"),
    ("diff", _diff, "print the fork as a unified diff for `git apply`"),
)


def _survey(options: argparse.Namespace) -> Survey:
    survey = survey_tree(read_tree(find_target(options.target)))
    if survey.unfit is None:
        return survey
    unfit = with_whereabouts(survey.unfit, survey.tree.target.root)
    why = unfit.sentence if survey.why == survey.unfit.sentence else survey.why
    return replace(survey, unfit=unfit, why=why)


def _explained(target: Target, act: Callable[[], Plan]) -> Plan:
    try:
        return act()
    except PatchError as error:
        raise with_whereabouts(error, target.root) from error


def _paths(plan: Plan) -> list[str]:
    return list(dict.fromkeys([*(step.path for step in plan.steps), *plan.leftovers]))


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=2))


def _print_target(target: Target) -> None:
    print(f"target    {target.root}, {target.title}")


def _print_other_copies(options: argparse.Namespace, target: Target) -> None:
    if options.target is None:
        _print(f"note      another LiteLLM is at {root}: it is left as it is" for root in other_copies(target))


def _report(error: PatchError) -> int:
    print(f"error: {error.sentence}", file=sys.stderr)
    if error.next_step:
        print(f"next:  {error.next_step}", file=sys.stderr)
    return 1
