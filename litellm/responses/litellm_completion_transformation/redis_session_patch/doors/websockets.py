"""The outer door of a WebSocket of ``/v1/responses``, where upstream keeps the history of a connection in its memory.

Each turn is looked up and stored as over HTTP; the connection's memory is what helps where Redis does not have it.
"""

import json
from collections.abc import Sequence
from typing import Any

from ..redis import runtime as runtimes
from ..redis.defects import safely, safely_await
from ..request.conversing import let_go
from ..request.exchange import CONNECTION, ClientConnection, Exchange
from ..request.items import input_items
from ..request.lookup import begin, note_connections
from ..request.streams import TERMINAL
from ..values.owner import Owner
from ..values.refusals import answer_of, is_refusal
from ..values.results import Miss
from ..values.turns import from_json
from .compaction import StreamedCompaction, compact_if_large, is_changed
from .leaving import store_last_event, with_openais_code
from .shaping import ShapedEvents, is_shaped

# What a client that has warmed up need not say again.
_KEPT = ("input", "instructions", "tools", "previous_response_id")
_LITELLM_S_WARM_UP = "resp_warmup_"
# How many ids of a connection are known by what they stand for; older ones are forgotten.
_MOST_KNOWN = 4

_ENDING = (*TERMINAL, "response.failed", "error")

# What Redis says of a response must not be overruled by a memory.
_ANSWERS = ("found", Miss.DELETED.value, Miss.DENIED.value)


class WatchedSocket:
    """Starlette's WebSocket, whose frames we see: what the client says, and what it gets."""

    def __init__(self, websocket: Any, caller: Owner):
        self._websocket = websocket
        self._caller = caller
        self._connection = ClientConnection()
        self._change: StreamedCompaction | None = None
        self._shape: ShapedEvents | None = None
        # What ids stand for that upstream does not know so: a warm-up's parameters; a compaction that is not stored.
        self._known: dict[str, dict[str, Any]] = {}
        self._warming: dict[str, Any] | None = None
        CONNECTION.set(self._connection)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._websocket, name)

    async def receive_text(self) -> Any:
        try:
            text = await self._websocket.receive_text()
        finally:
            await safely_await(self.let_go, otherwise=None)
        self._connection.exchange = None
        return await safely_await(self._begin, text, otherwise=text)

    async def send_text(self, data: str) -> None:
        for each in await safely_await(self._changed, data, otherwise=[data]):
            leaving = await safely_await(self._leave, each, otherwise=each)
            safely(self._note_what_it_stands_for, leaving, otherwise=None)
            await self._websocket.send_text(leaving)

    def _note_what_it_stands_for(self, data: str) -> None:
        exchange, stands_for = self._connection.exchange, self._warming
        if exchange is not None and exchange.is_compacting and not exchange.is_to_be_stored and exchange.made:
            stands_for = {"input": [exchange.made]}
        response = json.loads(data).get("response") if stands_for is not None else None
        if stands_for is None or not response:
            return
        response_id = str(response.get("id"))
        # Any other id of a warm-up is of a provider that knows it.
        if stands_for is not self._warming or response_id.startswith(_LITELLM_S_WARM_UP):
            self._known[response_id] = stands_for
        while len(self._known) > _MOST_KNOWN:
            del self._known[next(iter(self._known))]

    async def _changed(self, data: str) -> list[str]:
        """With a compaction among the events."""
        exchange = self._connection.exchange
        if exchange is None or not is_changed(exchange):
            return [data]
        if self._change is None or self._change.exchange is not exchange:
            self._change = StreamedCompaction(exchange)
        event = from_json(data)
        return [json.dumps(each) for each in await self._change.events(event)] if isinstance(event, dict) else [data]

    async def _begin(self, text: str) -> str:
        """What upstream gets for ``text``: the items that the client refers to are in it."""
        message = from_json(text)
        if not isinstance(message, dict) or message.get("type") != "response.create":
            return text
        nested = message.get("response")
        params = nested if isinstance(nested, dict) and nested else message
        as_sent, previous = dict(params), params.get("previous_response_id")
        if isinstance(previous, str) and (known := self._known.get(previous)) is not None:
            del params["previous_response_id"]
            items = [*input_items(known.get("input")), *input_items(params.get("input"))]
            params |= {**known, **{name: value for name, value in params.items() if value is not None}, "input": items}
            previous = params.get("previous_response_id")
        is_warming = params.get("generate") is False
        self._warming = {name: params[name] for name in _KEPT if name in params} if is_warming else None
        followed = (previous,) if isinstance(previous, str) else ()
        exchange = Exchange(self._caller, len(text), followed)
        exchange.connection = self._websocket
        await begin(exchange, params)
        exchange.model = exchange.model or self._websocket.query_params.get("model")
        if not is_warming:
            await safely_await(compact_if_large, exchange, params, as_sent, otherwise=None)
        self._connection.exchange = exchange
        return text if params == as_sent else json.dumps(message)

    async def let_go(self) -> None:
        """Of the conversation object that the running request is in."""
        if self._connection.exchange is not None:
            await let_go(self._connection.exchange)

    async def _leave(self, data: str) -> str:
        """What the client gets for ``data``, once it is stored."""
        exchange = self._connection.exchange
        if exchange is None:
            return data
        if exchange.calls:
            data = safely(with_openais_code, data, otherwise=data)
        if is_shaped(exchange):
            if self._shape is None or self._shape.exchange is not exchange:
                self._shape = ShapedEvents(exchange)
            data = safely(self._shape.chunk, data, otherwise=data)
        if exchange.answered is not None:
            data = await store_last_event(exchange, data)
        if exchange.hold is not None and (from_json(data) or {}).get("type") in _ENDING:
            await let_go(exchange)
        code = getattr(exchange.refusal, "code", None)
        if not is_refusal(code) or json.loads(data).get("type") != "error":
            return data
        status, _, body = answer_of(code, exchange.refusal.message)
        return json.dumps({"type": "error", "status": status, **body})


def leave_history_to_redis(call: dict[str, Any], previous_response_id: str | None, remembered: Sequence[Any]) -> bool:
    """Whether the turn's ``call`` keeps its input and names the response before it, as over HTTP.

    ``remembered``: what upstream puts before the input otherwise. Where it has nothing, it leaves the id there itself.
    """
    return safely(_leave_to_redis, call, previous_response_id, remembered, otherwise=False)


def _leave_to_redis(call: dict[str, Any], previous_response_id: str | None, remembered: Sequence[Any]) -> bool:
    connection = CONNECTION.get()
    exchange = connection.exchange if connection is not None and not connection.is_on_its_own else None
    if runtimes.current() is None or exchange is None or not previous_response_id or not remembered:
        return False
    if exchange.looked_up not in _ANSWERS:
        note_connections(exchange, remembered)
        return False
    call["previous_response_id"] = previous_response_id
    return True


def leave_history_to_the_connection() -> None:
    """From now on the running connection, if any, gives the history of its turns itself, as without the fork."""
    if (connection := CONNECTION.get()) is not None:
        connection.is_on_its_own = True
