"""An administrator's erasure, on a client that others use too."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError

from litellm.responses.litellm_completion_transformation.redis_session_patch.erasing import Progress, erase
from litellm.responses.litellm_completion_transformation.redis_session_patch.runtime import Runtime
from litellm.responses.litellm_completion_transformation.redis_session_patch.settings import Settings

from .stores import TTL_SECONDS

Scan = Callable[..., AsyncIterator[bytes]]


class Shared:
    """``client``, which stays open; ``scan_iter`` stands for its own."""

    def __init__(self, client: Any, scan_iter: Scan | None = None):
        self._client = client
        self.scan_iter = scan_iter or client.scan_iter

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def aclose(self) -> None: ...


def failing_to_scan(client: Any) -> Shared:
    async def fail(**_: Any) -> AsyncIterator[bytes]:
        raise RedisConnectionError("Connection closed by server.")
        yield b""

    return Shared(client, fail)


def with_a_write_after_each_scan(client: Any, *writes: Callable[[], Awaitable[Any]]) -> Shared:
    """What is written after a scan, while the erasure runs, is not in it."""
    left = list(writes)

    async def scan(**how: Any) -> AsyncIterator[bytes]:
        async for key in client.scan_iter(**how):
            yield key
        if left:
            await left.pop(0)()

    return Shared(client, scan)


async def erase_all_of(client: Any, part: str = "user", value: str = "alice", dry_run: bool = False) -> Progress:
    runtime = Runtime(
        Settings(ttl_seconds=TTL_SECONDS), lambda: client if isinstance(client, Shared) else Shared(client)
    )
    async for progress in erase(runtime, {part: value}, dry_run):
        last = progress
    return last
