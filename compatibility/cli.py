"""Runs every wanted release of LiteLLM through the patch tool and writes the table.

A new upstream release: `python -m compatibility --releases 1.110.0` says whether the fork fits it,
and if not, which anchor no longer does and what stands there now. Exit 0: all fit. 1: not all.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from compatibility.journal import Journal
from compatibility.registry import ROOT, RegistryFailed, fetch_wheel, find_uv, list_versions
from compatibility.releases import Selection, select, sort_key
from compatibility.report import Row, absent_row, as_json, markdown, refused_row, row_of, summary_line, summary_of
from compatibility.tool import API, COMMAND
from compatibility.trial import EXACT, REFUSED, try_release
from lab.trees import our_sources
from patches import read_own_files

RESULTS = ROOT / "bench" / "results"
_SETS = {"default": "the newest of each minor version, and those that showed something", "all": "every release"}


@dataclass(frozen=True)
class Job:
    """One release's work, as it goes to a worker process."""

    version: str
    through: str
    keep_wheel: bool


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        find_uv()  # else every row says that it is missing
        listed = options.releases not in _SETS
        selection = select(list_versions(early=options.pre or listed), options.releases, options.pre)
    except (RegistryFailed, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    try:
        fork = fork_digest()  # before the run: what is edited meanwhile is not what was tried
        rows = _run(selection, options, Journal.of("trials", fork))
    except KeyboardInterrupt:
        print("error: interrupted before the table was written; --resume goes on from here", file=sys.stderr)
        return 1
    report = _report(rows, options, fork)
    folder = options.results or (None if listed else RESULTS)
    if folder:
        asked = "listed" if listed else options.releases
        write(report, markdown(report), folder, f"matrix_{asked}{'_early' if options.pre else ''}")
    print(json.dumps(report, indent=1) if options.json else _for_people(report, brief=folder is not None))
    return 0 if all(row["state"] in (EXACT, REFUSED) for row in rows) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m compatibility", description=__doc__)
    parser.add_argument(
        "--releases",
        default="default",
        metavar="default|all|LIST",
        help="LIST: versions, or minor versions such as 1.103, with commas or spaces (default: %(default)s)",
    )
    parser.add_argument("--pre", action="store_true", help="the .dev and rc builds instead of the final releases")
    parser.add_argument("--json", action="store_true", help="print the JSON object")
    parser.add_argument(
        "--results", type=Path, metavar="DIR", help="where to write (default: bench/results; LIST: not)"
    )
    parser.add_argument(
        "--resume", action="store_true", help="keep what an earlier run found exact with this very fork"
    )
    parser.add_argument("--workers", type=int, default=2, help="releases at a time (default: %(default)s)")
    parser.add_argument(
        "--keep-wheels",
        action=argparse.BooleanOptionalAction,
        help="keep what was fetched in .build/wheels (default: yes, but not for `all`)",
    )
    return parser


def _run(selection: Selection, options: argparse.Namespace, journal: Journal) -> list[Row]:
    keep = options.releases != "all" if options.keep_wheels is None else options.keep_wheels
    by_command = {*selection.wanted[:1], *selection.wanted[-1:]}  # the oldest and the newest
    found = journal.rows() if options.resume else []
    known = [row for row in found if row["state"] == EXACT and row["release"] in selection.wanted]
    wanted = [each for each in selection.wanted if each not in {row["release"] for row in known}]
    jobs = [Job(each, COMMAND if each in by_command else API, keep) for each in wanted]
    rows = known + [refused_row(version) for version in selection.withdrawn]
    rows += [absent_row(version, "the registry has no such version") for version in selection.unknown]
    own = read_own_files()
    with ProcessPoolExecutor(options.workers) as pool:
        futures = {pool.submit(partial(do_job, job, own)): job for job in telling_first(jobs)}
        try:
            for number, future in enumerate(as_completed(futures), 1):
                rows.append(_result(future, futures[future]))
                journal.add(rows[-1])
                _say(f"[{number}/{len(jobs)}] {_progress(rows[-1])}")
        except BaseException:  # also SIGTERM: no worker is left behind, no further release begun
            pool.shutdown(cancel_futures=True)
            raise
    return sorted(rows, key=lambda row: sort_key(row["release"]))


def telling_first(jobs: Sequence[Job]) -> list[Job]:
    """The default set before all others, the newest first: that is where something will not fit."""
    default = {*select([job.version for job in jobs], "default").wanted}
    return sorted(jobs[::-1], key=lambda job: job.version not in default)  # noqa: C415, as the order of equals counts


def do_job(job: Job, own: Mapping[str, bytes]) -> Row:
    """In a worker process: fetch, try, and throw the wheel away unless it is to be kept."""
    try:
        wheel = fetch_wheel(job.version)
    except RegistryFailed as error:
        return absent_row(job.version, str(error))
    try:
        trial = try_release(wheel.path, job.version, job.through, own)
        about = {
            "file": wheel.path.name,
            "bytes": wheel.path.stat().st_size,
            "sha256": wheel.sha256,
            "fetch_seconds": round(wheel.seconds, 2),
            "cached": wheel.is_cached,
            "built": wheel.is_built,
        }
        return row_of(trial, about)
    finally:
        if wheel.is_built or not (job.keep_wheel or wheel.is_cached):
            wheel.path.unlink(missing_ok=True)


def _result(future: Future[Row], job: Job) -> Row:
    try:
        return future.result()
    except Exception as error:  # the run goes on; the row tells
        return absent_row(job.version, f"the trial itself failed: {type(error).__name__}: {error}")


def _progress(row: Row) -> str:
    wheel = row["wheel"] or {"cached": True}
    fetched = "" if wheel["cached"] else f", fetched in {wheel['fetch_seconds']:.1f} s"
    tail = f": {row['problem']}" if row["problem"] else f" in {row['seconds']:.1f} s{fetched}"
    return f"{row['release']} {row['state']}{tail}"


def _report(rows: list[Row], options: argparse.Namespace, fork: str) -> dict[str, Any]:
    kind = "pre-releases" if options.pre else "final releases since 1.68.0"
    what = _SETS.get(options.releases, "those asked for")
    words = [f"--releases {options.releases}" if options.releases != "default" else "", "--pre" if options.pre else ""]
    return {
        "command": " ".join(["python -m compatibility", *filter(None, words)]),
        "selection": f"{kind}, {what}" if options.releases in _SETS else "The releases asked for",
        "date": time.strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "fork": fork,
        "summary": summary_of(rows),
        "rows": rows,
    }


def fork_digest(root: Path = ROOT) -> str:
    """Twelve hex digits that change with any source of the fork or of its tool."""
    digest = hashlib.sha256()
    for path in our_sources(root):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def write(report: Mapping[str, Any], text: str, folder: Path, name: str) -> None:
    """The data and the table. The name says which releases were asked for, so no run replaces a larger one."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(as_json(report), encoding="utf-8")
    (folder / f"{name}.md").write_text(text, encoding="utf-8")
    _say(f"written: {folder / name}.md and .json")


def _for_people(report: Mapping[str, Any], brief: bool) -> str:
    return summary_line(report["rows"], report["selection"]) if brief else markdown(report)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
