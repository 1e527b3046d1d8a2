"""Where the patch meets LiteLLM's bridge: what its marked lines call.

Each wrapper passes on what it is given as it is given, and no failure of the fork reaches the client (``defects``).
Refusals do (``refusals``): of ``conversation``, of a deleted response, and of one that is unknown or cannot be looked
up, where the operator wants that (``REDIS_SESSION_PATCH_ON_MISS=error``).
"""

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from . import request as requests
from . import runtime as runtimes
from .caller import CALLER, caller_of, names_a_caller
from .defects import around, report, safely, safely_await
from .header import set_history_header
from .lookup import read_session, read_stored_turns
from .owner import NOBODY, Owner
from .refusals import refuse_conversation
from .request import CURRENT, Request, Source
from .response_cache import is_cached_as_chat
from .router_usage import mark_as_counted
from .runtime import Runtime
from .saving import store_answer
from .streams import StreamKeeper
from .token_count import count_with_redis
from .tool_calls import OwnedCache
from .websockets import (
    followed_in_the_connection,
    leave_history_to_redis,
    leave_history_to_the_connection,
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
    "note_rows",
    "refused_over_websocket",
    "remember_client_request",
    "remember_request",
    "store_session_in_redis",
    "store_stream_in_redis",
    "with_one_trace_id",
    "without_known_calls",
]

AsyncFunction = Callable[..., Awaitable[Any]]

_SESSION_STEP = ("previous_response_id", "litellm_completion_request")

_HEADERS = {source: source.value for source in (Source.REDIS, Source.DATABASE, Source.UNAVAILABLE)}


def remember_request(handler: AsyncFunction) -> AsyncFunction:
    """Decorates the bridge's handler: what it is called with is known to the lookup and to the store."""

    @functools.wraps(handler)
    async def handle(*args: Any, **call: Any) -> Any:
        known = safely(_request_of, call, otherwise=None)
        if known is None and names_a_caller(call.get("litellm_metadata")):
            leave_history_to_the_connection()
        before = CURRENT.set(known[1] if known else None)
        try:
            reply = await handler(*args, **call)
        finally:
            CURRENT.reset(before)
        if known:
            safely(_attend_to, *known, reply, otherwise=None)
        return reply

    return handle


def _request_of(call: dict[str, Any]) -> tuple[Runtime, Request] | None:
    """The request of a caller of ours; ``None`` for every other one. Raises LiteLLM's error for ``conversation``."""
    runtime, caller = _runtime_and_caller(call)
    if runtime is None or caller is None:
        return None
    request = requests.request_from_call(
        call, caller, CURRENT.get(), remembered_by_the_connection(), followed_in_the_connection()
    )
    if call.get("conversation") is not None:
        has_previous = bool(request.previous_response_id)
        refuse_conversation(str(request.completion.get("model") or ""), request.provider, has_previous)
    return runtime, request


def _runtime_and_caller(call: dict[str, Any]) -> tuple[Any, Any]:
    runtime = runtimes.current()
    return runtime, caller_of(call.get("litellm_metadata")) if runtime is not None else None


def _attend_to(runtime: Runtime, request: Request, reply: Any) -> None:
    if hasattr(reply, "__anext__"):
        StreamKeeper(runtime, request).attach(reply)
    history = _HEADERS.get(request.history.source, "none") if request.history else "none"
    set_history_header(reply, history, request.call.get("litellm_logging_obj"))


def with_one_trace_id(handler: AsyncFunction) -> AsyncFunction:
    """Decorates the handler of releases before 1.75.2.

    Those up to 1.72 give the completion the trace ids of the call and of the conversation both, which is an error.
    Later ones let the conversation's win.
    """

    def put_in_its_place(call: dict[str, Any]) -> None:
        if CURRENT.get() is not None and "litellm_trace_id" in call:
            call["litellm_completion_request"].setdefault("litellm_trace_id", call["litellm_trace_id"])
            del call["litellm_trace_id"]

    @functools.wraps(handler)
    async def handle(*args: Any, **call: Any) -> Any:
        safely(put_in_its_place, call, otherwise=None)
        return await handler(*args, **call)

    return handle


def _running() -> tuple[Runtime, Request] | None:
    """The store and the running request; ``None`` where there is no store, or the request is not a caller's."""
    request = CURRENT.get()
    runtime = safely(runtimes.current, otherwise=None) if request is not None else None
    return (runtime, request) if runtime is not None and request is not None else None


def get_session_from_redis(lookup: AsyncFunction) -> AsyncFunction:
    """Decorates upstream's lookup of a conversation's messages: Redis first, then ``lookup`` as it was."""
    return _looks_up_first(read_session, lookup)


def get_stored_turns_from_redis(lookup: AsyncFunction) -> AsyncFunction:
    """Decorates the lookup of releases from 1.109 on: what Redis has goes through all of upstream's later steps."""
    return _looks_up_first(read_stored_turns, lookup)


def _looks_up_first(read: AsyncFunction, lookup: AsyncFunction) -> AsyncFunction:
    @functools.wraps(lookup)
    async def look_up(*args: Any, **options: Any) -> Any:
        running = _running()
        if running is None:
            return await lookup(*args, **options)

        async def with_redis(ask_upstream: Callable[[], Awaitable[Any]]) -> Any:
            response_id = args[0] if args else options["previous_response_id"]
            return await read(*running, response_id, ask_upstream)

        return await _around_lookup(running[1], lambda: lookup(*args, **options), with_redis)

    return look_up


def note_rows(lookup: AsyncFunction) -> AsyncFunction:
    """Decorates upstream's reading of a conversation's spend logs: they say who took part in it."""

    @functools.wraps(lookup)
    async def look_up(*args: Any, **options: Any) -> Any:
        rows = await lookup(*args, **options)
        if (request := CURRENT.get()) is not None:
            request.rows = rows
        return rows

    return look_up


