"""Plays every scene on real proxies of many releases, the patch off and on, and writes the table.

Run it with a Python that has the test requirements. Exit 0: every release that runs remembers
everything, and (of the default list) every fact of the catalogue is what was seen. 1: else.
"""

from __future__ import annotations

import argparse
import json
import platform
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from compatibility.cli import RESULTS, fork_digest, write
from compatibility.facts import contradictions
from compatibility.journal import Journal
from compatibility.live_report import markdown, notes_of, remembers_everything, summary_line, summary_of
from compatibility.live_run import LiveRow, Stage, run_release
from compatibility.registry import RegistryFailed, find_uv, list_versions
from compatibility.releases import LIVE_NAMED, Selection, live_default, older_finals, select, sort_key
from compatibility.tried import note
from lab.conversations import tags
from lab.database.postgres import postgres
from lab.provider import Provider
from lab.redis_server import RedisServer
from patches import PATCHES, facts_of

_SETS = ("default", "matrix", "all")


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that no proxy is left behind
    try:
        find_uv()  # nothing can be installed without
        available = list_versions(early=True)
        asked = ",".join(live_default(available)) if options.releases == "default" else options.releases
        selection = select(available, "default" if asked == "matrix" else asked)
    except (RegistryFailed, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    try:
        fork = fork_digest()
        rows = _run(selection, available, options, Journal.of("live", fork))
    except KeyboardInterrupt:
        print("error: interrupted before the table was written; --resume goes on from here", file=sys.stderr)
        return 1
    report = _report(rows, options, fork)
    listed = options.releases not in _SETS
    folder = options.results or (None if listed else RESULTS)
    if folder:
        write(report, markdown(report, rows), folder, f"live_{'listed' if listed else options.releases}")
    note(row.release for row in rows if is_whole(row))
    for_people = summary_line(rows) if folder else markdown(report, rows)
    print(json.dumps(report, indent=1) if options.json else for_people)
    ran = [row for row in rows if row.cells]
    wrong = list(contradictions(facts_of(PATCHES), rows)) if options.releases == "default" else []
    for sentence in wrong:
        print(f"fact      {sentence}", file=sys.stderr)
    return 0 if ran and all(map(is_whole, ran)) and not wrong else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m compatibility.live", description=__doc__)
    parser.add_argument(
        "--releases",
        default="default",
        metavar="default|matrix|all|LIST",
        help=f"default: {', '.join(LIVE_NAMED)} and the newest there is; matrix: the default of compatibility; "
        "all: every final release",
    )
    parser.add_argument("--json", action="store_true", help="print the JSON object")
    parser.add_argument(
        "--results", type=Path, metavar="DIR", help="where to write (default: bench/results; LIST: not)"
    )
    parser.add_argument(
        "--resume", action="store_true", help="leave out what an earlier run found whole with this very fork"
    )
    parser.add_argument("--keep", action="store_true", help="keep the environments in .build/live")
    return parser


def _run(
    selection: Selection, available: Sequence[str], options: argparse.Namespace, journal: Journal
) -> list[LiveRow]:
    rows = [LiveRow(each, problem="the registry has no such version") for each in selection.unknown]
    rows += [LiveRow(each, problem="withdrawn as compromised: not run") for each in selection.withdrawn]
    found = [LiveRow.from_dict(row) for row in journal.rows()] if options.resume else []
    known = {row.release: row for row in found if is_whole(row) and row.release in selection.wanted}
    rows += known.values()
    wanted = [release for release in selection.wanted if release not in known]
    with Provider() as provider, RedisServer() as redis, postgres() as databases:
        stage = Stage(provider, redis, databases, tags(), options.keep)
        for number, release in enumerate(wanted, 1):
            started = time.monotonic()
            rows.append(run_release(release, older_finals(release, available), stage))
            journal.add(rows[-1].to_dict())
            outcome = rows[-1].problem or "\n".join([summary_line(rows[-1:]), *notes_of(rows[-1])])
            place = f"[{number}/{len(wanted)}] {release} in {time.monotonic() - started:.0f} s"
            print(f"{place}: {outcome}", file=sys.stderr, flush=True)
    return sorted(rows, key=lambda row: sort_key(row.release))


def is_whole(row: LiveRow) -> bool:
    """Whether the release remembers everything, and its tree went back to the wheel's."""
    return remembers_everything(row) and row.reverted == ""


def _report(rows: Sequence[LiveRow], options: argparse.Namespace, fork: str) -> dict[str, Any]:
    words = [] if options.releases == "default" else ["--releases", options.releases]
    return {
        "command": " ".join(["python -m compatibility.live", *words]),
        "date": time.strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "fork": fork,
        "summary": summary_of(rows),
        "rows": [row.to_dict() for row in rows],
    }


if __name__ == "__main__":
    sys.exit(main())
