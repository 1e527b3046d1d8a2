"""What a turn costs the proxy: its processor time, requests a second and latency, on against off and pristine.

The sides take turns in short rounds, so that each meets the same machine; ratios are those of a round, of which the
median and the quarters on both sides of it are kept. The provider gets the same requests from all: by
`previous_response_id` with the fork, with the whole conversation sent by the client without it.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import statistics
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from lab.redis_server import RedisServer

from . import results
from .editions import EDITIONS
from .load import Client, Talk, play_turn
from .processor import keep_on
from .sides import OTHER_CORES, Side, running_provider, running_sides

ASKED = "Some words of a usual length, as people write them. " * 4
TURNS = ("first turn", "follow-up")
# The proxy writes its logs after the reply: it is at rest when it works less than this part of the time.
REST_SHARE, REST_SECONDS = 0.1, 0.05


@dataclass(frozen=True)
class Cell:
    """`conversations` of two turns each, a round and side."""

    clients: int
    stream: bool
    conversations: int
    rounds: int

    @property
    def name(self) -> str:
        return f"{self.clients} clients, {'stream' if self.stream else 'plain'}"


@dataclass
class Measured:
    """One side and turn of a cell. A figure a round, but for `latencies`."""

    processor_ms: list[float] = field(default_factory=list)
    requests_per_second: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)


def cells(factor: int) -> list[Cell]:
    return [
        Cell(clients, stream, conversations, rounds * factor)
        for clients, conversations, rounds in ((16, 32, 6), (1, 4, 6), (64, 64, 4))
        for stream in (False, True)
    ]


def with_metrics_cells(factor: int) -> list[Cell]:
    return [Cell(16, stream, 32, 3 * factor) for stream in (False, True)]


def rest(side: Side) -> float:
    """Waits until the proxy has nothing left to do; its processor seconds so far."""
    before = side.processor_seconds()
    while True:
        time.sleep(REST_SECONDS)
        now = side.processor_seconds()
        if now - before < REST_SHARE * REST_SECONDS:
            return now
        before = now


async def play_round(side: Side, cell: Cell, numbers: Iterator[int]) -> list[tuple[float, float, list[float]]]:
    """For each turn the proxy's processor seconds, the seconds it took, and each request's."""
    talks, played = [Talk()] * cell.conversations, []
    async with Client(side.proxy.url, side.proxy.key, cell.clients) as client:
        for _ in TURNS:
            asked = [f"{next(numbers)} {ASKED}" for _ in talks]
            before, started = rest(side), time.perf_counter()
            talks, seconds = await play_turn(
                client, talks, asked, stream=cell.stream, remembers=side.remembers, model=side.model
            )
            took = time.perf_counter() - started
            played.append((rest(side) - before, took, seconds))
    return played


async def measure(cell: Cell, sides: list[Side], numbers: Iterator[int]) -> dict[tuple[str, str], Measured]:
    measured = {(side.name, turn): Measured() for side in sides for turn in TURNS}
    for number in range(cell.rounds):
        for side in sides[number % len(sides) :] + sides[: number % len(sides)]:
            played = await play_round(side, cell, numbers)
            for turn, (processor, took, latencies) in zip(TURNS, played, strict=True):
                one = measured[side.name, turn]
                one.processor_ms.append(1000 * processor / cell.conversations)
                one.requests_per_second.append(cell.conversations / took)
                one.latencies += latencies
    return measured


def figures_of(one: Measured) -> dict:
    hundredths = statistics.quantiles(one.latencies, n=100)
    return {
        "requests": len(one.latencies),
        "processor_ms": spread(one.processor_ms, 3),
        "requests_per_second": spread(one.requests_per_second, 1),
        "p50_ms": round(1000 * hundredths[49], 2),
        "p99_ms": round(1000 * hundredths[98], 2),
    }


def compare(one: Measured, other: Measured) -> dict:
    """`one` against `other`: ratios of the same rounds, added latency."""
    mine, theirs = figures_of(one), figures_of(other)
    return {
        "processor": spread(map(float.__truediv__, one.processor_ms, other.processor_ms), 4),
        "requests_per_second": spread(map(float.__truediv__, one.requests_per_second, other.requests_per_second), 4),
        "p50_added_ms": round(mine["p50_ms"] - theirs["p50_ms"], 2),
        "p99_added_ms": round(mine["p99_ms"] - theirs["p99_ms"], 2),
    }


def spread(values: Iterable[float], digits: int) -> list[float]:
    """The first quarter, the median, the third quarter."""
    return [round(value, digits) for value in statistics.quantiles(values, n=4, method="inclusive")]


def both_turns(measured: dict[tuple[str, str], Measured], side: str) -> Measured:
    """A conversation of two turns, as figures of a request."""
    first, second = (measured[side, turn] for turn in TURNS)
    return Measured(
        [(a + b) / 2 for a, b in zip(first.processor_ms, second.processor_ms, strict=True)],
        [2 / (1 / a + 1 / b) for a, b in zip(first.requests_per_second, second.requests_per_second, strict=True)],
        first.latencies + second.latencies,
    )


def rows_of(cell: Cell, measured: dict[tuple[str, str], Measured], than: str) -> list[dict]:
    """One for each side and turn; those of the sides that are compared say how they are against `than`."""
    sides = list(dict.fromkeys(side for side, _ in measured))
    whole = {**measured, **{(side, "both"): both_turns(measured, side) for side in sides}}
    return [
        {
            "clients": cell.clients,
            "stream": cell.stream,
            "turn": turn,
            "side": side,
            **figures_of(whole[side, turn]),
            **({} if side == than else {f"against {than}": compare(whole[side, turn], whole[than, turn])}),
        }
        for turn in (*TURNS, "both")
        for side in sides
    ]


async def measure_all(plan: list[Cell], sides: list[Side], than: str, section: str | None) -> list[dict]:
    numbers, rows = itertools.count(100_000), []
    for side in sides:  # warm, each way once
        for stream in (False, True):
            await play_round(side, Cell(16, stream, 32, 1), numbers)
    for cell in plan:
        started = time.monotonic()
        rows += rows_of(cell, await measure(cell, sides, numbers), than)
        if section is not None:  # what there is, should a later cell fail
            results.write(section, rows=rows)
        results.progress(f"  {cell.name}: {time.monotonic() - started:.0f} s; {summary(rows[-len(sides) :], than)}")
    return rows


def summary(rows: list[dict], than: str) -> str:
    against = ((row["side"], row.get(f"against {than}")) for row in rows)
    return ", ".join(f"processor {side} ÷ {than} {ratio['processor'][1]:.3f}" for side, ratio in against if ratio)


def run(names: tuple[str, ...], plan: list[Cell], than: str, section: str | None = None) -> list[dict]:
    """The rows, which go to the data of `section` too."""
    with RedisServer() as redis, running_provider() as provider:
        keep_on(redis.pid, OTHER_CORES)
        keep_on(provider.pid, OTHER_CORES)
        results.progress(f"  starting {len(names)} proxies: {', '.join(names)}")
        with running_sides(names, provider.url, redis) as sides:
            return asyncio.run(measure_all(plan, sides, than, section))


def main(factor: int = 1) -> None:
    keep_on(os.getpid(), OTHER_CORES)
    run(("on", "off", "pristine"), cells(factor), "off", "turns")
    run(("on, metrics", "off, metrics"), with_metrics_cells(factor), "off, metrics", "turns_with_metrics")


def native(factor: int = 1) -> None:
    """Of a model with a Responses endpoint of its own, whose provider holds the conversation."""
    keep_on(os.getpid(), OTHER_CORES)
    plan = [Cell(16, stream, 32, 6 * factor) for stream in (False, True)]
    run(("native on", "native off"), plan, "native off", "native")


def beside_earlier_editions(factor: int = 1) -> None:
    keep_on(os.getpid(), OTHER_CORES)
    plan = [Cell(16, stream, 32, 8 * factor) for stream in (False, True)]
    run(("on", *EDITIONS, "off"), plan, "off", "editions")
