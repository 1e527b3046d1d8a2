"""Where the patch meets LiteLLM's bridge: what its marked lines call.

A failure here never reaches the client; the one exception is the answer to an id that is unknown or cannot be asked
for, where the operator wants it (``REDIS_SESSION_PATCH_ON_MISS=error``).
"""

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from . import request as requests
from . import runtime as runtimes
from .header import set_history_header
from .lookup import read_session, read_stored_turns
from .refusals import refuse_conversation
from .request import CURRENT, Source
from .response_cache import is_cached_as_chat
from .router_usage import mark_as_counted
from .saving import store_answer
from .streams import StreamKeeper
from .token_count import count_with_redis, remember_caller
from .websockets import (
    followed_in_the_connection,
    leave_history_to_redis,
    refused_over_websocket,
    remembered_by_the_connection,
)

__all__ = [
    "count_with_redis",
    "get_request_from_redis",
    "get_session_from_redis",
    "get_stored_turns_from_redis",
    "history_is_whole",
    "is_cached_as_chat",
    "leave_history_to_redis",
    "note_provider_reply",
    "refused_over_websocket",
    "remember_caller",
    "remember_client_request",
    "remember_request",
    "store_session_in_redis",
    "store_stream_in_redis",
    "with_one_trace_id",
    "without_known_calls",
]

AsyncFunction = Callable[..., Awaitable[Any]]

_HEADERS = {source: source.value for source in (Source.REDIS, Source.DATABASE, Source.UNAVAILABLE)}


def remember_request(handler: AsyncFunction) -> AsyncFunction:
    """Decorates the bridge's handler: what it is called with is known to the lookup and to the store."""

    @functools.wraps(handler)
    async def handle(*args: Any, **call: Any) -> Any:
        runtime = runtimes.current()
        if runtime is None:
            return await handler(*args, **call)
        request = requests.request_from_call(
            call, CURRENT.get(), remembered_by_the_connection(), followed_in_the_connection()
        )
        if call.get("conversation") is not None:
            has_previous = bool(request.previous_response_id)
            refuse_conversation(str(request.completion.get("model") or ""), request.provider, has_previous)
        before = CURRENT.set(request)
        try:
            reply = await handler(*args, **call)
        finally:
            CURRENT.reset(before)
        if hasattr(reply, "__anext__"):
            StreamKeeper(runtime, request).attach(reply)
        history = _HEADERS.get(request.history.source, "none") if request.history else "none"
        set_history_header(reply, history, call.get("litellm_logging_obj"))
        return reply

    return handle


def with_one_trace_id(handler: AsyncFunction) -> AsyncFunction:
    """Decorates the handler of releases before 1.75.2.

    Those up to 1.72 give the completion the trace ids of the call and of the conversation both, which is an error.
    Later ones let the conversation's win.
    """

    @functools.wraps(handler)
    async def handle(*args: Any, **call: Any) -> Any:
        if runtimes.current() is not None and "litellm_trace_id" in call:
            call["litellm_completion_request"].setdefault("litellm_trace_id", call.pop("litellm_trace_id"))
        return await handler(*args, **call)

    return handle


def get_session_from_redis(lookup: AsyncFunction) -> AsyncFunction:
    """Decorates upstream's lookup of a conversation's messages: Redis first, then ``lookup`` as it was."""

    @functools.wraps(lookup)
    async def look_up(previous_response_id: str, *args: Any, **options: Any) -> Any:
        runtime, request = runtimes.current(), CURRENT.get()
        if runtime is None or request is None:
            return await lookup(previous_response_id, *args, **options)
        return await read_session(
            runtime, request, previous_response_id, lambda: lookup(previous_response_id, *args, **options)
        )

    return look_up


