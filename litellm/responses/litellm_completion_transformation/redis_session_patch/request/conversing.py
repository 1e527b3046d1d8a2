"""A request in a conversation object: its turns are the history, and nobody else goes on in it meanwhile."""

import asyncio
import contextlib
import weakref
from collections.abc import Mapping, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Any

from ..redis.conversation_store import HOLD_SECONDS, Head
from ..redis.runtime import Runtime
from ..values.ids import Place, conversation_of
from ..values.refusals import (
    CANNOT_ASK_CONVERSATION,
    CONVERSATION,
    CONVERSATION_FORM,
    CONVERSATION_LOCKED,
    CONVERSATION_TOO,
)
from ..values.results import Locked, Miss, StoreError
from ..values.turns import Turn
from .exchange import Exchange, History, Source


@dataclass(frozen=True)
class Hold:
    """Of a conversation object, by the turn at ``place``. ``renewal``: the task that keeps it."""

    runtime: Runtime
    place: Place
    renewal: "asyncio.Task[None]"


async def enter(runtime: Runtime, exchange: Exchange, given: object, nobodys: str) -> None:
    """Finds the history, or why the request is to be refused. ``given``: what the client says of a conversation.

    ``nobodys``: what is asked for where that can be none of ours, so that the time of the answer does not say so.
    """
    object_id = given.get("id") if isinstance(given, Mapping) else given
    if not isinstance(object_id, str) or not object_id.startswith("conv"):
        exchange.refused = CONVERSATION_FORM
        return
    exchange.conversation_as_sent = object_id
    if exchange.previous_id is not None:
        exchange.refused = CONVERSATION_TOO
        return
    exchange.go_on_in(conversation_of(object_id) or nobodys)
    found: Any = Miss.DENIED
    try:
        if exchange.caller.identity is not None:
            found = await runtime.store.talk(exchange.place, exchange.caller)
    except Locked:
        exchange.refused = CONVERSATION_LOCKED
    except StoreError:
        exchange.refused, found = CANNOT_ASK_CONVERSATION, None
    else:
        exchange.refused = CONVERSATION if isinstance(found, Miss) else None
    if exchange.refused is not None:
        exchange.go_on_in(None)
    else:
        exchange.history = History(Source.REDIS, found) if found.turns else None
        exchange.hold = Hold(runtime, exchange.place, _renewal(runtime, exchange))
    exchange.is_counted = True
    if exchange.refused != CONVERSATION_LOCKED:
        result = found.value if isinstance(found, Miss) else "failed" if found is None else "found"
        runtime.metrics.count("lookups", result)


async def keep(runtime: Runtime, exchange: Exchange, turns: Sequence[Turn], rounds: int) -> None:
    """Stores the turns of a request in its conversation object, ``rounds`` of MCP tools before the last among them.

    With ``store: false`` as well, as OpenAI does; the response alone is not to be had then. Raises what ``go_on`` does.
    """
    place, is_stored = exchange.place, exchange.is_to_be_stored
    head = Head(place.conversation, {}, b"", 0, exchange.chain.tip)
    fields = {} if is_stored else {f"x{place.turn}": ""}
    await runtime.store.go_on(
        head, turns, exchange.caller, at=place, is_living=is_stored, fields=fields, unlisted_inputs=rounds
    )
    exchange.is_kept = True


async def let_go(exchange: Exchange) -> None:
    """At the end of a request, however it ended."""
    hold, exchange.hold = exchange.hold, None
    if not isinstance(hold, Hold):
        return
    hold.renewal.cancel()
    if not exchange.is_kept:
        with contextlib.suppress(StoreError):  # Then it ends by itself.
            await hold.runtime.store.hold(hold.place, 0)


def _renewal(runtime: Runtime, exchange: Exchange) -> "asyncio.Task[None]":
    # In a context of its own: the request's would keep the exchange.
    task: asyncio.Task[None] = Context().run(
        asyncio.ensure_future, _renew(runtime, exchange.place, weakref.ref(exchange))
    )
    return task


async def _renew(runtime: Runtime, place: Place, exchange: "weakref.ref[Exchange]") -> None:
    while exchange() is not None:
        await asyncio.sleep(HOLD_SECONDS / 3)
        with contextlib.suppress(StoreError):
            await runtime.store.hold(place, HOLD_SECONDS)
