"""What must not get worse: processor time on against off, commands, round trips and bytes a turn.

    python -m bench.cost.guard             all of it
    python -m bench.cost.guard --counts    without the processor time

Ratios and counts only, so that it says the same on any machine. The ratios' limits leave room for a noisy one: what
they are for is a cost that grows by milliseconds, not by a tenth of one. Ends with 1 where a limit is exceeded.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from redis import Redis

from lab.client import ResponsesClient
from lab.monitor import monitored
from lab.proxy import Proxy
from lab.redis_server import RedisServer
from lab.sockets import socket_client

from . import results
from .fork import open_store, turn_of
from .kept import bytes_in
from .load import MODEL
from .processor import keep_on
from .sides import OTHER_CORES, running_provider, running_sides
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


def asked_of_redis(server: RedisServer, redis: Redis, work: Callable[[], object]) -> tuple[list[str], int]:
    """While `work` runs: the names of the commands that clients send, and how often Redis reads from a connection, by
    its own count; what comes in a pipeline it reads in one go.
    """
    with monitored(server.host, server.port) as seen:
        before = reads_of(redis)
        work()
        reads = reads_of(redis) - before - 1  # the question itself
    return [words[0] for words in seen.commands if words[0] != "INFO"], reads


def reads_of(redis: Redis) -> int:
    return redis.info("stats")["total_reads_processed"]


def commands_of_follow_ups(proxy: Proxy, server: RedisServer, redis: Redis) -> list[Limit]:
    """On a real proxy, plain, streamed and over a WebSocket."""
    limits = []
    for name, connect, stream in (
        ("plain", ResponsesClient, False),
        ("streamed", ResponsesClient, True),
        ("over a WebSocket", socket_client, True),
    ):
        with connect(proxy.url, proxy.key) as client:
            ask = partial(client.responses, MODEL, stream=stream)
            warm = ask("One.", previous_response_id=ask("Zero.").id)  # Redis is taught the scripts.
            work = partial(ask, "Two.", previous_response_id=warm.id)
            # The least of three: a connection that is opened meanwhile greets Redis once.
            asked = [asked_of_redis(server, redis, work) for _ in range(3)]
            commands, reads = min(asked, key=lambda each: (len(each[0]), each[1]))
        limits.append(Limit(f"commands of a follow-up, {name} ({', '.join(commands)})", len(commands), 2))
        limits.append(Limit(f"round trips of a follow-up, {name}", reads, 2))
    return limits


def counts(server: RedisServer, redis: Redis, provider_url: str, side: str = "on") -> list[Limit]:
    with running_sides((side,), provider_url, server) as (started,):
        return commands_of_follow_ups(started.proxy, server, redis)


async def bytes_of_turns(server: RedisServer) -> Limit:
    """What a turn takes in Redis against its text."""
    store, writer = open_store(server.url), Writer()
    last = None
    for _ in range(TURNS):
        chain = [await store.load(last)] if last else []
        last = await store.save(turn_of(writer.text(ASKED), writer.text(ANSWERED)), *chain)
    with server.client() as redis:
        share = bytes_in(redis) / (TURNS * (ASKED + ANSWERED))
    return Limit(f"bytes in Redis of {TURNS} turns of 2 kB, all keys, against their text", round(share, 3), 0.75)


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
        limits = [asyncio.run(bytes_of_turns(server))]
    server = RedisServer()
    with server, server.client() as redis, running_provider() as provider:
        limits += counts(server, redis, provider.url)
    if "--counts" not in sys.argv:
        limits += ratios()
    for limit in limits:
        results.progress(str(limit))
    return 0 if all(limit.is_kept for limit in limits) else 1


if __name__ == "__main__":
    sys.exit(main())
