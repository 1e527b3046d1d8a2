"""The command line: `python -m patches COMMAND`.

exit codes:
  0  done, or there was nothing to do
  1  refused: the tree, the Redis or the proxy is not in a state to do it; nothing was written (purge and erase: what
     they had begun they go on with, said again)
  2  wrong usage
  3  `status --expect`, `ask`: another answer than the one that was wanted
  4  stopped half-way, or written but not proved: `status` says what is there; once the disk can be written, apply puts
     all of the fork in, and revert takes it out
  5  `check`, `apply`: it fits, but no release with these functions was ever tried; apply wrote nothing

With --json each command prints one object, errors included: `schema` (1), `command`, `tool` (the fork's version),
`exit_code`, `error` (null, or sentence, more and next), and what the command has to say. --help is text all the same.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from patches.answer import Answer, show
from patches.ask import add_ask_arguments, run_ask
from patches.commands import TREE_COMMANDS
from patches.erase import add_erase_arguments, run_erase
from patches.errors import HALF_WAY, REFUSED, WRONG_USAGE, PatchError
from patches.lock import WAIT_SECONDS
from patches.own import read_fork_version
from patches.purge import add_purge_arguments, run_purge

SCHEMA = 1
_MODULE = "python -m patches"
# What people type: of the one file that `make pyz` builds, its own name.
PROGRAM = sys.argv[0] if sys.argv[0].endswith(".pyz") else _MODULE


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # paths may hold any bytes
    try:
        return _run(list(sys.argv[1:] if arguments is None else arguments))
    except SystemExit as told:  # --help, --version
        return int(told.code or 0)
    finally:
        for stream in (sys.stdout, sys.stderr):
            show(stream, "")


def _run(words: list[str]) -> int:
    command, answer, error = "", Answer({}), None
    try:
        options = _parser().parse_args(words)
        command = options.command
        answer = options.run(options)
    except (Exception, KeyboardInterrupt) as raised:
        error = _error_of(raised)
        answer = Answer(error.body, exit_code=error.exit_code)
    stream, text = sys.stdout, answer.raw or "".join(f"{line}\n" for line in answer.lines).replace(_MODULE, PROGRAM)
    if "--json" in words:
        told = error and {"sentence": error.sentence, "more": list(error.more), "next": error.next_step}
        head = {"schema": SCHEMA, "command": command, "tool": read_fork_version(), "exit_code": answer.exit_code}
        text = json.dumps({**head, "error": told, **answer.body}, indent=2) + "\n"
    elif error:
        sentences = [f"error: {sentence}\n" for sentence in (error.sentence, *error.more)]
        next_step = f"next:  {error.next_step}\n" if error.next_step else ""
        stream, text = sys.stderr, "".join([*sentences, next_step.replace(_MODULE, PROGRAM)])
    is_shown = show(stream, text)
    return answer.exit_code if is_shown or answer.raw is None else REFUSED


def _error_of(raised: BaseException) -> PatchError:
    if isinstance(raised, PatchError):
        return raised
    if isinstance(raised, OSError):
        return PatchError(f"{raised.filename or 'the system'}: {raised.strerror or raised}")
    what = "interrupted"
    if not isinstance(raised, KeyboardInterrupt):
        place = traceback.extract_tb(raised.__traceback__)[-1]
        what = f"a defect of the tool: {type(raised).__name__} at {Path(place.filename).name}:{place.lineno} ({raised})"
    return PatchError(what, "python -m patches status shows what was done", exit_code=HALF_WAY)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise PatchError(message, f"{self.prog} --help", exit_code=WRONG_USAGE)


def _parser() -> argparse.ArgumentParser:
    keep = argparse.RawDescriptionHelpFormatter
    parser = _Parser(prog=PROGRAM, description=__doc__, formatter_class=keep)
    parser.add_argument("--version", action="version", version=f"litellm-redis-session {read_fork_version()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    for name, run, text in TREE_COMMANDS:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        command.add_argument(
            "--target", metavar="DIR", help="the folder that holds litellm/ (default: the one this Python imports)"
        )
        if name == "status":
            expected = ("pristine", "patched")
            command.add_argument("--expect", choices=expected, help="end with 3 where the state is another")
        if name == "apply":
            goes_on = "go on where the release fits, but nobody has tried it"
            command.add_argument("--accept-untried", action="store_true", help=goes_on)
        if name in ("apply", "revert"):
            waits = "how long to wait for another run on the same tree (default: %(default)g)"
            command.add_argument("--wait", type=float, default=WAIT_SECONDS, metavar="SECONDS", help=waits)
    for name, run, add, text in (
        ("purge", run_purge, add_purge_arguments, "remove the fork's keys from Redis"),
        ("erase", run_erase, add_erase_arguments, "take what is stored of somebody out of Redis"),
        ("ask", run_ask, add_ask_arguments, "ask a running proxy which fork and which LiteLLM answer"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        add(command)
    for command in commands.choices.values():
        command.allow_abbrev = False  # `--json` is looked for before anything is understood
        command.add_argument("--json", action="store_true", help="print one JSON object, errors too")
    return parser
