"""The history of a follow-up: from Redis, else from its connection's memory, else from upstream's own lookup."""

import inspect
import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from ..redis import runtime as runtimes
from ..redis.runtime import Runtime
from ..values.ids import Place
from ..values.refusals import CANNOT_ASK, NOT_FOUND, refuse
from ..values.results import Miss, StoreError
from ..values.turns import Chain, Turn
from .database import turns_of
from .exchange import Call, Exchange, History, Source
from .history import history_messages, latest, spend_log_rows

# Makes a history of the call's turns, as a release has it, and puts the request's own messages right.
Form = Callable[[Call], Any]

FAILED = "failed"

# Asked for where an id has no place, so that the time of the answer does not say so.
NOBODYS = Place("-----------", "1")

_LOGGED = {
    Miss.UNREADABLE.value: "Stored turns cannot be read: another encryption key, another format, or damaged.",
    Miss.DENIED.value: "A response was asked for by somebody who is not its owner, and was not given.",
    Miss.TOO_LARGE.value: "A stored conversation is larger than this proxy's limits, and was not read.",
}


async def begin(exchange: Exchange, data: Mapping[str, Any]) -> None:
    """Takes what the client said, and looks into Redis for what it goes on from.

    ``data``: the request's parameters, after the operator's own hooks and before LiteLLM changes them.
    """
    await exchange.take(data)
    runtime = runtimes.current()
    if runtime is not None and exchange.previous_place is not None:
        await find(runtime, exchange)


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


async def look_before_upstream(runtime: Runtime, call: Call, response_id: str, form: Form) -> Any:
    """The history of ``response_id``; ``None``: upstream is to look.

    To others than its owner a response is unknown, in the database too. Raises LiteLLM's error for a deleted response,
    which nobody may find anywhere else.
    """
    exchange = call.exchange
    if not exchange.follows(response_id):  # A further MCP round, or something of LiteLLM's own.
        return form(call) if call.rounds else None
    if exchange.looked_up is None:
        await find(runtime, exchange)
    if exchange.history is not None and exchange.history.is_ours:
        messages = call.completion.get("messages")
        try:
            served = form(call)
        except Exception:  # Upstream's transformation of what no client sent.
            call.completion["messages"], exchange.history = messages, None
            exchange.looked_up = Miss.UNREADABLE.value
        else:
            _count(runtime, exchange, "found")
            return served
    if exchange.looked_up == Miss.DELETED.value:
        _count(runtime, exchange, exchange.looked_up)
        _refuse(NOT_FOUND, call)
    if exchange.looked_up != Miss.DENIED.value:
        return None
    note_upstreams(runtime, call, response_id, {})
    return form(call)  # Nothing, in that form.


def note_upstreams(runtime: Runtime, call: Call, response_id: str, given: Any) -> None:
    """``given``: what upstream found. Raises LiteLLM's error where that is nothing, and the operator wants one.

    After a defect nobody knows the history, so that the turn is not stored as a first one.
    """
    exchange, result = call.exchange, call.exchange.looked_up
    if result is None or not exchange.follows(response_id):
        return
    if result == "found":  # It was not served.
        exchange.history = None
        return
    turns = turns_of(given, call.maker, call.rows)
    _count(runtime, exchange, "database" if turns and result == Miss.UNKNOWN.value else result)
    if turns:
        exchange.history = History(Source.DATABASE, Chain(turns, asked_at=exchange.asked_at))
        return
    exchange.history = History(Source.UNAVAILABLE if result == FAILED else Source.NONE)
    if runtime.settings.on_miss == "error":
        _refuse(CANNOT_ASK if result == FAILED else NOT_FOUND, call)


def note_connections(exchange: Exchange, remembered: Sequence[Any]) -> None:
    """The history comes from the memory of a WebSocket's connection, which may be older than any erasure."""
    exchange.history = History(Source.CONNECTION, Chain((Turn(list(remembered)),), asked_at=-math.inf))


def _refuse(code: str, call: Call) -> None:
    refuse(code, str(call.completion.get("model") or ""), call.provider)


def _count(runtime: Runtime, exchange: Exchange, result: str) -> None:
    """Once a request, though the bridge may look up again for another model."""
    if not exchange.is_counted:
        exchange.is_counted = True
        runtime.metrics.count("lookups", result)
        log_miss(runtime, result)


def log_miss(runtime: Runtime, result: str) -> None:
    if result in _LOGGED:
        runtime.rare_log.warn(result, _LOGGED[result])


def as_session(call: Call) -> dict[str, Any]:
    """A ``ChatCompletionSession``."""
    from litellm.responses.litellm_completion_transformation.transformation import ChatCompletionSession

    turns, new = call.turns_before, _new_messages(call)
    instructions = call.exchange.instructions
    # From 1.100 on, upstream itself puts the instructions first and carries the last ones over.
    upstream_places_instructions = "instructions" in ChatCompletionSession.__annotations__
    messages = history_messages(
        turns,
        input_to_messages,
        maker=call.maker,
        with_instructions=not upstream_places_instructions and not instructions,
    )
    if instructions and not upstream_places_instructions:
        # until 1.99: upstream sends the new instructions behind the history
        messages, new = [*new[:1], *messages], new[1:]
    call.completion["messages"] = new
    session = {"messages": messages, "litellm_session_id": latest(turns, "session_id")}
    if upstream_places_instructions and (carried_over := latest(turns, "instructions")):
        session["instructions"] = carried_over
    return session


def as_stored_turns(call: Call) -> Any:
    """Rows of the spend logs, as releases from 1.109 on look them up: they go through all of upstream's steps."""
    from litellm.responses.litellm_completion_transformation.session_handler import StoredTurns

    turns, call.completion["messages"] = call.turns_before, _new_messages(call)
    rows = spend_log_rows(turns, latest(turns, "session_id"), call.maker)
    return StoredTurns(spend_logs=rows, proxy_server_requests=tuple(row["proxy_server_request"] for row in rows))


def _new_messages(call: Call) -> list[Any]:
    """The request's own messages; of a further MCP round, only what is new in it. The history is to go before them."""
    call.is_served = True
    messages = list(call.completion.get("messages") or ())
    if call.new_items is None:
        return messages
    return [*messages[: 1 if call.exchange.instructions else 0], *input_to_messages(call.new_items)]


def put_rounds(call: Call) -> None:
    """A further MCP round that upstream sends without asking for a history goes on from the answers themselves.

    A connection's memory, which upstream has put into the input, stands before them.
    """
    said = history_messages(call.turns_before, input_to_messages, maker=call.maker, with_instructions=False)
    new, leading = _new_messages(call), 1 if call.exchange.instructions else 0
    call.completion["messages"] = [*new[:leading], *said, *new[leading:]]


def input_to_messages(client_input: Any) -> list[Any]:
    """Upstream's transformation of a client's input."""
    from litellm.responses.litellm_completion_transformation.transformation import LiteLLMCompletionResponsesConfig

    transform = LiteLLMCompletionResponsesConfig.transform_responses_api_input_to_messages
    messages: list[Any] = transform(input=client_input, responses_api_request={}, **_transform_options(transform))
    return messages


@lru_cache(maxsize=1)
def _transform_options(transform: Callable[..., Any]) -> dict[str, bool]:
    # Since about 1.90, reasoning items are sent back as reasoning only where this is asked for.
    return {"replay_reasoning": True} if "replay_reasoning" in inspect.signature(transform).parameters else {}
