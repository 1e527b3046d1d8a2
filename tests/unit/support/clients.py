"""Redis clients that count, and a reader of MONITOR: what really reaches the server."""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff


def no_redis() -> Redis:
    """A client whose Redis refuses every connection, at once."""
    return Redis(port=1, retry=Retry(NoBackoff(), 0))


class RoundTrips:
    """A client that counts how often it waits for Redis: each command, and each pipeline once."""

    def __init__(self, client: Any):
        self._client = client
        self.count = 0

    def pipeline(self, **options: Any) -> _Pipeline:
        return _Pipeline(self._client.pipeline(**options), self)

    def __getattr__(self, name: str) -> Any:
        command = getattr(self._client, name)

        async def counted(*args: Any, **options: Any) -> Any:
            self.count += 1
            return await command(*args, **options)

        return counted


class _Pipeline:
    def __init__(self, pipeline: Any, trips: RoundTrips):
        self._pipeline = pipeline
        self._trips = trips

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pipeline, name)

    async def execute(self) -> Any:
        self._trips.count += 1
        return await self._pipeline.execute()


class Interposed:
    """A client that awaits `before(name)` ahead of each command, `pipeline` for a pipeline."""

    def __init__(self, client: Any, before: Any):
        self._client = client
        self._before = before

    def pipeline(self, **options: Any) -> Any:
        pipeline = self._client.pipeline(**options)
        execute = pipeline.execute

        async def executed() -> Any:
            await self._before("pipeline")
            return await execute()

        pipeline.execute = executed
        return pipeline

    def __getattr__(self, name: str) -> Any:
        command = getattr(self._client, name)

        async def run(*args: Any, **options: Any) -> Any:
            await self._before(name)
            return await command(*args, **options)

        return run


@dataclass
class Monitored:
    commands: list[list[str]] = field(default_factory=list)


@asynccontextmanager
async def monitored(host: str, port: int) -> Any:
    """Every command that the server got meanwhile, each as the list of its words."""
    reader, writer = await asyncio.open_connection(host, port, limit=2**24)
    writer.write(b"MONITOR\r\n")
    await reader.readline()
    seen = Monitored()
    try:
        yield seen
        marker, marking = await asyncio.open_connection(host, port)
        marking.write(b"ECHO end-of-monitoring\r\n")
        await marker.readline()
        marking.close()
        while (line := await reader.readline()) and b"end-of-monitoring" not in line:
            if b" lua] " not in line:  # What a script does itself is not sent by the client.
                seen.commands.append(re.findall(r'"((?:[^"\\]|\\.)*)"', line.decode()))
    finally:
        writer.close()
