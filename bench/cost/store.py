"""The store alone, on a real Redis on loopback: appending to and loading chains, against a bare PING of its client.

What is timed takes turns in rounds; a figure is the median over rounds of each round's median.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Awaitable, Callable

import uvloop

from lab.redis_server import RedisServer

from . import results
from .fork import Chain, open_store, turn_of
from .processor import keep_on
from .sides import OTHER_CORES, PROXIES_CORES
from .texts import Writer

TURNS = (1, 10, 100, 1000)
ASKED, ANSWERED = 512, 1536  # characters: 2 kB a turn
TIMES = {"ping": 200, "append": 60, "load": 40}
LONG_LOADS = 8  # of a chain of 1,000 turns, a round


async def timed_ms(times: int, work: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    """The median of a run, and its mean processor time in this process."""
    seconds, processor = [], time.process_time()
    for _ in range(times):
        started = time.perf_counter()
        await work()
        seconds.append(time.perf_counter() - started)
    return 1000 * statistics.median(seconds), 1000 * (time.process_time() - processor) / times


async def measure(url: str, rounds: int) -> dict:
    store, writer = open_store(url), Writer()
    turns = [turn_of(writer.text(ASKED), writer.text(ANSWERED)) for _ in range(max(TURNS))]
    tips, chains = {}, {}
    for count in TURNS:
        tips[count] = await store.save(turns[count - 1], Chain(tuple(turns[: count - 1])))
        chains[count] = await store.load(tips[count])

    async def ping() -> None:
        store.client.ping()

    taken: dict[str, list[tuple[float, float]]] = {}

    async def take(name: str, times: int, work: Callable[[], Awaitable[object]]) -> None:
        taken.setdefault(name, []).append(await timed_ms(times, work))

    for number in range(rounds):
        await take("ping", TIMES["ping"], ping)
        for count in TURNS:
            turn = turns[number % len(turns)]
            await take(f"append {count}", TIMES["append"], lambda: store.save(turn, chains[count]))  # noqa: B023
            loads = TIMES["load"] if count < max(TURNS) else LONG_LOADS
            await take(f"load {count}", loads, lambda: store.load(tips[count]))  # noqa: B023
    figures = {}
    for name, each in taken.items():
        quarters = statistics.quantiles((ms for ms, _ in each), n=4, method="inclusive")
        processor = statistics.median(processor_ms for _, processor_ms in each)
        figures[name] = {"ms": [round(ms, 3) for ms in quarters], "processor_ms": round(processor, 3)}
    for figure in figures.values():
        figure["in_pings"] = round(figure["ms"][1] / figures["ping"]["ms"][1], 2)
    return figures


def main(factor: int = 1) -> None:
    keep_on(os.getpid(), OTHER_CORES)
    with RedisServer() as redis:
        keep_on(redis.pid, PROXIES_CORES)
        figures = uvloop.run(measure(redis.url, 12 * factor))
    results.write("store", turn_bytes=ASKED + ANSWERED, figures=figures)
    for name, each in figures.items():
        results.progress(f"  {name}: {each['ms'][1]:.2f} ms, {each['in_pings']} pings")


if __name__ == "__main__":
    main()
