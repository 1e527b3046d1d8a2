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

from .client import TIMEOUT_SECONDS, AsyncResponsesClient, Reply, reply_of_events

TERMINAL = ("response.completed", "response.incomplete", "response.failed", "error")


@dataclass(frozen=True)
class Manner:
    """has_tools: each turn is a call of the model, its result, and the answer."""

    model: str = "chat-model"
    form: str = "plain"  # plain, stream, socket
    has_tools: bool = False

    def __str__(self) -> str:
        return f"{self.model} {self.form}{' tools' if self.has_tools else ''}"


class Line(Protocol):
    async def ask(self, input: Any, tag: int, previous: str | None, **params: Any) -> Reply:
        """A reply that never came, or not to its end, has status 0 or is broken."""


@dataclass(frozen=True)
class HttpLine:
    client: AsyncResponsesClient
    manner: Manner

    async def ask(self, input: Any, tag: int, previous: str | None, **params: Any) -> Reply:
        stream = self.manner.form == "stream"
        try:
            return await self.client.responses(
                self.manner.model, input, stream, tag=tag, previous_response_id=previous, **params
            )
        except httpx.TransportError as error:
            return no_reply(error)


@dataclass(frozen=True)
class SocketLine:
    socket: ClientConnection

    async def ask(self, input: Any, tag: int, previous: str | None, **params: Any) -> Reply:
        link = {"previous_response_id": previous} if previous else {}
        message = {"type": "response.create", "input": input, "max_output_tokens": tag, **link, **params}
        events: list[dict] = []
        try:
            await self.socket.send(json.dumps(message))
            while not events or events[-1]["type"] not in TERMINAL:
                events.append(json.loads(await self.socket.recv()))
        except (OSError, WebSocketException) as error:
            return no_reply(error)
        return reply_of_events(200 if "response" in events[-1] else 400, events, broken=False)


def no_reply(error: Exception) -> Reply:
    return Reply(0, {"error": {"message": f"{type(error).__name__}: {error}"}}, broken=True)


@contextlib.asynccontextmanager
async def line_for(client: AsyncResponsesClient, manner: Manner) -> AsyncIterator[Line]:
    if manner.form != "socket":
        yield HttpLine(client, manner)
        return
    url = str(client.http.base_url).replace("http", "ws", 1).rstrip("/")
    async with connect(
        f"{url}/v1/responses?model={manner.model}",
        additional_headers={"authorization": f"Bearer {client.key}"},
        proxy=None,
        max_size=None,
        open_timeout=TIMEOUT_SECONDS,
    ) as socket:
        yield SocketLine(socket)
