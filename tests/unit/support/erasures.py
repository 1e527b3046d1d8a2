"""An administrator's erasure, on a client that others use too."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError

from litellm.responses.litellm_completion_transformation.redis_session_patch.api.erasing import Progress, erase
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.runtime import Runtime
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.settings import Settings

from .stores import connection_to

TTL_SECONDS = 1_000


class Scanning:
    """``client``, whose ``scan_iter`` is another."""

    def __init__(self, client: Any, scan_iter: Callable[..., Iterator[bytes]]):
        self._client = client
        self.scan_iter = scan_iter

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


def failing_to_scan(client: Any) -> Scanning:
    def fail(**_: Any) -> Iterator[bytes]:
        raise RedisConnectionError("Connection closed by server.")

    return Scanning(client, fail)


def with_a_write_after_each_scan(client: Any, *writes: Callable[[], Awaitable[Any]]) -> Scanning:
    """What is written after a scan, while the erasure runs, is not in it."""
    left, loop = list(writes), asyncio.get_running_loop()

    async def write_one() -> None:
        await left.pop(0)()

    def scan(**how: Any) -> Iterator[bytes]:
        yield from client.scan_iter(**how)
        if left:
            asyncio.run_coroutine_threadsafe(write_one(), loop).result(10)

    return Scanning(client, scan)


async def erase_all_of(client: Any, part: str = "user", value: str = "alice", dry_run: bool = False) -> Progress:
    """In a thread, as the route does it: others go on meanwhile."""
    runtime = Runtime(Settings(ttl_seconds=TTL_SECONDS), connection_to(client))
    return (await asyncio.to_thread(list, erase(runtime, {part: value}, dry_run)))[-1]
