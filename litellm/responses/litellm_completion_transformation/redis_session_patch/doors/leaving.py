"""A reply on its way out: stored, in one step, before the client has it."""

import contextlib
import json
from collections.abc import AsyncIterator, Awaitable
from typing import Any

from ..api.summaries import NoSummary
from ..redis import runtime as runtimes
from ..redis.defects import safely, safely_await
from ..request.conversing import let_go
from ..request.exchange import Exchange, Source
from ..request.saving import store_reply
from ..request.streams import TERMINAL
from ..values.ids import decrypted, place_of
from ..values.turns import from_json
from .compaction import HEADER, StreamedCompaction, is_changed, no_summary, with_compaction
from .shaping import ShapedEvents, is_shaped, with_shape

# What says that something failed; LiteLLM's own has no type.
_FAILED = ("response.failed", "error", None)
# In the text of LiteLLM's error; and what OpenAI's client knows it by.
TOO_LONG, CONTEXT_LENGTH_EXCEEDED = "ContextWindowExceededError", "context_length_exceeded"

HISTORY_HEADER = "x-litellm-session-history"

_SAID = (Source.REDIS, Source.PROVIDER, Source.DATABASE, Source.UNAVAILABLE, Source.COMPACTION)
_WORDS = {source: source.value for source in _SAID}
_LAST = tuple(f'"{kind}"'.encode() for kind in TERMINAL)


async def leave(exchange: Exchange, reply: Any, fastapi_response: Any) -> Any:
    """What the client gets for ``reply`` of the proxy's route. ``fastapi_response``: has the headers of a plain one."""
    is_stream = hasattr(reply, "body_iterator")
    if exchange.calls:
        word = _WORDS.get(exchange.source, "none")
        (reply if hasattr(reply, "headers") else fastapi_response).headers[HISTORY_HEADER] = word
    if exchange.not_compacted is not None or exchange.made is not None:
        word = "made" if exchange.not_compacted is None else in_a_header(f"failed: {exchange.not_compacted}")
        (reply if hasattr(reply, "headers") else fastapi_response).headers[HEADER] = word
    if is_stream:
        reply.body_iterator = _watched(reply.body_iterator, exchange)
    elif exchange.answered is not None or exchange.made is not None:
        response = plain_response(reply)
        is_response = isinstance(response, dict) and "output" in response  # A guardrail may give an error.
        if is_changed(exchange) and is_response:
            try:
                reply = response = await with_compaction(exchange, response)
            except NoSummary as error:
                return no_summary(error)
        if is_shaped(exchange) and is_response and not hasattr(reply, "body"):
            reply = response = safely(with_shape, exchange, response, otherwise=response)
        await store_session_in_redis(exchange, response)
        if is_response and (changed := _untrue_of(exchange)):
            return {**response, **changed}
    return reply


def _untrue_of(exchange: Exchange) -> dict[str, Any]:
    """What the reply must not say, and what it says instead, where its turn could not be stored."""
    changed: dict[str, Any] = {}
    if exchange.conversation_shown is not None and not exchange.is_kept:
        changed["conversation"] = None
    if is_shaped(exchange) and exchange.became != "stored":
        changed["store"] = False
    return changed


async def store_session_in_redis(exchange: Exchange, reply: Any) -> None:
    """Stores the turn of ``exchange``. ``reply``: a response by field; another than what the model answered, as of a
    guardrail, is not stored.
    """
    runtime = runtimes.current()
    if runtime is None or not isinstance(reply, dict):
        return
    if place_of(decrypted(str(reply.get("id")))) == exchange.place:
        await store_reply(runtime, exchange, reply)


async def letting_go(exchange: Exchange, reply: Awaitable[Any]) -> Any:
    """The ``reply``; with it ends what the request held of a conversation object, or with its stream."""
    given = None
    try:
        given = await reply
        return given
    finally:
        if not hasattr(given, "body_iterator"):
            await safely_await(let_go, exchange, otherwise=None)


async def _watched(chunks: Any, exchange: Exchange) -> AsyncIterator[Any]:
    try:
        async with contextlib.aclosing(chunks) if hasattr(chunks, "aclose") else contextlib.nullcontext():
            change, shape = StreamedCompaction(exchange), ShapedEvents(exchange)
            async for chunk in chunks:
                if is_changed(exchange):
                    chunk = await safely_await(change.chunk, chunk, otherwise=chunk)
                if exchange.calls:
                    chunk = safely(with_openais_code, chunk, otherwise=chunk)
                if is_shaped(exchange):
                    chunk = safely(shape.chunk, chunk, otherwise=chunk)
                if exchange.answered is not None:
                    chunk = await safely_await(store_last_event, exchange, chunk, otherwise=chunk)
                yield chunk
    finally:
        await safely_await(let_go, exchange, otherwise=None)


async def store_last_event(exchange: Exchange, chunk: Any) -> Any:
    """Stores the response of a stream's last event, if that is in ``chunk``: server-sent events, or the JSON of one.

    Gives what the client is to get for ``chunk``.
    """
    data = _bytes(chunk)
    if not any(kind in data for kind in _LAST):
        return chunk
    lines = data.split(b"\n")
    for number, line in enumerate(lines):
        event = from_json(line.removeprefix(b"data:"))
        if isinstance(event, dict) and event.get("type") in TERMINAL:
            await store_session_in_redis(exchange, event.get("response"))
            if changed := _untrue_of(exchange):
                event["response"] |= changed
                lines[number] = (b"data: " if line.startswith(b"data:") else b"") + json.dumps(event).encode()
                chunk = b"\n".join(lines).decode() if isinstance(chunk, str) else b"\n".join(lines)
    return chunk


def with_openais_code(chunk: Any) -> Any:
    """A stream's failure, by whose code clients know that the conversation is larger than the model's window."""
    if TOO_LONG not in (chunk if isinstance(chunk, str) else _bytes(chunk).decode("utf-8", "replace")):
        return chunk
    lines = _bytes(chunk).split(b"\n")
    for number, line in enumerate(lines):
        event = from_json(line.removeprefix(b"data:"))
        if isinstance(event, dict) and event.get("type") in _FAILED:
            failed = response if isinstance(response := event.get("response"), dict) else event
            (error if isinstance(error := failed.get("error"), dict) else failed)["code"] = CONTEXT_LENGTH_EXCEEDED
            lines[number] = b"data: " + json.dumps(event).encode()
    return b"\n".join(lines).decode() if isinstance(chunk, str) else b"\n".join(lines)


def in_a_header(text: str) -> str:
    """As a server may send it: of any other character it makes an error, and of that no reply."""
    return "".join(each if " " <= each <= "~" else " " for each in " ".join(text.split()))[:200].strip()


def _bytes(chunk: Any) -> bytes:
    return chunk.encode("utf-8", "surrogatepass") if isinstance(chunk, str) else bytes(chunk)


def plain_response(reply: Any) -> Any:
    if hasattr(reply, "body"):  # Starlette's
        return from_json(reply.body)
    return reply.model_dump(mode="json") if hasattr(reply, "model_dump") else reply
