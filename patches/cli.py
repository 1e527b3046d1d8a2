"""The command line: `python -m patches COMMAND`.

exit codes:
  0  done, or there was nothing to do
  1  refused: the tree, the Redis or the proxy is not in a state to do it; nothing was written
  2  wrong usage
  3  `status --expect`, `ask`: another answer than the one that was wanted
  4  stopped half-way by the disk: once it can be written again, apply puts all of the fork in, and revert takes it out

With --json each command prints one object, errors included: `schema` (1), `command`, `tool` (the fork's version),
`exit_code`, `error` (null, or sentence, more and next), and what the command has to say.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from patches.answer import Answer
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
    words = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in words
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # paths may hold any bytes
    command = ""
    try:
        options = _parser().parse_args(words)
        command = options.command
        answer: Answer = options.run(options)
    except PatchError as error:
        return _report(command, error, as_json)
    except BrokenPipeError:
        sys.stderr.close()  # the reader went away (head, less): nobody is left to tell
        return REFUSED
    except OSError as error:
        return _report(command, PatchError(f"{error.filename or 'the system'}: {error.strerror or error}"), as_json)
    except KeyboardInterrupt:
        interrupted = PatchError("interrupted", "python -m patches status shows what was done", exit_code=HALF_WAY)
        return _report(command, interrupted, as_json)
    if as_json:
        _print_json(command, answer.exit_code, None, answer.body)
    elif answer.raw is not None:
        sys.stdout.buffer.write(answer.raw)
        sys.stdout.buffer.flush()
    else:
        print("\n".join(answer.lines).replace(_MODULE, PROGRAM))
    return answer.exit_code


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
        command.add_argument("--json", action="store_true", help="print one JSON object, errors too")
    return parser


def _report(command: str, error: PatchError, as_json: bool) -> int:
    if as_json:
        told = {"sentence": error.sentence, "more": list(error.more), "next": error.next_step}
        _print_json(command, error.exit_code, told, error.body)
        return error.exit_code
    for sentence in (error.sentence, *error.more):
        print(f"error: {sentence}", file=sys.stderr)
    if error.next_step:
        print(f"next:  {error.next_step.replace(_MODULE, PROGRAM)}", file=sys.stderr)
    return error.exit_code


def _print_json(command: str, exit_code: int, error: dict[str, Any] | None, body: dict[str, Any]) -> None:
    head = {"schema": SCHEMA, "command": command, "tool": read_fork_version(), "exit_code": exit_code, "error": error}
    print(json.dumps({**head, **body}, indent=2))
