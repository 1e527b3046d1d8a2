"""The history of a follow-up: from Redis, else from its connection's memory, else from upstream's own lookup."""

import inspect
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from typing import Any

from .conversation import Chain, Turn
from .given import turns_of_rows, turns_of_session
from .history import (
    history_messages,
    latest_instructions,
    new_after_restating,
    spend_log_rows,
    without_repeated_calls,
)
from .refusals import refuse_for_now, refuse_unknown_response
from .request import History, Request, Source
from .response_id import inner_id
from .results import Miss, StoreError
from .runtime import Runtime

AskUpstream = Callable[[], Awaitable[Any]]

_FAILED = "failed"
_LOGGED = {
    Miss.UNREADABLE.value: "Stored turns cannot be read: another encryption key, another format, or damaged.",
    Miss.DENIED.value: "A response was asked for by somebody who is not its owner, and was not given.",
    Miss.TOO_LARGE.value: "A stored conversation is larger than this proxy's limits, and was not read.",
}


async def read_session(runtime: Runtime, request: Request, response_id: str, ask_upstream: AskUpstream) -> Any:
    """The ``ChatCompletionSession`` of a response. Where we have it, the request's messages are put right too."""
    return await _look_up(
        runtime,
        request,
        response_id,
        serve=lambda history: _session(request, history),
        ask_upstream=ask_upstream,
        nothing={"messages": [], "litellm_session_id": None},
        turns_of=lambda session: turns_of_session(session, request.maker, request.rows),
    )


async def read_stored_turns(runtime: Runtime, request: Request, response_id: str, ask_upstream: AskUpstream) -> Any:
    """The ``StoredTurns`` of a response (releases from 1.109 on), in the form of spend-log rows."""
    from litellm.responses.litellm_completion_transformation.session_handler import StoredTurns

    def serve(history: History) -> Any:
        rows = _rows(request, history)
        return StoredTurns(spend_logs=rows, proxy_server_requests=tuple(row["proxy_server_request"] for row in rows))

    return await _look_up(
        runtime,
        request,
        response_id,
        serve=serve,
        ask_upstream=ask_upstream,
        nothing=StoredTurns((), ()),
        turns_of=lambda stored: turns_of_rows(stored.spend_logs, stored.proxy_server_requests, request.maker),
    )


async def look_ahead(runtime: Runtime, request: Request, response_id: str) -> None:
    """Finds the history before upstream makes messages of the new input, so that its cache of tool calls is silent."""
    _, request.history = await _find(runtime, request, response_id)


async def _look_up(
    runtime: Runtime,
    request: Request,
    response_id: str,
    *,
    serve: Callable[[History], Any],
    ask_upstream: AskUpstream,
    nothing: Any,
    turns_of: Callable[[Any], tuple[Turn, ...]],
) -> Any:
    """The history in upstream's form, and in ``request.history``: ours, as ``serve`` makes it, else upstream's.

    To others than its owner a response is unknown, in the database too: older releases would show it to them. Raises
    LiteLLM's error for a deleted response, which nobody may find anywhere else.
    """
    asked_at = time.monotonic()
    result, found = await _find(runtime, request, response_id)
    if result == Miss.DELETED.value:
        _count(runtime, result)
        _refuse(refuse_unknown_response, request)
    for history in filter(None, (found, _remembered(request))):
        before = request.input, request.snapshot, request.history, request.completion.get("messages")
        request.history = history  # known while upstream's transformation makes messages of it
        try:
            served = serve(history)
        except Exception:  # Upstream's transformation of what no client sent.
            request.input, request.snapshot, request.history, request.completion["messages"] = before
            result = Miss.UNREADABLE.value
        else:
            _count(runtime, result)
            return served
    given = nothing if result == Miss.DENIED.value else await ask_upstream()
    turns = turns_of(given)
    _count(runtime, "database" if turns and result == Miss.UNKNOWN.value else result)
    if turns:
        request.history = History(Source.DATABASE, Chain(turns, asked_at=asked_at))
        return given
    request.history = History(Source.UNAVAILABLE if result == _FAILED else Source.NONE)
    if runtime.settings.on_miss == "error":
        _refuse(refuse_for_now if result == _FAILED else refuse_unknown_response, request)
    return given


