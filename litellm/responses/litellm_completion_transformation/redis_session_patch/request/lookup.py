"""The history of a follow-up: from Redis, else from its connection's memory, else from upstream's own lookup."""

import math
import time
from collections.abc import MutableMapping, Sequence
from contextvars import copy_context
from typing import Any

from ..redis import runtime as runtimes
from ..redis.runtime import Runtime
from ..redis.store import off_the_loop
from ..values.ids import Place
from ..values.refusals import CANNOT_ASK, COMPACTION, CONVERSATION_UNREADABLE, NOT_FOUND, UNFINISHED, refuse
from ..values.results import Miss, StoreError
from ..values.turns import Chain, Turn
from .call import Call
from .compacting import begin_compacted
from .conversation import completion_after, said_before
from .conversing import enter
from .database import turns_of
from .exchange import Exchange, History, Source
from .references import resolved

FAILED = "failed"

# Asked for where an id has no place, so that the time of the answer does not say so.
NOBODYS = Place("-----------", "1")

# What nobody may find anywhere else, and what its client is told.
_REFUSED = {Miss.DELETED.value: NOT_FOUND, Miss.UNFINISHED.value: UNFINISHED}

_LOGGED = {
    Miss.UNREADABLE.value: "Stored turns cannot be read: another encryption key, another format, or damaged.",
    Miss.DENIED.value: "A response was asked for by somebody who is not its owner, and was not given.",
    Miss.TOO_LARGE.value: "A stored conversation is larger than this proxy's limits, and was not read.",
}


async def begin(exchange: Exchange, data: MutableMapping[str, Any], *, holds: bool = True) -> None:
    """Takes what the client said, and looks into Redis for what it goes on from. ``holds``: see ``enter``.

    ``data``: the request's parameters, after the operator's own hooks and before LiteLLM changes them.
    """
    runtime = runtimes.current()
    if runtime is not None:
        await _resolve(runtime, exchange, data)
    await exchange.take(data)
    if runtime is not None and data.get("conversation") is not None:
        await enter(runtime, exchange, data["conversation"], NOBODYS.conversation, holds=holds)
    elif runtime is not None and exchange.previous_place is not None:
        await find(runtime, exchange)
    if runtime is not None and exchange.caller.identity is not None:
        await begin_compacted(runtime, exchange, data)


async def _resolve(runtime: Runtime, exchange: Exchange, data: MutableMapping[str, Any]) -> None:
    """Puts the items that the client refers to into its input."""
    try:
        found = await resolved(runtime, exchange.caller, data.get("input"))
    except StoreError:
        exchange.is_item_unavailable = True
    else:
        exchange.people |= found.people
        if found.items is not data.get("input"):
            data["input"] = found.items


async def find(runtime: Runtime, exchange: Exchange) -> None:
    """Looks into Redis; what it has is the exchange's history then."""
    exchange.asked_at = time.monotonic()
    if exchange.caller.identity is None:
        exchange.looked_up = Miss.DENIED.value
        return
    try:
        found = await runtime.store.read(exchange.previous_place or NOBODYS, exchange.caller)
    except StoreError:
        exchange.looked_up = FAILED
        return
    exchange.looked_up = found.value if isinstance(found, Miss) else "found"
    exchange.history = None if isinstance(found, Miss) else History(Source.REDIS, found)


async def serve(runtime: Runtime, call: Call) -> dict[str, Any] | None:
    """The chat completion request of a follow-up whose history is known here; ``None``: upstream is to look.

    Raises LiteLLM's error for a response that was deleted, or is not done.
    """
    exchange = call.exchange
    if not call.rounds and not exchange.is_after_ours:
        if not exchange.follows(call.after):  # Something of LiteLLM's own.
            return None
        if exchange.looked_up is None:
            await find(runtime, exchange)
        if (code := _REFUSED.get(str(exchange.looked_up))) is not None:
            count(runtime, exchange, str(exchange.looked_up))
            _refuse(code, call)
        if exchange.history is None or not exchange.history.is_ours:
            return None
    size = exchange.history_size
    try:
        said = await off_the_loop(size, copy_context().run, said_before, call)
    except Exception:  # Upstream's transformation of what no client sent.
        if exchange.is_after_ours:
            is_in_object = exchange.conversation_shown is not None
            _refuse(CONVERSATION_UNREADABLE if is_in_object else COMPACTION, call)
        if not call.rounds:
            exchange.history, exchange.looked_up = None, Miss.UNREADABLE.value
        return None
    changed, tools = await off_the_loop(size, copy_context().run, completion_after, call, said)
    request = call.kwargs.get("responses_api_request")
    if request is not None and tools:  # By them upstream knows what a call of the answer is.
        request["tools"] = [*call.own_tools, *tools]
    if not call.rounds:
        count(runtime, exchange, "carried" if exchange.turns and exchange.turns[-1].account else "found")
    call.is_served = True
    call.completion |= changed  # Last: after a defect upstream goes on with the request as it was.
    return call.completion


def note_upstreams(runtime: Runtime, call: Call) -> None:
    """Takes what upstream found. Raises LiteLLM's error where that is nothing, and the operator wants one.

    After a defect nobody knows the history, so that the turn is not stored as a first one.
    """
    exchange, result = call.exchange, call.exchange.looked_up
    if result is None or not exchange.follows(call.after):
        return
    if result == "found":  # It was not served.
        exchange.history = None
        return
    turns = turns_of(call.found or {}, call.maker, call.rows)
    count(runtime, exchange, "database" if turns and result == Miss.UNKNOWN.value else result)
    if turns:
        exchange.history = History(Source.DATABASE, Chain(turns, asked_at=exchange.asked_at))
        return
    exchange.history = History(Source.UNAVAILABLE if result == FAILED else Source.NONE)
    # A compaction would stand for what nobody knows.
    if runtime.settings.on_miss == "error" or exchange.is_compacting:
        _refuse(CANNOT_ASK if result == FAILED else NOT_FOUND, call)


def note_connections(exchange: Exchange, remembered: Sequence[Any]) -> None:
    """The history comes from the memory of a WebSocket's connection, which may be older than any erasure."""
    exchange.history = History(Source.CONNECTION, Chain((Turn(list(remembered)),), asked_at=-math.inf))


def _refuse(code: str, call: Call) -> None:
    refuse(code, str(call.completion.get("model") or ""), call.provider)


def count(runtime: Runtime, exchange: Exchange, result: str) -> None:
    """Once a request, though the bridge may look up again for another model."""
    if not exchange.is_counted:
        exchange.is_counted = True
        runtime.metrics.count("lookups", result)
        log_miss(runtime, result)


def log_miss(runtime: Runtime, result: str) -> None:
    if result in _LOGGED:
        runtime.rare_log.warn(result, _LOGGED[result])
