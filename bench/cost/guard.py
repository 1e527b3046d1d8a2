"""What must not get worse: processor time on against off, round trips and bytes a turn.

    python -m bench.cost.guard

Ratios and counts only, so that it says the same on any machine. The ratios' limits leave room for a noisy one: what
they are for is a cost that grows by milliseconds, not by a tenth of one. Ends with 1 where a limit is exceeded.
"""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass

from lab.redis_server import RedisServer

from . import results
from .fork import OpenStore, open_store, turn_of
from .kept import bytes_in
from .processor import keep_on
from .sides import OTHER_CORES
from .texts import Writer
from .turns import Cell, run

TURNS, ASKED, ANSWERED = 20, 512, 1536
ROUNDS = 6


@dataclass(frozen=True)
class Limit:
    name: str
    found: float
    most: float

    @property
    def is_kept(self) -> bool:
        return self.found <= self.most

    def __str__(self) -> str:
        return f"{'ok  ' if self.is_kept else 'OVER'}  {self.name}: {self.found:g}, at most {self.most:g}"


async def reads(store: OpenStore) -> int:
    """How often Redis has got something to do from a client: its own count, of which each call here is one."""
    return (await store.client.info("stats"))["total_reads_processed"]


async def counts(server: RedisServer) -> list[Limit]:
    """A turn's round trips, and what it takes in Redis against its text as JSON."""
    store, writer = open_store(server.url), Writer()
    names, last, text_bytes = writer.ids(), None, 0
    trips = {"load": 0, "save": 0}
    for number in range(TURNS):
        turn = turn_of(writer.text(ASKED), writer.text(ANSWERED))
        text_bytes += ASKED + ANSWERED
        before = await reads(store)
        chain = [await store.load(last)] if last else []
        loaded = await reads(store)
        last = await store.save(next(names), turn, *chain)
        stored = await reads(store)
        if number > 1:  # the first of each kind may teach Redis a script
            trips["load"] = max(trips["load"], loaded - before - 1)
            trips["save"] = max(trips["save"], stored - loaded - 1)
    await store.client.aclose()
    with server.client() as redis:
        share = bytes_in(redis) / text_bytes
    return [
        Limit("round trips of a lookup", trips["load"], 2),
        Limit("round trips of storing a turn", trips["save"], 1),
        Limit(f"bytes in Redis of {TURNS} turns of 2 kB, all keys, against their text", round(share, 3), 0.75),
    ]


def ratios() -> list[Limit]:
    plan = [Cell(16, stream, 32, ROUNDS) for stream in (False, True)]
    rows = run(("on", "off"), plan, "off")
    (plain,), (stream,) = (
        [
            row["against off"]["processor"][1]
            for row in rows
            if row["stream"] is kind and (row["side"], row["turn"]) == ("on", "both")
        ]
        for kind in (False, True)
    )
    return [
        Limit("processor time of a plain turn, on against off", plain, 1.3),
        Limit("processor time of a streamed turn, on against off", stream, 1.15),
    ]


def main() -> int:
    keep_on(os.getpid(), OTHER_CORES)
    with RedisServer() as server:
        limits = asyncio.run(counts(server))
    limits += ratios()
    for limit in limits:
        results.progress(str(limit))
    return 0 if all(limit.is_kept for limit in limits) else 1


if __name__ == "__main__":
    sys.exit(main())
