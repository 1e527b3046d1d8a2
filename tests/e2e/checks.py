"""What a follow-up must bring, and what must stand in Redis for it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from redis import Redis

from lab.asking import Asker
from lab.exchange import Exchange, texts_of
from lab.stored import stored_texts
from lab.wire import Conversation

QUESTION = "What did I say?"


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
