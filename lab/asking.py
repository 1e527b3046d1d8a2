"""One thing asked at a time, by a client that waits for the answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from .answers import Answer
from .client import Reply, ResponsesClient
from .exchange import Exchange
from .lines import Manner
from .proxy import Proxy
from .recording import ProviderState
from .sockets import socket_client

CHAT = Manner()


class Client(Protocol):
    """`lab.client.ResponsesClient`, or `lab.sockets.SocketClient`."""

    def responses(self, model: str, input: Any, stream: bool, key: str | None, tag: int | None, **params: Any) -> Reply:
        """Blocks until the reply is whole."""


@dataclass(frozen=True)
class Asker:
    """key: who asks; None: the client's own. tags: by which requests are told apart when others ask at the same time;
    without them nothing is added to a request.
    """

    client: Client
    provider: ProviderState
    manner: Manner = CHAT
    key: str | None = None
    tags: Iterator[int] | None = None

    def ask(
        self,
        sent: Any,
        after: Exchange | str | None = None,
        answer: Answer | Sequence[Answer] | None = None,
        **params: Any,
    ) -> Exchange:
        """`answer`: what the model shall say, one a request; else a text that is a digest of all it was sent."""
        tag = next(self.tags) if self.tags is not None else None
        if answer is not None:
            answers = [answer] if isinstance(answer, Answer) else answer
            self.provider.script(*answers, tag=tag)
        before = self.provider.last_sequence()
        previous = after.id if isinstance(after, Exchange) else after
        reply = self.client.responses(
            self.manner.model, sent, self.manner.stream, self.key, tag, previous_response_id=previous, **params
        )
        return Exchange(sent, tag, reply, tuple(self.provider.requests(tag=tag, since=before)))

    def as_key(self, key: str) -> Asker:
        return replace(self, key=key)

    def with_manner(self, model: str | None = None, stream: bool | None = None) -> Asker:
        stream = self.manner.stream if stream is None else stream
        return replace(self, manner=Manner(model or self.manner.model, stream))


@contextmanager
def asking(proxy: Proxy, provider: ProviderState, manner: Manner = CHAT, key: str | None = None) -> Iterator[Asker]:
    with ResponsesClient(proxy.url, proxy.key) as client:
        yield Asker(client, provider, manner, key)


@contextmanager
def asking_on_socket(proxy: Proxy, provider: ProviderState, model: str, key: str | None = None) -> Iterator[Asker]:
    """Over one WebSocket, which is open inside."""
    with socket_client(proxy.url, key or proxy.key, model) as client:
        yield Asker(client, provider)
