"""A reply on its way out: stored, in one step, before the client has it."""

import contextlib
import json
from collections.abc import AsyncIterator, Awaitable
from typing import Any

from ..redis import runtime as runtimes
from ..redis.defects import safely_await
from ..request.conversing import let_go
from ..request.exchange import Exchange, Source
from ..request.saving import store_reply
from ..request.streams import TERMINAL
from ..values.ids import decrypted, place_of

HISTORY_HEADER = "x-litellm-session-history"

_WORDS = {source: source.value for source in (Source.REDIS, Source.PROVIDER, Source.DATABASE, Source.UNAVAILABLE)}
_LAST = tuple(f'"{kind}"'.encode() for kind in TERMINAL)


async def leave(exchange: Exchange, reply: Any, fastapi_response: Any) -> Any:
    """What the client gets for ``reply`` of the proxy's route. ``fastapi_response``: has the headers of a plain one."""
    is_stream = hasattr(reply, "body_iterator")
    if exchange.calls:
        word = _WORDS.get(exchange.source, "none")
        (reply if hasattr(reply, "headers") else fastapi_response).headers[HISTORY_HEADER] = word
    if is_stream:
        reply.body_iterator = _watched(reply.body_iterator, exchange)
    elif exchange.answered is not None:
        response = plain_response(reply)
        await store_session_in_redis(exchange, response)
        if _is_to_be_left_out(exchange) and isinstance(response, dict):
            return {**response, "conversation": None}
    return reply


def _is_to_be_left_out(exchange: Exchange) -> bool:
    """Whether the reply must not say that it is in its conversation object: its turn could not be stored."""
    return exchange.conversation_shown is not None and not exchange.is_kept


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
            async for chunk in chunks:
                if exchange.answered is not None:
                    chunk = await safely_await(store_last_event, exchange, chunk, otherwise=chunk)
                yield chunk
    finally:
        await safely_await(let_go, exchange, otherwise=None)


async def store_last_event(exchange: Exchange, chunk: Any) -> Any:
    """Stores the response of a stream's last event, if that is in ``chunk``: server-sent events, or the JSON of one.

    Gives what the client is to get for ``chunk``.
    """
    data = chunk.encode("utf-8", "surrogatepass") if isinstance(chunk, str) else bytes(chunk)
    if not any(kind in data for kind in _LAST):
        return chunk
    lines = data.split(b"\n")
    for number, line in enumerate(lines):
        event = from_json(line.removeprefix(b"data:"))
        if isinstance(event, dict) and event.get("type") in TERMINAL:
            await store_session_in_redis(exchange, event.get("response"))
            if _is_to_be_left_out(exchange):
                event["response"]["conversation"] = None
                lines[number] = (b"data: " if line.startswith(b"data:") else b"") + json.dumps(event).encode()
                chunk = b"\n".join(lines).decode() if isinstance(chunk, str) else b"\n".join(lines)
    return chunk


def plain_response(reply: Any) -> Any:
    if hasattr(reply, "body"):  # Starlette's
        return from_json(reply.body)
    return reply.model_dump(mode="json") if hasattr(reply, "model_dump") else reply


def from_json(text: str | bytes) -> Any:
    """``None`` where it is no JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
