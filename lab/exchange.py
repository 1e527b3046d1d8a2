"""One request of a client: what came back, and what the provider was sent for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .client import Reply
from .recording import Recorded
from .wire import Conversation


@dataclass(frozen=True)
class Exchange:
    """`sent`: the request's `input`; `requests`: what the provider got for it, once a time that it was asked."""

    sent: Any
    tag: int | None
    reply: Reply
    requests: tuple[Recorded, ...]

    @property
    def id(self) -> str:
        return self.reply.id

    @property
    def status(self) -> int:
        return self.reply.status

    @property
    def was_refused(self) -> bool:
        """By the provider, for what it was sent."""
        return any(each.refused for each in self.requests)

    @property
    def request(self) -> Recorded | None:
        """The one request that the provider got; None: it got none."""
        assert len(self.requests) <= 1, f"the provider got {len(self.requests)} requests"
        return self.requests[0] if self.requests else None

    @property
    def conversation(self) -> Conversation | None:
        return self.request.conversation if self.request else None

    @property
    def said(self) -> list[str]:
        """Every text that the provider was sent, results of tools included, in order."""
        assert self.request is not None, f"the provider got no request; the client got {self.reply}"
        return texts_of(self.request.conversation)

    @property
    def received(self) -> tuple[str, ...]:
        """The same, message by message as the provider got them; () where it was not asked."""
        return tuple(texts_of(self.request.conversation_as(merge=False))) if self.request else ()


def texts_of(conversation: Conversation) -> list[str]:
    return [text for message in conversation for text in (*message.texts, *(each.text for each in message.results))]
