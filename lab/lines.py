"""How a client talks to the proxy: plain requests, streams, or a WebSocket that stays open for a conversation."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Protocol

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from .client import TIMEOUT_SECONDS, AsyncResponsesClient, Reply
from .sockets import TERMINAL, message_of, reply_on_socket, socket_address


@dataclass(frozen=True)
class Manner:
    """socket: a WebSocket, whose replies are streams. has_tools: each turn is a call of the model, its result, and the
    answer.
    """

    model: str = "chat-model"
    stream: bool = False
    socket: bool = False
    has_tools: bool = False

    def __str__(self) -> str:
        form = "socket" if self.socket else "stream" if self.stream else "plain"
        return f"{self.model} {form}{' tools' if self.has_tools else ''}"


class Line(Protocol):
    @property
    def manner(self) -> Manner: ...

    async def ask(self, input: Any, tag: int, previous: str | None, **params: Any) -> Reply:
        """A reply that never came, or not to its end, has status 0 or is broken."""


@dataclass(frozen=True)
class HttpLine:
    client: AsyncResponsesClient
    manner: Manner = Manner()

    async def ask(self, input: Any, tag: int, previous: str | None, **params: Any) -> Reply:
        try:
            return await self.client.responses(
                self.manner.model, input, self.manner.stream, tag=tag, previous_response_id=previous, **params
            )
        except httpx.TransportError as error:
            return no_reply(error)


@dataclass(frozen=True)
class SocketLine:
    socket: ClientConnection
    manner: Manner

    async def ask(self, input: Any, tag: int, previous: str | None, **params: Any) -> Reply:
        events: list[dict] = []
        try:
            await self.socket.send(message_of(input, tag, previous_response_id=previous, **params))
            while not events or events[-1]["type"] not in TERMINAL:
                events.append(json.loads(await self.socket.recv()))
        except (OSError, WebSocketException) as error:
            return no_reply(error)
        return reply_on_socket(events)


def no_reply(error: Exception) -> Reply:
    return Reply(0, {"error": {"message": f"{type(error).__name__}: {error}"}}, broken=True)


@contextlib.asynccontextmanager
async def line_for(client: AsyncResponsesClient, manner: Manner) -> AsyncIterator[Line]:
    if not manner.socket:
        yield HttpLine(client, manner)
        return
    address = socket_address(str(client.http.base_url), client.key, manner.model)
    async with connect(**address, open_timeout=TIMEOUT_SECONDS) as socket:
        yield SocketLine(socket, manner)
