"""What a test does to Redis: stop it, empty it, take a part away, look inside."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from redis import Redis

from lab.redis_server import RedisServer


def connect(server: RedisServer) -> Redis:
    return Redis.from_url(server.url)


@contextlib.contextmanager
def stopped(server: RedisServer) -> Iterator[None]:
    """Without Redis inside; afterwards it is there again, and empty."""
    server.crash()
    try:
        yield
    finally:
        server.start()


def flush(server: RedisServer) -> None:
    with connect(server) as redis:
        redis.flushall()


def keys(server: RedisServer, pattern: str = "*") -> list[bytes]:
    with connect(server) as redis:
        return sorted(redis.scan_iter(pattern))


def only_new_key(server: RedisServer, pattern: str, before: list[bytes]) -> bytes:
    (new,) = set(keys(server, pattern)) - set(before)
    return new