def _refuse(refuse: Callable[[str, str | None], None], request: Request) -> None:
    refuse(str(request.completion.get("model") or ""), request.provider)


async def _find(runtime: Runtime, request: Request, response_id: str) -> tuple[str, History | None]:
    """What Redis says, in the words of the metrics, and the history if it has one."""
    if request.history is not None:
        return "found", request.history
    if request.owner.identity is None:
        return Miss.DENIED.value, None
    try:
        found = await runtime.read(
            lambda store, budget: store.load(inner_id(response_id), request.may_continue, budget)
        )
    except StoreError:
        found = None
    if isinstance(found, Chain):
        return "found", History(Source.REDIS, found)
    return found.value if found else _FAILED, None


def _remembered(request: Request) -> History | None:
    """What the request's connection has in its memory."""
    turn = Turn(list(request.connection_turns), maker=request.maker)
    # The memory may be older than any erasure.
    return History(Source.CONNECTION, Chain((turn,), asked_at=-math.inf)) if turn.input else None


def _count(runtime: Runtime, result: str) -> None:
    runtime.metrics.count_lookup(result)
    log_miss(runtime, result)


def log_miss(runtime: Runtime, result: str) -> None:
    if result in _LOGGED:
        runtime.rare_log.warn(result, _LOGGED[result])


def _session(request: Request, history: History) -> dict[str, Any]:
    from litellm.responses.litellm_completion_transformation.transformation import ChatCompletionSession

    turns = _without_restated_turn(request, history)
    # From 1.100 on, upstream itself puts the instructions first and carries the last ones over.
    upstream_places_instructions = "instructions" in ChatCompletionSession.__annotations__
    messages = history_messages(
        turns,
        _input_to_messages,
        maker=request.maker,
        with_instructions=not upstream_places_instructions and not request.instructions,
    )
    new = without_repeated_calls(request.completion.get("messages") or (), request.input, messages)
    if request.instructions and not upstream_places_instructions:
        # until 1.99: upstream sends the new instructions behind the history
        messages, new = [*new[:1], *messages], new[1:]
    request.completion["messages"] = new
    session = {"messages": messages, "litellm_session_id": _session_id(history)}
    if upstream_places_instructions:
        session["instructions"] = latest_instructions(turns)
    return session


def _rows(request: Request, history: History) -> tuple[dict[str, Any], ...]:
    turns = _without_restated_turn(request, history)
    rows = spend_log_rows(turns, _session_id(history), request.maker)
    known = [message for turn in turns for message in (*_messages_of_calls(turn.input), *turn.answer)]
    request.completion["messages"] = without_repeated_calls(
        request.completion.get("messages") or (), request.input, known
    )
    return rows


def _session_id(history: History) -> str | None:
    return history.chain.turns[-1].session_id


def _without_restated_turn(request: Request, history: History) -> Sequence[Turn]:
    """The history's turns. Of an input that says the last one over again, only what is new stays in the request."""
    turns = history.chain.turns
    new_items = new_after_restating(turns[-1], request.input) if history.source is Source.REDIS else None
    if new_items is not None:
        request.take_input(new_items)
        leading = (request.completion.get("messages") or [])[: 1 if request.instructions else 0]
        request.completion["messages"] = [*leading, *_input_to_messages(new_items)]
    return turns


def _input_to_messages(client_input: Any) -> list[Any]:
    from litellm.responses.litellm_completion_transformation.transformation import LiteLLMCompletionResponsesConfig

    transform = LiteLLMCompletionResponsesConfig.transform_responses_api_input_to_messages
    messages: list[Any] = transform(input=client_input, responses_api_request={}, **_transform_options(transform))
    return messages


@lru_cache(maxsize=1)
def _transform_options(transform: Callable[..., Any]) -> dict[str, bool]:
    # Since about 1.90, reasoning items are sent back as reasoning only where this is asked for.
    return {"replay_reasoning": True} if "replay_reasoning" in inspect.signature(transform).parameters else {}


def _messages_of_calls(client_input: Any) -> list[dict[str, Any]]:
    """The tool calls that an input holds itself, as a connection's memory does."""
    items = client_input if isinstance(client_input, list) else ()
    calls = [item.get("call_id") or item.get("id") for item in items if item.get("type") == "function_call"]
    return [{"role": "assistant", "tool_calls": [{"id": call_id} for call_id in calls]}] if calls else []
