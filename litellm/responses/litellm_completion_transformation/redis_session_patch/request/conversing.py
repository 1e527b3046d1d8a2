"""A request in a conversation object: its turns are the history, and nobody else goes on in it meanwhile."""

import asyncio
import contextlib
import time
import weakref
from collections.abc import Coroutine, Mapping, Sequence
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
    """Of a conversation object, by the turn at ``place``. ``renewal``: the task that keeps it, once it is held."""

    runtime: Runtime
    place: Place
    renewal: "asyncio.Task[None] | None" = None


async def enter(runtime: Runtime, exchange: Exchange, given: object, nobodys: str, *, holds: bool = True) -> None:
    """Finds the history, or why the request is to be refused. ``given``: what the client says of a conversation.

    ``nobodys``: what is asked for where that can be none of ours, so that the time of the answer does not say so.
    ``holds``: nobody else may go on in it meanwhile.
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
            # Before it is asked for: Redis may hold it and say so too late.
            exchange.hold = Hold(runtime, exchange.place) if holds else None
            found = await runtime.store.talk(exchange.place, exchange.caller, HOLD_SECONDS if holds else 0)
    except Locked:
        exchange.refused, exchange.hold = CONVERSATION_LOCKED, None
    except StoreError:
        exchange.refused, found = CANNOT_ASK_CONVERSATION, None
    else:
        exchange.refused = CONVERSATION if isinstance(found, Miss) else None
    if exchange.refused is not None:
        await let_go(exchange)
        exchange.go_on_in(None)
    else:
        exchange.history = History(Source.REDIS, found) if found.turns else None
        exchange.object_tip = found.tip
        if holds:
            exchange.hold = Hold(runtime, exchange.place, _in_its_own_task(_renew(runtime, exchange)))
    exchange.is_counted = True
    if exchange.refused != CONVERSATION_LOCKED:
        result = found.value if isinstance(found, Miss) else "failed" if found is None else "found"
        runtime.metrics.count("lookups", result)


async def keep(runtime: Runtime, exchange: Exchange, turns: Sequence[Turn], rounds: int) -> None:
    """Stores the turns of a request in its conversation object, ``rounds`` of MCP tools before the last among them.

    With ``store: false`` as well, as OpenAI does; the response alone is not to be had then. Raises what ``go_on`` does.
    """
    place, is_stored = exchange.place, exchange.is_to_be_stored
    head = Head(place.conversation, {}, b"", 0, exchange.object_tip)
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
    if hold.renewal is not None:
        hold.renewal.cancel()
    if exchange.is_kept:  # The command that stored its turn let it go.
        return
    try:
        await hold.runtime.store.hold(hold.place, 0)
    except StoreError:
        task = _in_its_own_task(_let_go_later(hold))
        _LETTING_GO.add(task)
        task.add_done_callback(_LETTING_GO.discard)


_LETTING_GO = set["asyncio.Task[None]"]()  # The loop itself keeps no task alive.


async def _let_go_later(hold: Hold) -> None:
    """When Redis is back: else it ends by itself."""
    ends = time.monotonic() + HOLD_SECONDS
    while time.monotonic() < ends:
        await asyncio.sleep(1)
        with contextlib.suppress(StoreError):
            await hold.runtime.store.hold(hold.place, 0)
            return


def _in_its_own_task(running: "Coroutine[Any, Any, None]") -> "asyncio.Task[None]":
    # In a context of its own: the request's would keep the exchange.
    task: asyncio.Task[None] = Context().run(asyncio.ensure_future, running)
    return task


def _renew(runtime: Runtime, exchange: Exchange) -> "Coroutine[Any, Any, None]":
    place, known = exchange.place, weakref.ref(exchange)

    async def renew() -> None:
        while True:
            await asyncio.sleep(HOLD_SECONDS / 3)
            if known() is None:
                return
            with contextlib.suppress(StoreError):
                await runtime.store.hold(place, HOLD_SECONDS)

    return renew()
