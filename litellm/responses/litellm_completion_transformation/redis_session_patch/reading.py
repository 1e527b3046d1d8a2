"""Serving a conversation: from Redis, else from upstream's own lookup."""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from .connection import proxy_module
from .conversation import Chain, Turn
from .history import (
    history_messages,
    latest_instructions,
    new_after_restating,
    spend_log_rows,
    without_repeated_calls,
)
from .misses import refuse_unknown_response
from .request import Request
from .response_id import inner_id
from .runtime import Runtime
from .store import Miss, StoreUnavailable


async def read_session(
    runtime: Runtime, request: Request, response_id: str, ask_upstream: Callable[[], Awaitable[Any]]
) -> Any:
    """The ``ChatCompletionSession`` of a response. Where Redis has it, the request's messages are put right too."""
    found = await _load(runtime, request, response_id)
    if isinstance(found, Chain):
        return _session(request, found)
    session = {"messages": [], "litellm_session_id": None} if found is Miss.DENIED else await ask_upstream()
    request.earlier = tuple(session.get("messages") or ())
    if not request.earlier:
        _settle_miss(runtime, request, found)
    return session


async def read_stored_turns(
    runtime: Runtime, request: Request, response_id: str, ask_upstream: Callable[[], Awaitable[Any]]
) -> Any:
    """The ``StoredTurns`` of a response (releases from 1.109 on), in the form of spend-log rows."""
    from litellm.responses.litellm_completion_transformation.session_handler import StoredTurns

    found = await _load(runtime, request, response_id)
    if isinstance(found, Chain) and any(turn.earlier for turn in found.turns):
        # Stored under an older release, after messages that are no rows: upstream's steps could not take them.
        request.may_store, found = False, Miss.INCOMPLETE
    if isinstance(found, Chain):
        turns = _continue(request, found)
        rows = spend_log_rows(turns, found.record.session_id, request.maker)
        request.completion["messages"] = without_repeated_calls(
            request.completion.get("messages") or (), request.input, [m for turn in turns for m in turn.answer]
        )
        return StoredTurns(spend_logs=rows, proxy_server_requests=tuple(row["proxy_server_request"] for row in rows))
    stored = StoredTurns((), ()) if found is Miss.DENIED else await ask_upstream()
    if stored.spend_logs:
        request.may_store = False  # The database goes on with what it began: its rows are no turns of ours.
    else:
        _settle_miss(runtime, request, found)
    return stored


async def look_ahead(runtime: Runtime, request: Request, response_id: str) -> None:
    """Finds the history before upstream makes messages of the new input, so that its cache of tool calls is silent."""
    request.found = await _load(runtime, request, response_id)
    request.history_is_whole = isinstance(request.found, Chain)


async def _load(runtime: Runtime, request: Request, response_id: str) -> Chain | Miss | None:
    """``None``: Redis could not be asked."""
    if request.found is not None:
        return request.found
    try:
        found = await runtime.read(lambda store: store.load(inner_id(response_id), request.may_continue))
    except StoreUnavailable:
        runtime.count("read_failed")
        # The turn before may be stored all the same: this one, stored without it, would hide it later.
        request.may_store = False
        return None
    runtime.count("read_found" if isinstance(found, Chain) else f"read_{found.value}")
    # To others a response is unknown, in the database too: older releases would show it to them.
    return found


def _settle_miss(runtime: Runtime, request: Request, found: Miss | None) -> None:
    """The response is found nowhere; refuses the request where the operator wants that."""
    if found is None:
        return
    if runtime.settings.on_miss == "error":
        refuse_unknown_response(str(request.completion.get("model") or ""), request.provider)
    # The database may find the conversation a few seconds later; a turn stored without it would hide it.
    request.may_store = found is Miss.DENIED or not _database_is_connected()


def _continue(request: Request, chain: Chain) -> tuple[Turn, ...]:
    """Makes ``chain`` the history of ``request``, and returns its turns."""
    request.parent, request.history_is_whole = chain, True
    new_items = new_after_restating(chain.turns[-1], request.input)
    if new_items is not None:
        request.input = new_items
        leading = (request.completion.get("messages") or [])[: 1 if request.instructions else 0]
        request.completion["messages"] = [*leading, *_input_to_messages(new_items)]
    return chain.turns


def _session(request: Request, chain: Chain) -> dict[str, Any]:
    from litellm.responses.litellm_completion_transformation.transformation import ChatCompletionSession

    turns = _continue(request, chain)
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
        # Upstream sends the new instructions behind the history.
        messages, new = [*new[:1], *messages], new[1:]
    request.completion["messages"] = new
    session = {"messages": messages, "litellm_session_id": chain.record.session_id}
    if upstream_places_instructions:
        session["instructions"] = latest_instructions(turns)
    return session


def _input_to_messages(client_input: Any) -> list[Any]:
    from litellm.responses.litellm_completion_transformation.transformation import LiteLLMCompletionResponsesConfig

    transform = LiteLLMCompletionResponsesConfig.transform_responses_api_input_to_messages
    # Since about 1.90, reasoning items are sent back as reasoning only where this is asked for.
    options = {"replay_reasoning": True} if "replay_reasoning" in inspect.signature(transform).parameters else {}
    return transform(input=client_input, responses_api_request={}, **options)


def _database_is_connected() -> bool:
    return getattr(proxy_module(), "prisma_client", None) is not None
