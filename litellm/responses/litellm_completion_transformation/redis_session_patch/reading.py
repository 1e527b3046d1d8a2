"""Serving a conversation: from Redis, else from upstream's own lookup."""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from .connection import proxy_module
from .conversation import Chain, without_last_turn
from .history import history_messages, latest_instructions, restates, without_repeated_calls
from .misses import refuse_unknown_response
from .request import Request
from .runtime import Runtime
from .store import Miss, StoreUnavailable


async def read_session(
    runtime: Runtime, request: Request, response_id: str, ask_upstream: Callable[[], Awaitable[Any]]
) -> Any:
    """The ``ChatCompletionSession`` of a response. Where Redis has it, the request's messages are put right too."""
    try:
        found = await runtime.read(lambda store: store.load(response_id, request.may_continue))
    except StoreUnavailable:
        runtime.count("read_failed")
        # The turn before may be stored all the same: this one, stored without it, would hide it later.
        request.may_store = False
        return await ask_upstream()
    if isinstance(found, Chain):
        runtime.count("read_found")
        return _session(request, found)
    runtime.count(f"read_{found.value}")
    # To others a response is unknown, in the database too: older releases would show it to them.
    session = await ask_upstream() if found is not Miss.DENIED else {"messages": [], "litellm_session_id": None}
    request.earlier = tuple(session.get("messages") or ())
    if not request.earlier:
        if runtime.settings.on_miss == "error":
            refuse_unknown_response(str(request.completion.get("model") or ""), request.provider)
        # The database may find the conversation a few seconds later; a turn stored without it would hide it.
        request.may_store = found is Miss.DENIED or not _database_is_connected()
    return session


def _session(request: Request, chain: Chain) -> dict[str, Any]:
    from litellm.responses.litellm_completion_transformation.transformation import ChatCompletionSession

    request.history_is_whole = True
    request.parent = without_last_turn(chain) if restates(chain.turns[-1], request.input) else chain
    turns = request.parent.turns if request.parent else ()
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