def get_request_from_redis(handle_session: AsyncFunction) -> AsyncFunction:
    """Decorates the session step of releases before 1.75.2, which have no lookup of their own to decorate.

    Where the enterprise package is installed, ``handle_session`` puts its history before the request's messages.
    """

    @functools.wraps(handle_session)
    async def look_up(*args: Any, **options: Any) -> Any:
        running = _running()
        if running is None:
            return await handle_session(*args, **options)

        async def with_redis(ask_upstream: Callable[[], Awaitable[Any]]) -> Any:
            _watch_enterprise(handle_session.__globals__.get("_ENTERPRISE_ResponsesSessionHandler"))
            given = {**dict(zip(_SESSION_STEP, args, strict=False)), **options}
            response_id, completion = (given[name] for name in _SESSION_STEP)
            return await _session_step(*running, response_id, completion, ask_upstream)

        return await _around_lookup(running[1], lambda: handle_session(*args, **options), with_redis)

    return look_up


async def _around_lookup(request: Request, upstream: Callable[[], Awaitable[Any]], ours: AsyncFunction) -> Any:
    async def noted(ask_upstream: Callable[[], Awaitable[Any]]) -> Any:
        request.history_unknown = True  # Such a turn must not be stored as a first one.
        found = await ours(ask_upstream)
        request.history_unknown = False
        return found

    return await around(upstream, noted)


async def _session_step(
    runtime: Runtime,
    request: Request,
    response_id: str,
    completion: dict[str, Any],
    handle_session: Callable[[], Awaitable[Any]],
) -> dict[str, Any]:
    new = list(completion.get("messages") or ())

    async def ask_upstream() -> dict[str, Any]:
        await handle_session()
        messages = completion.get("messages") or []
        return {"messages": messages[: len(messages) - len(new)]}

    session = await read_session(runtime, request, response_id, ask_upstream)
    if history_is_whole():
        completion["messages"] = session["messages"] + completion["messages"]
        completion["litellm_trace_id"] = session["litellm_session_id"]
    return completion


def _watch_enterprise(handler: Any) -> None:
    """The reading of rows is in another package there, which has no marked lines."""
    name = "get_all_spend_logs_for_previous_response_id"
    lookup = getattr(handler, name, None)
    if lookup is not None and not hasattr(lookup, "__wrapped__"):
        setattr(handler, name, staticmethod(note_rows(lookup)))


def remember_client_request(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Decorates the bridge's outer handler of releases from 1.109 on, whose coroutine calls the inner one.

    Between them upstream may look up turns, and it changes the input: of the tools that a client's search found, which
    later turns need, only the names remain.
    """

    @functools.wraps(handler)
    def handle(*args: Any, **call: Any) -> Any:
        reply = handler(*args, **call)
        if not inspect.iscoroutine(reply):
            return reply
        return _within(safely(_early_request_of, call, otherwise=None), reply)

    return handle


def _early_request_of(call: dict[str, Any]) -> Request | None:
    runtime, caller = _runtime_and_caller(call)
    if runtime is None or caller is None:
        return None
    return requests.early_request_from_call(call, caller, remembered_by_the_connection())


async def _within(request: Request | None, reply: Awaitable[Any]) -> Any:
    before = CURRENT.set(request)
    try:
        return await reply
    finally:
        CURRENT.reset(before)


async def store_session_in_redis(response: Any, completion: Any) -> None:
    """Before a plain reply: stores the turn. ``response.id`` becomes unique where the provider repeats ids."""
    if (running := _running()) is not None:
        await safely_await(_store_plain, *running, response, completion, otherwise=None)


async def _store_plain(runtime: Runtime, request: Request, response: Any, completion: Any) -> None:
    mark_as_counted(request.call, response)
    response.previous_response_id = request.previous_response_id
    response.id = await store_answer(
        runtime, request, response.id, completion, lambda: request.expected_reply(response, is_stream=False)
    )


def store_stream_in_redis(anext_: AsyncFunction) -> AsyncFunction:
    """Decorates the stream's ``__anext__``: stores the turn before its terminal event leaves."""

    @functools.wraps(anext_)
    def next_event(*args: Any, **options: Any) -> Awaitable[Any]:  # no coroutine of its own: it would be one an event
        keeper = StreamKeeper.of(args[0]) if args else None
        return anext_(*args, **options) if keeper is None else keeper.next_event(anext_, *args, **options)

    return next_event


def note_provider_reply(reply: Any) -> None:
    """``reply``: an ``aiohttp.ClientResponse``. Upstream reads it and may not tell when it breaks off."""
    request = CURRENT.get()
    try:
        # Not those of loggers and the like, which may go on in this context for ever.
        if request is not None and "stream" in reply.content_type:
            request.provider_stream = reply
    except Exception as error:
        report(error)


def history_is_whole() -> bool:
    """Whether the running request has a history that holds its tool calls already."""
    request = CURRENT.get()
    return request is not None and request.history is not None and request.history.is_ours


def without_known_calls(cache: Any) -> Any:
    """Upstream's in-process cache of tool calls: each caller finds its own, and nothing while a stored history has the
    calls already.
    """
    return OwnedCache(cache, _caller_of_tool_calls, history_is_whole)


def _caller_of_tool_calls() -> Owner | None:
    """Who asks; where the request came by no route of ours, nobody: its calls would be everybody's. ``None``: there is
    no store.
    """
    caller = CALLER.get()
    is_active = caller is not None or safely(runtimes.current, otherwise=None) is not None
    return (caller or NOBODY) if is_active else None
