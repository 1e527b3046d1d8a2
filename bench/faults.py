"""What happens to requests while something happens to Redis, with the patch and without it.

    python -m bench.faults --ways url cluster --faults stopped reset --seconds 20

Runs in the environment of the LiteLLM to be measured. On each way to Redis two proxies stand side by side, patched and
as released, and every fault happens to each of them under the same load. What is compared is latency before the fault
and in it, of the same proxy. Writes `bench/results/faults.json` and `.md`; rows that are not measured anew are kept.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from lab.conversations import tags
from lab.evictions import EVICTIONS
from lab.failovers import FAILOVERS
from lab.faults import OUTAGES, TOPOLOGIES, Fault
from lab.provider import Provider
from lab.proxy import Proxy
from lab.trees import installed_release, tree
from lab.trial import Spans, try_fault
from lab.ways import WAYS, Way

from .before_after import RESULTS
from .documents import put_table
from .faults_table import table

FAULTS = {fault.name: fault for fault in (*OUTAGES, *EVICTIONS, *FAILOVERS)}
DEFAULT_WAYS = ("url", "cache", "tls-cache", "cluster", "sentinel")
FILE = RESULTS / "faults.json"


def faults_of(way: Way, names: list[str]) -> list[Fault]:
    topology = next((name for name in TOPOLOGIES if way.name.startswith(name)), None)
    return [FAULTS[name] for name in names if topology in FAULTS[name].on]


def rows_of(way: Way, names: list[str], spans: Spans) -> Iterator[dict]:
    """One row for each fault and side, as they are measured."""
    with contextlib.ExitStack() as stack:
        provider = stack.enter_context(Provider())
        sides = {"on": tree("patched"), "off": tree("pristine")}
        proxies = {side: Proxy(way.options(provider.url, of_side)) for side, of_side in sides.items()}
        for proxy in proxies.values():
            stack.callback(proxy.stop)
            proxy.start()
        numbers = tags()
        for proxy in proxies.values():
            proxy.wait_until_ready()
        for fault in faults_of(way, names):
            for side, proxy in proxies.items():
                provider.clear()
                trial = asyncio.run(try_fault(proxy, provider, numbers, fault, way, spans, remembers=side == "on"))
                key = {"release": installed_release(), "way": way.name, "fault": fault.name, "patch": side}
                yield {**key, **trial.figures()}


def is_same_cell(one: dict, other: dict) -> bool:
    return all(one[name] == other[name] for name in ("release", "way", "fault", "patch"))


def put(rows: list[dict], fresh: dict) -> list[dict]:
    """`rows` with the fresh one in the place of the one for the same cell."""
    places = [number for number, row in enumerate(rows) if is_same_cell(row, fresh)]
    return [fresh if number in places else row for number, row in enumerate(rows)] + ([] if places else [fresh])


def write(rows: list[dict], file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(rows, indent=1) + "\n")
    file.with_suffix(".md").write_text(table(rows))
    if file == FILE:
        put_table("README.md", "faults", table(rows))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.faults", description=__doc__.splitlines()[0])
    parser.add_argument("--ways", nargs="+", default=DEFAULT_WAYS, choices=WAYS, metavar="WAY")
    parser.add_argument("--faults", nargs="+", default=list(FAULTS), choices=FAULTS, metavar="FAULT")
    parser.add_argument("--seconds", type=float, default=15, help="of load before a fault and in it (15)")
    parser.add_argument("--file", type=Path, default=FILE, help="the data; the table stands beside it")
    arguments = parser.parse_args()
    spans = Spans(arguments.seconds, arguments.seconds, after=2)
    rows = json.loads(arguments.file.read_text()) if arguments.file.exists() else []
    bad = 0
    for name in arguments.ways:
        with WAYS[name]() as way:
            for row in rows_of(way, arguments.faults, spans):
                rows = put(rows, row)
                write(rows, arguments.file)
                bad += row["patch"] == "on" and row["failed"] + row["wrong"] > 0
                print(json.dumps(row), file=sys.stderr, flush=True)
    print(table(rows), end="")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
