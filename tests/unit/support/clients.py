"""Redis clients that count, interfere or break, and a reader of MONITOR: what really reaches the server."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

from litellm.responses.litellm_completion_transformation.redis_session_patch import scripts

SCRIPTS = {name.lower(): script for name, script in vars(scripts).items() if isinstance(script, scripts.Script)}
_NAMES = {known: name for name, script in SCRIPTS.items() for known in (script, script.sha)}

Hook = Callable[[str], Awaitable[None]]


async def nothing(_: str) -> None: ...


def no_redis() -> Redis:
    """A client whose Redis refuses every connection, at once."""
    return Redis(port=1, retry=Retry(NoBackoff(), 0))


class Interposed:
    """A client that awaits ``before(name)`` and ``after(name)`` around each round trip.

    ``name``: of the command, or of the script in lower case; of a pipeline, one round trip, that of its first script.
    Closing it leaves the client open, which others use.
    """

    def __init__(self, client: Any, before: Hook = nothing, after: Hook = nothing):
        self.own = client
        self.times_closed = 0
        self._before = before
        self._after = after

    async def _around(self, name: str, run: Callable[[], Awaitable[Any]]) -> Any:
        await self._before(name)
        result = await run()
        await self._after(name)
        return result

    def pipeline(self, **options: Any) -> Any:
        pipeline = self.own.pipeline(**options)
        execute = pipeline.execute

        def named() -> str:
            words = pipeline.command_stack[0][0]
            return _NAMES[words[1]]

        pipeline.execute = lambda **options: self._around(named(), lambda: execute(**options))
        return pipeline

    def __getattr__(self, name: str) -> Any:
        command = getattr(self.own, name)

        async def run(*args: Any, **options: Any) -> Any:
            known = _NAMES[args[0]] if name in ("eval", "evalsha") else name
            return await self._around(known, lambda: command(*args, **options))

        return run

    async def aclose(self) -> None:
        self.times_closed += 1


class Garbling(Interposed):
    """A client that gives ``reply`` for the command of this name, whatever Redis said."""

    def __init__(self, client: Any, command: str, reply: Any):
        self._command, self._reply = command, reply
        super().__init__(client)

    async def _around(self, name: str, run: Callable[[], Awaitable[Any]]) -> Any:
        result = await super()._around(name, run)
        if name != self._command:
            return result
        return [self._reply, *result[1:]] if isinstance(result, list) else self._reply


class RoundTrips(Interposed):
    """A client that knows what it waited for Redis for."""

    def __init__(self, client: Any):
        self.names: list[str] = []
        super().__init__(client, self._note)

    async def _note(self, name: str) -> None:
        self.names.append(name)


class Torn(Interposed):
    """A client whose connection dies once: after Redis has done ``command``, before its answer is here."""

    def __init__(self, client: Any, command: str):
        self.torn = 0
        self._command = command
        super().__init__(client, after=self._tear)

    async def _tear(self, name: str) -> None:
        if name == self._command and not self.torn:
            self.torn += 1
            raise RedisConnectionError("Connection closed by server.")


class Halved(Interposed):
    """A client of which Redis does the first command of each pipeline, and then there is ``error``."""

    def __init__(self, client: Any, error: BaseException):
        super().__init__(client)
        self._error = error

    def pipeline(self, **options: Any) -> Any:
        pipeline = self.own.pipeline(**options)
        execute = pipeline.execute

        async def halve(**options: Any) -> Any:
            del pipeline.command_stack[1:]
            await execute(**options)
            raise self._error

        pipeline.execute = halve
        return pipeline


async def raise_error(error: BaseException) -> None:
    raise error


@dataclass
class Monitored:
    commands: list[list[str]] = field(default_factory=list)


@asynccontextmanager
async def monitored(host: str, port: int) -> AsyncIterator[Monitored]:
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
