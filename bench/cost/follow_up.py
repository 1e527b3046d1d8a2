"""The processor time of a follow-up in the fork's store, reading and storing apart, beside the second edition's.

In milliseconds and, as machines differ, in bare PINGs: of the edition's own redis-py client (this edition's works in
threads, the second's in asyncio), and of the second edition's. Each edition measures its own store, in a process of its
own; the processes take turns on one Redis.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from lab.redis_server import RedisServer
from lab.trees import ROOT

from . import results
from .editions import sources_of
from .processor import keep_on
from .sides import OTHER_CORES, PROXIES_CORES

SECOND = "second edition"
THIS = "this edition"
TURNS = (1, 5, 10, 100)
ROUNDS, ROUNDS_A_PROCESS = 5, 4

# Runs in an edition's sources.
_MEASURE = """
import inspect, json, sys, uvloop
from bench.cost import store
from bench.cost.fork import open_store

url, rounds, store.TURNS = sys.argv[1], int(sys.argv[2]), tuple(map(int, sys.argv[3:]))
store.LONG_LOADS = store.TIMES["load"]

async def measure():
    client = open_store(url).client
    async def ping():
        reply = client.ping()
        if inspect.isawaitable(reply):
            await reply
    await ping()
    figures = await store.measure(url, rounds)
    _, figures["bare ping"] = await store.timed_ms(2000, ping)
    return {name: each if isinstance(each, float) else each["processor_ms"] for name, each in figures.items()}

print(json.dumps(uvloop.run(measure())))
"""


def one_round(sources: Path, url: str) -> dict[str, float]:
    """Milliseconds of processor time by name."""
    command = [sys.executable, "-c", _MEASURE, url, str(ROUNDS_A_PROCESS), *map(str, TURNS)]
    environment = {**os.environ, "PYTHONPATH": str(sources)}
    done = subprocess.run(command, cwd=sources, env=environment, check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout.splitlines()[-1])


def main(factor: int = 1) -> None:
    keep_on(os.getpid(), OTHER_CORES)
    sources = {THIS: ROOT, SECOND: sources_of(SECOND)}
    measured: dict[str, list[dict[str, float]]] = {edition: [] for edition in sources}
    with RedisServer() as redis:
        keep_on(redis.pid, PROXIES_CORES)
        for _ in range(ROUNDS * factor):
            for edition, folder in sources.items():
                measured[edition].append(one_round(folder, redis.url))
    figures = {edition: medians(rounds) for edition, rounds in measured.items()}
    rows = [row for edition in figures for row in rows_of(edition, figures)]
    results.write("follow_up", pings_ms={edition: each["bare ping"] for edition, each in figures.items()}, rows=rows)
    for row in rows:
        results.progress(f"  {row}")


def medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}


def rows_of(edition: str, figures: dict[str, dict[str, float]]) -> list[dict]:
    mine, second = figures[edition], figures[SECOND]["bare ping"]
    rows = []
    for turns in TURNS:
        row: dict = {"edition": edition, "turns": turns}
        read, store = mine[f"load {turns}"], mine[f"append {turns}"]
        for name, spent in (("read", read), ("store", store), ("both", read + store)):
            row[name] = {
                "ms": round(spent, 4),
                "in_own_pings": round(spent / mine["bare ping"], 2),
                "in_second_editions_pings": round(spent / second, 2),
            }
        rows.append(row)
    return rows
