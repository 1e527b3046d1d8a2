"""What conversations leave in Redis, in keys and bytes (`MEMORY USAGE`): over HTTP, over a WebSocket, in trees.

Prints a table and writes it to `bench/results/keys_and_bytes.md`. Run it with a Python that has the test requirements:
`python -m bench.keys_and_bytes` (a minute).
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path

from redis import Redis

from lab.client import ResponsesClient
from lab.provider import Provider
from lab.proxy import Proxy, ProxyOptions
from lab.redis_server import RedisServer
from lab.sockets import SocketClient, socket_client
from lab.trees import tree

RESULT = Path(__file__).parent / "results" / "keys_and_bytes.md"
TURN_BYTES = 2_000
LIFETIME_SECONDS = 1_000
WORDS = ("river", "stone", "market", "winter", "paper", "order", "light", "answer", "number", "little", "before")


def main() -> int:
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    rows: list[tuple[str, int, int]] = []
    with Provider() as provider, RedisServer() as server, server.client() as redis:
        with Proxy(ProxyOptions(provider.url, tree("patched"), server.environment)) as proxy:
            for turns in (1, 10, 100):
                for name, connect in (("HTTP", ResponsesClient), ("WebSocket", socket_client)):
                    redis.flushall()
                    with connect(proxy.url, proxy.key) as client:
                        play(client, turns)
                    rows.append((f"{turns} turns of {TURN_BYTES // 1000} kB over {name}", *left_in(redis)))
        redis.flushall()
        rows += asyncio.run(trees(server, redis))
    lines = [f"| {name} | {keys:,} | {size:,} |" for name, keys, size in rows]
    text = "\n".join(["| conversation | keys | bytes |", "|---|---|---|", *lines, ""])
    RESULT.write_text(text)
    print(text, end="")
    return 0


def texts(seed: int) -> Iterator[str]:
    chance = random.Random(seed)
    while True:
        yield " ".join(chance.choices(WORDS, k=TURN_BYTES // 14))


def left_in(redis: Redis) -> tuple[int, int]:
    keys = list(redis.scan_iter("litellm_patch:*"))
    return len(keys), sum(redis.memory_usage(key, samples=0) for key in keys)  # Else it is guessed from five fields.


def play(client: ResponsesClient | SocketClient, turns: int) -> None:
    last = None
    for _, text in zip(range(turns), texts(1), strict=False):
        last = client.responses("chat-model", text, stream=True, previous_response_id=last).id


async def trees(server: RedisServer, redis: Redis) -> list[tuple[str, int, int]]:
    from .cost.fork import NO_TURNS, Place, open_store, turn_of

    store, said = open_store(server.url, LIFETIME_SECONDS), texts(2)

    async def say(after: Place | None = None) -> Place:
        chain = await store.load(after) if after else NO_TURNS
        return await store.save(turn_of(next(said)[:300], next(said)[:300]), chain)

    base, rows = await say(), []
    for lifetime in range(1, 4):
        for _ in range(1_000 // 3 + (lifetime == 3)):
            await say(base)
        rows.append(
            (f"one response followed up 1,000 times over 3 lifetimes, after the {ordinal(lifetime)}", *left_in(redis))
        )
        age(redis, base.turn)
    redis.flushall()
    chance = random.Random(7)
    for _ in range(200):
        nodes = [await say()]
        for _ in range(chance.randint(2, 8)):
            nodes.append(await say(chance.choice(nodes)))
    rows.append(("200 random trees of 3 to 9 turns of 0.6 kB", *left_in(redis)))
    return rows


def age(redis: Redis, base: str) -> None:
    """A lifetime passes for all but the response that is followed up."""
    for key in redis.scan_iter("litellm_patch:*:lives"):
        ended = (turn for turn in redis.zrange(key, 0, -1) if turn.decode() != base)
        redis.zadd(key, dict.fromkeys(ended, 1))


def ordinal(number: int) -> str:
    return ("first", "second", "third")[number - 1]


if __name__ == "__main__":
    sys.exit(main())
