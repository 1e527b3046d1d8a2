"""The Responses API over a WebSocket, as `/v1/responses` has it: one connection, one turn at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from websockets.sync.client import ClientConnection, connect

from .client import TIMEOUT_SECONDS, Reply, reply_of_events

TERMINAL = ("response.completed", "response.incomplete", "response.failed", "error")


def socket_address(url: str, key: str, model: str) -> dict[str, Any]:
    """What both clients of `websockets` are given to connect."""
    return {
        "uri": f"{url.replace('http', 'ws', 1).rstrip('/')}/v1/responses?model={model}",
        "additional_headers": {"authorization": f"Bearer {key}"},
        "proxy": None,
        "max_size": None,
    }


def message_of(input: Any, tag: int | None, **params: Any) -> str:
    """Without the model, which the address names: up to 1.99 the name in a message had to be the provider's own."""
    fields = {"type": "response.create", "input": input, "max_output_tokens": tag, **params}
    return json.dumps({name: value for name, value in fields.items() if value is not None})


def reply_on_socket(events: Sequence[dict]) -> Reply:
    """`events`: one turn's, with the terminal one."""
    return reply_of_events(200 if "response" in events[-1] else 400, events, broken=False)


@dataclass(frozen=True)
class SocketClient:
    """Blocking, with the method of `ResponsesClient`; model and key are those that the connection was opened with."""

    socket: ClientConnection

    def responses(
        self, model: str, input: Any, stream: bool = True, key: str | None = None, tag: int | None = None, **params: Any
    ) -> Reply:
        self.socket.send(message_of(input, tag, **params))
        events: list[dict] = []
        while not events or events[-1]["type"] not in TERMINAL:
            events.append(json.loads(self.socket.recv(timeout=TIMEOUT_SECONDS)))
        return reply_on_socket(events)


@contextmanager
def socket_client(url: str, key: str, model: str = "chat-model") -> Iterator[SocketClient]:
    with connect(**socket_address(url, key, model)) as socket:
        yield SocketClient(socket)
