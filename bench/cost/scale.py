"""A million live conversations in one Redis: memory, lookups, a restart, an erasure, a purge.

The conversations are what the store itself writes, a few hundred different ones, copied under ever new names through a
pipe: what Redis holds of a conversation does not depend on its name, but for the name.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import uvloop
from redis import Redis

from lab.processes import wait_until
from lab.redis_server import RedisServer

from . import results
from .fork import (
    OWNER,
    Owner,
    Place,
    digest_of,
    erase_user,
    keys_of,
    new_conversation,
    open_store,
    turn_of,
)
from .processor import keep_on
from .sides import OTHER_CORES, PROXIES_CORES
from .texts import Writer

TURNS, ASKED, ANSWERED = 3, 200, 500  # a conversation's turns, and characters of each
TEMPLATES = 200
ERASED_SHARE = 0.01  # of the conversations belong to the user who is erased
ERASED_USER = "somebody"
TTL_SECONDS = 86_400
LOOKUPS = 20_000
PIPE_BYTES = 1 << 20
LOAD_SECONDS = 300  # for what takes Redis long: to save, and to load
ROOT = Path(__file__).resolve().parents[2]


def command(*words: bytes | str | int) -> bytes:
    """As Redis reads it."""
    parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


@dataclass(frozen=True)
class Template:
    """The commands that write one stored conversation, whose name is to be replaced; `last`: its last response."""

    last: Place
    commands: bytes

    def copy(self, conversation: str) -> bytes:
        return self.commands.replace(self.last.conversation.encode(), conversation.encode())


async def write_templates(url: str, owner: Owner, count: int, seed: int) -> list[Place]:
    """The last responses of `count` conversations that the store has written."""
    store, writer, written = open_store(url, TTL_SECONDS), Writer(seed), []
    for _ in range(count):
        last: Place | None = None
        for _ in range(TURNS):
            turn = turn_of(writer.text(ASKED), writer.text(ANSWERED), owner)
            chain = [await store.load(last, owner)] if last else []
            last = await store.save(turn, *chain, owner=owner)
        written.append(last)
    return written


def templates(url: str, redis: Redis, owner: Owner, count: int, seed: int) -> list[Template]:
    return [template_of(redis, last) for last in asyncio.run(write_templates(url, owner, count, seed))]


def template_of(redis: Redis, last: Place) -> Template:
    turns, *others = keys_of(last)
    parts = [command("HSET", turns, *(word for pair in redis.hgetall(turns).items() for word in pair))]
    for key in others:
        members = redis.zrange(key, 0, -1, withscores=True)
        parts.append(command("ZADD", key, *(word for turn, score in members for word in (int(score), turn))))
    parts += [command("EXPIRE", key, TTL_SECONDS + 60) for key in (turns, *others)]
    return Template(last, b"".join(parts))


def fill(server: RedisServer, count: int, of_user: list[Template], of_others: list[Template]) -> Iterator[Place]:
    """Copies until there are `count`; the last responses of some that are of others, for lookups."""
    every = round(1 / ERASED_SHARE)
    with socket.create_connection((server.host, server.port)) as pipe:
        pipe.sendall(command("CLIENT", "REPLY", "OFF"))
        buffer = bytearray()
        for number in range(count):
            among = of_others if number % every else of_user
            template, name = among[number % len(among)], new_conversation()
            buffer += template.copy(name)
            if len(buffer) > PIPE_BYTES:
                pipe.sendall(buffer)
                buffer.clear()
            if number % 20 == 1:
                yield Place(name, template.last.turn)
            if number % (count // 10) == 0:
                results.progress(f"  filled {number:,} of {count:,}")
        pipe.sendall(buffer + command("CLIENT", "REPLY", "ON"))
        pipe.recv(64)


async def lookups(url: str, places: list[Place], at_once: int) -> dict:
    store, chance = open_store(url, TTL_SECONDS), random.Random(1)
    wanted = iter(chance.choices(places, k=LOOKUPS))
    seconds: list[float] = []

    async def one() -> None:
        for each in wanted:
            started = time.perf_counter()
            await store.load(each)
            seconds.append(time.perf_counter() - started)

    await asyncio.gather(*(one() for _ in range(at_once)))
    hundredths = statistics.quantiles(seconds, n=100)
    return {"at_once": at_once, "p50_ms": round(1000 * hundredths[49], 3), "p99_ms": round(1000 * hundredths[98], 3)}


def timed(what: str, work: object) -> tuple[float, object]:
    started = time.monotonic()
    done = work()
    took = round(time.monotonic() - started, 1)
    results.progress(f"  {what}: {took} s")
    return took, done


def restart(server: RedisServer, redis: Redis) -> None:
    server.crash()
    server.start(LOAD_SECONDS)
    wait_until(lambda: redis.ping(), LOAD_SECONDS, "Redis")


def purge(url: str) -> None:
    environment = {**os.environ, "REDIS_SESSION_PATCH_URL": url}
    command_line = [sys.executable, "-m", "patches", "purge"]
    subprocess.run(command_line, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)


def main(count: int = 1_000_000) -> None:
    keep_on(os.getpid(), OTHER_CORES)
    user = Owner(digest_of(ERASED_USER), OWNER.team, OWNER.key)
    with RedisServer() as server, Redis.from_url(server.url, socket_timeout=LOAD_SECONDS) as redis:
        keep_on(server.pid, PROXIES_CORES)
        sets = templates(server.url, redis, user, TEMPLATES, 1), templates(server.url, redis, OWNER, TEMPLATES, 2)
        few = uvloop.run(lookups(server.url, [each.last for each in sets[1]], 1))
        redis.flushall()
        empty = redis.info("memory")["used_memory"]
        fill_seconds, places = timed("filled", lambda: list(fill(server, count, *sets)))
        memory, keys = redis.info("memory"), redis.dbsize()
        found = [uvloop.run(lookups(server.url, places, at_once)) for at_once in (1, 16)]
        results.progress(f"  {keys:,} keys, {memory['used_memory_human']}, lookups {few}, {found}")
        save_seconds, _ = timed("saved to disk", redis.save)
        size = sum(each.stat().st_size for each in Path(redis.config_get("dir")["dir"]).glob("*.rdb"))
        start_seconds, _ = timed("started again", lambda: restart(server, redis))
        keep_on(server.pid, PROXIES_CORES)
        erase_seconds, erased = timed("erased a user", lambda: erase_user(server.url, ERASED_USER))
        purge_seconds, _ = timed("purged", lambda: purge(server.url))
        left = redis.dbsize()
    results.write(
        "scale",
        conversations=count,
        turns=TURNS,
        text_bytes=TURNS * (ASKED + ANSWERED),
        keys=keys,
        used_memory_bytes=memory["used_memory"] - empty,
        resident_bytes=memory["used_memory_rss"],
        lookups_among_few=few,
        lookups=found,
        fill_seconds=fill_seconds,
        file_bytes=size,
        save_seconds=save_seconds,
        start_seconds=start_seconds,
        erase_seconds=erase_seconds,
        erased_conversations=erased,
        purge_seconds=purge_seconds,
        keys_left=left,
    )