def get_request_from_redis(handle_session: AsyncFunction) -> AsyncFunction:
    """Decorates the session step of releases before 1.75.2, which have no lookup of their own to decorate.

    Where the enterprise package is installed, ``handle_session`` puts its history before the request's messages.
    """

    @functools.wraps(handle_session)
    async def look_up(previous_response_id: str, litellm_completion_request: dict[str, Any]) -> dict[str, Any]:
        runtime, request = runtimes.current(), CURRENT.get()
        if runtime is None or request is None:
            unchanged: dict[str, Any] = await handle_session(previous_response_id, litellm_completion_request)
            return unchanged
        new = list(litellm_completion_request.get("messages") or ())

        async def ask_upstream() -> dict[str, Any]:
            await handle_session(previous_response_id, litellm_completion_request)
            messages = litellm_completion_request.get("messages") or []
            return {"messages": messages[: len(messages) - len(new)]}

        session = await read_session(runtime, request, previous_response_id, ask_upstream)
        if history_is_whole():
            litellm_completion_request["messages"] = session["messages"] + litellm_completion_request["messages"]
            litellm_completion_request["litellm_trace_id"] = session["litellm_session_id"]
        return litellm_completion_request

    return look_up


def remember_client_request(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Decorates the bridge's outer handler of releases from 1.109 on, whose coroutine calls the inner one.

    Between them upstream may look up turns, and it changes the input: of the tools that a client's search found, which
    later turns need, only the names remain.
    """

    @functools.wraps(handler)
    def handle(*args: Any, **call: Any) -> Any:
        reply = handler(*args, **call)
        if runtimes.current() is None or not inspect.iscoroutine(reply):
            return reply
        return _within(requests.early_request_from_call(call, remembered_by_the_connection()), reply)

    return handle


async def _within(request: requests.Request, reply: Awaitable[Any]) -> Any:
    before = CURRENT.set(request)
    try:
        return await reply
    finally:
        CURRENT.reset(before)


def get_stored_turns_from_redis(lookup: AsyncFunction) -> AsyncFunction:
    """Decorates the lookup of releases from 1.109 on: what Redis has goes through all of upstream's later steps."""

    @functools.wraps(lookup)
    async def look_up(previous_response_id: str, *args: Any, **options: Any) -> Any:
        runtime, request = runtimes.current(), CURRENT.get()
        if runtime is None or request is None:
            return await lookup(previous_response_id, *args, **options)
        return await read_stored_turns(
            runtime, request, previous_response_id, lambda: lookup(previous_response_id, *args, **options)
        )

    return look_up


async def store_session_in_redis(response: Any, completion: Any) -> None:
    """Before a plain reply: stores the turn. ``response.id`` becomes unique where the provider repeats ids."""
    runtime, request = runtimes.current(), CURRENT.get()
    if runtime is not None and request is not None:
        mark_as_counted(request.call, response)
        response.previous_response_id = request.previous_response_id
        response.id = await store_answer(
            runtime, request, response.id, completion, lambda: request.expected_reply(response, is_stream=False)
        )


def store_stream_in_redis(anext_: AsyncFunction) -> AsyncFunction:
    """Decorates the stream's ``__anext__``: stores the turn before its terminal event leaves."""

    @functools.wraps(anext_)
    def next_event(stream: Any) -> Awaitable[Any]:  # no coroutine of its own: it would be one more for every event
        keeper = StreamKeeper.of(stream)
        return anext_(stream) if keeper is None else keeper.next_event(stream, anext_)

    return next_event


def note_provider_reply(reply: Any) -> None:
    """``reply``: an ``aiohttp.ClientResponse``. Upstream reads it and may not tell when it breaks off."""
    request = CURRENT.get()
    # Not those of loggers and the like, which may go on in this context for ever.
    if request is not None and "stream" in reply.content_type:
        request.provider_stream = reply


def history_is_whole() -> bool:
    """Whether the running request has a history that holds its tool calls already."""
    request = CURRENT.get()
    return request is not None and request.history is not None and request.history.is_ours


def without_known_calls(cache: Any) -> Any:
    """Upstream's in-process cache of tool calls, silent while a stored history has the calls already."""
    return _SilencedCache(cache)


class _SilencedCache:
    def __init__(self, cache: Any):
        self._cache = cache

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)

    def get_cache(self, *args: Any, **options: Any) -> Any:
        return None if history_is_whole() else self._cache.get_cache(*args, **options)
