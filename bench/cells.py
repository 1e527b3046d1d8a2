"""One release's cells of the before/after table; runs in that release's environment, data as JSON on standard output.

A cell is a proxy (database yes or no, patch on or off), a mode (plain or stream) and a delay between the two turns of
a conversation. Conversations of all cells start spread over some seconds, so that they meet upstream's writer at
every moment of its round.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

from lab.client import AsyncResponsesClient
from lab.database.postgres import postgres
from lab.database.proxy_env import with_database
from lab.lines import HttpLine, Manner
from lab.player import Player
from lab.provider import Provider
from lab.proxy import Proxy, ProxyOptions
from lab.redis_server import RedisServer
from lab.trees import installed_release, tree

UPSTREAMS_WRITE_SECONDS = 10  # its default; it adds up to 5 s of chance
SPREAD_SECONDS = 24.0
DELAYS_SECONDS = (0, 1, 12)
AT_ONCE = 64


@dataclass(frozen=True)
class Cell:
    release: str
    database: bool
    patch: bool
    stream: bool
    delay_seconds: int
    conversations: int = 0
    remembered: int = 0
    failed: int = 0


@dataclass(frozen=True)
class Bench:
    provider: Provider
    tags: Iterator[int]
    conversations: int
    spread_seconds: float


async def remembers(bench: Bench, client: AsyncResponsesClient, stream: bool, delay_seconds: float) -> bool | None:
    """Whether the second turn's provider request held the first turn exactly once; `None`: a request failed."""
    player = Player(HttpLine(client, Manner(stream=stream)), bench.provider, bench.tags)
    question = f"Question {next(bench.tags)}?"
    first = await player.ask(question)
    if first.status != 200:
        return None
    await asyncio.sleep(delay_seconds)
    second = await player.ask("And then?", first.id)
    if second.status != 200 or not second.requests:
        return None
    return second.received.count(question) == second.received.count(first.reply.text) == 1


async def measure_cell(bench: Bench, cell: Cell, client: AsyncResponsesClient) -> Cell:
    async def one(number: int) -> bool | None:
        await asyncio.sleep(bench.spread_seconds * number / bench.conversations)
        return await remembers(bench, client, cell.stream, cell.delay_seconds)

    outcomes = await asyncio.gather(*(one(number) for number in range(bench.conversations)))
    done = replace(cell, conversations=len(outcomes), remembered=outcomes.count(True), failed=outcomes.count(None))
    say(f"{describe(done)}: {done.remembered} of {done.conversations}")
    return done


def describe(cell: Cell) -> str:
    return (
        f"litellm {cell.release}, {'database' if cell.database else 'no database'}, "
        f"patch {'on' if cell.patch else 'off'}, {'stream' if cell.stream else 'plain'}, {cell.delay_seconds} s"
    )


async def measure_proxy(bench: Bench, proxy: Proxy, database: bool, patch: bool) -> list[Cell]:
    release = installed_release()
    async with AsyncResponsesClient(proxy.url, proxy.key, max_connections=AT_ONCE) as client:
        for _ in range(3):  # the first request of a proxy loads much
            await remembers(bench, client, stream=True, delay_seconds=0)
        cells = [Cell(release, database, patch, stream, delay) for stream in (False, True) for delay in DELAYS_SECONDS]
        return await asyncio.gather(*(measure_cell(bench, cell, client) for cell in cells))


def measure_release(conversations: int, spread_seconds: float) -> list[Cell]:
    """Patch off and on run side by side, first without a database, then with one (each its own)."""
    cells: list[Cell] = []
    with contextlib.ExitStack() as stack:
        provider = stack.enter_context(Provider())
        redis = stack.enter_context(RedisServer())
        databases = stack.enter_context(postgres())
        bench = Bench(provider, itertools.count(1_000), conversations, spread_seconds)
        off = ProxyOptions(provider.url, tree("pristine"))
        on = ProxyOptions(provider.url, tree("patched"), redis.environment)
        for database in (False, True):
            with contextlib.ExitStack() as running:
                options = [off, on]
                if database:
                    options = [
                        with_database(each, running.enter_context(databases.fresh()), UPSTREAMS_WRITE_SECONDS)
                        for each in options
                    ]
                proxies = [Proxy(each) for each in options]
                for proxy in proxies:
                    running.callback(proxy.stop)
                    proxy.start()
                say(f"litellm {installed_release()}, {'with' if database else 'without'} database: proxies start")
                for proxy in proxies:
                    proxy.wait_until_ready()
                cells += asyncio.run(measure_side_by_side(bench, proxies, database))
    return cells


async def measure_side_by_side(bench: Bench, proxies: list[Proxy], database: bool) -> list[Cell]:
    both = zip(proxies, (False, True), strict=True)
    measured = await asyncio.gather(*(measure_proxy(bench, proxy, database, patch) for proxy, patch in both))
    return [cell for cells in measured for cell in cells]


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.cells", description=__doc__.splitlines()[0])
    parser.add_argument("--conversations", type=int, default=20)
    parser.add_argument("--spread-seconds", type=float, default=SPREAD_SECONDS)
    arguments = parser.parse_args()
    json.dump([asdict(cell) for cell in measure_release(arguments.conversations, arguments.spread_seconds)], sys.stdout)
