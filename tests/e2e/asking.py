"""One client's way of asking, and what the provider was sent for it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from redis import Redis

from lab.answers import Answer
from lab.client import Reply, ResponsesClient
from lab.proxy import Proxy
from lab.recording import ProviderState, Recorded
from lab.replay import Setting
from lab.stored import stored_texts
from lab.wire import Conversation

QUESTION = "What did I say?"
CHAT = Setting("chat-model")


@dataclass(frozen=True)
class Exchange:
    """A reply, and the one request that the provider got for it (``None``: it got none)."""

    reply: Reply
    request: Recorded | None

    @property
    def id(self) -> str:
        return self.reply.id

    @property
    def status(self) -> int:
        return self.reply.status

    @property
    def conversation(self) -> Conversation | None:
        return self.request.conversation if self.request else None

    @property
    def said(self) -> list[str]:
        """Every text that the provider was sent, results of tools included, in order."""
        assert self.request is not None, f"the provider got no request; the client got {self.reply}"
        return texts_of(self.request.conversation)


def texts_of(conversation: Conversation) -> list[str]:
    return [text for message in conversation for text in (*message.texts, *(each.text for each in message.results))]


@dataclass(frozen=True)
class Asker:
    """Asks one thing at a time. ``key``: who asks."""

    client: ResponsesClient
    provider: ProviderState
    setting: Setting = CHAT
    key: str | None = None

    def ask(
        self, said: Any, after: Exchange | str | None = None, answer: Answer | None = None, **params: Any
    ) -> Exchange:
        """``answer``: what the model shall say; else a text that is a digest of all it was sent."""
        if answer is not None:
            self.provider.script(answer)
        before = max((each.sequence for each in self.provider.requests()), default=0)
        reply = self.client.responses(
            self.setting.model,
            said,
            stream=self.setting.stream,
            key=self.key,
            previous_response_id=after.id if isinstance(after, Exchange) else after,
            **params,
        )
        requests = self.provider.requests(since=before)
        assert len(requests) <= 1, "the provider got more than one request"
        return Exchange(reply, requests[0] if requests else None)

    def as_key(self, key: str) -> Asker:
        return replace(self, key=key)

    def with_setting(self, model: str | None = None, stream: bool | None = None) -> Asker:
        setting = self.setting
        return replace(self, setting=Setting(model or setting.model, setting.stream if stream is None else stream))


@contextmanager
def asking(proxy: Proxy, provider: ProviderState, setting: Setting = CHAT, key: str | None = None) -> Iterator[Asker]:
    with ResponsesClient(proxy.url, proxy.key) as client:
        yield Asker(client, provider, setting, key)


def check_remembers(asker: Asker, first: Exchange, said: Sequence[str]) -> Exchange:
    """The follow-up of ``first`` goes out with ``said``, the answer to it if it had a text, and itself."""
    second = asker.ask("And then?", first)
    assert second.said == [*said, *filter(None, [first.reply.text]), "And then?"]
    return second


def check_is_unknown(asker: Asker, response_id: str) -> None:
    """``response_id``, which the proxy gave out, gets what an id gets that leads nowhere."""
    got = outcome(asker, response_id)
    assert got == outcome(asker, forgotten_id(asker))
    assert got[1] is None or texts_of(got[1]) == [QUESTION]


def outcome(asker: Asker, response_id: str) -> tuple[int, Conversation | None, Any]:
    """What a client can tell: the status, what the model was sent, and the error."""
    exchange = asker.ask(QUESTION, response_id)
    return exchange.status, exchange.conversation, exchange.reply.body.get("error")


def forgotten_id(asker: Asker) -> str:
    """An id that the proxy gave to this very client, of a response that is not stored."""
    return asker.ask("Forget this.", store=False).id


def unknown_id() -> str:
    """An id that nobody ever gave out."""
    return f"chatcmpl-{uuid.uuid4().hex}"


def marker() -> str:
    """A word that stands in no other text."""
    return f"marker{uuid.uuid4().hex}"


def redis_holds(redis: Redis, text: str) -> bool:
    """Whether any value that the patch keeps holds ``text``."""
    return any(text.encode() in value for value in stored_texts(redis))
