"""The inner door: what the marked lines in LiteLLM's bridge call.

Each wrapper passes on what it is given as it is given, and no failure of the fork reaches the client (``defects``).
Refusals do (``refusals``): of ``conversation``, of a deleted response, and of one that is unknown or cannot be looked
up, where the operator wants that (``REDIS_SESSION_PATCH_ON_MISS=error``).
"""

import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from ..redis import runtime as runtimes
from ..redis.defects import safely, safely_await
from ..redis.runtime import Runtime
from ..request.caller import is_of, names_a_caller
from ..request.database import rows_of
from ..request.exchange import CALL, Call, call_of, running_exchange
from ..request.lookup import Form, as_session, as_stored_turns, look_before_upstream, note_upstreams, put_rounds
from ..request.response_cache import is_cached_as_chat as is_cached_as_chat
from ..request.streams import StreamKeeper
from ..request.tool_calls import OwnedCache
from ..values.ids import with_place
from ..values.refusals import CONVERSATION, CONVERSATION_TOO, is_refusal, refuse
from .leaving import store_session_in_redis as store_session_in_redis
from .token_count import count_with_redis as count_with_redis
from .websockets import leave_history_to_redis as leave_history_to_redis
from .websockets import leave_history_to_the_connection

AsyncFunction = Callable[..., Awaitable[Any]]

_NO_CALL_YET = "no call yet"


def remember_request(handler: AsyncFunction) -> AsyncFunction:
    """Decorates the bridge's handler: the history goes in, and what the model answers is kept."""

    @functools.wraps(handler)
    async def handle(*args: Any, **kwargs: Any) -> Any:
        known = safely(_call_of, kwargs, otherwise=None)
        if known and history_is_whole():
            args = args[:2]  # From 1.109 on without turns that were looked up before it was known for which model.
        if known is None and names_a_caller(kwargs.get("litellm_metadata")):
            leave_history_to_the_connection()
        before = CALL.set(known[1] if known else None)
        try:
            reply = await handler(*args, **kwargs)
        except Exception as error:
            if known and is_refusal(getattr(error, "code", None)):
                known[1].exchange.refusal = error
            raise
        finally:
            CALL.reset(before)
        if known and hasattr(reply, "__anext__"):
            safely(StreamKeeper(*known).attach, reply, otherwise=None)
        return reply

    return handle


def _call_of(kwargs: dict[str, Any]) -> tuple[Runtime, Call] | None:
    """The call of a caller of ours; ``None`` for every other one. Raises LiteLLM's error for ``conversation``."""
    runtime, exchange = runtimes.current(), running_exchange()
    if runtime is None or exchange is None or not is_of(exchange.caller, kwargs.get("litellm_metadata")):
        return None
    if not exchange.is_taken:
        raise LookupError("What the client said is not known.")
    call = call_of(kwargs, kwargs["litellm_completion_request"], kwargs["request_input"], exchange)
    if kwargs.get("conversation") is not None:
        code = CONVERSATION if exchange.previous_id is None else CONVERSATION_TOO
        refuse(code, str(call.completion.get("model") or ""), call.provider)
    exchange.calls.append(call)
    if call.rounds and not kwargs["responses_api_request"].get("previous_response_id"):
        put_rounds(call)
    return runtime, call


def with_one_trace_id(handler: AsyncFunction) -> AsyncFunction:
    """Decorates the handler of releases before 1.75.2.

    Those up to 1.72 give the completion the trace ids of the call and of the conversation both, which is an error.
    Later ones let the conversation's win.
    """

    def put_in_its_place(kwargs: dict[str, Any]) -> None:
        if CALL.get() is not None and "litellm_trace_id" in kwargs:
            kwargs["litellm_completion_request"].setdefault("litellm_trace_id", kwargs["litellm_trace_id"])
            del kwargs["litellm_trace_id"]

    @functools.wraps(handler)
    async def handle(*args: Any, **kwargs: Any) -> Any:
        safely(put_in_its_place, kwargs, otherwise=None)
        return await handler(*args, **kwargs)

    return handle


def _looked_up(args: tuple[Any, ...], options: Mapping[str, Any]) -> tuple[Runtime, Call, str] | None:
    """The store, the running call and the id that is looked up, by the lookup's arguments.

    ``None``: there is no store, or the call is not a caller's. From 1.109 on a lookup may come before the call.
    """
    runtime, call, exchange = runtimes.current(), CALL.get(_NO_CALL_YET), running_exchange()
    if runtime is None or call is None or (exchange is None and isinstance(call, str)):
        return None
    response_id = args[0] if args else options["previous_response_id"]
    if isinstance(call, str):
        call = Call(exchange, {}, {}) if exchange is not None and exchange.follows(response_id) else None
    return (runtime, call, response_id) if call is not None else None


def _looks_up_first(form: Form, lookup: AsyncFunction) -> AsyncFunction:
    @functools.wraps(lookup)
    async def look_up(*args: Any, **options: Any) -> Any:
        running = safely(_looked_up, args, options, otherwise=None)
        if running is None:
            return await lookup(*args, **options)
        served = await safely_await(look_before_upstream, *running, form, otherwise=None)
        if served is not None:
            return served
        given = await lookup(*args, **options)
        safely(note_upstreams, *running, given, otherwise=None)
        return given

    return look_up


# Decorates upstream's lookup of a conversation's messages: Redis first, then the lookup as it was.
get_session_from_redis = functools.partial(_looks_up_first, as_session)

# Decorates the lookup of releases from 1.109 on: what Redis has goes through all of upstream's later steps.
get_stored_turns_from_redis = functools.partial(_looks_up_first, as_stored_turns)


def note_rows(lookup: AsyncFunction) -> AsyncFunction:
    """Decorates upstream's reading of a conversation's spend logs: the caller's own, which say who took part in it."""

    @functools.wraps(lookup)
    async def look_up(*args: Any, **options: Any) -> Any:
        rows = await lookup(*args, **options)
        exchange, call = running_exchange(), CALL.get()
        if exchange is not None:
            nothing: Sequence[Mapping[str, Any]] = ()
            rows = safely(rows_of, rows, exchange.caller, otherwise=nothing)
        if call is not None:
            call.rows = rows
        return rows

    return look_up


def get_request_from_redis(handle_session: AsyncFunction) -> AsyncFunction:
    """Decorates the session step of releases before 1.75.2, which have no lookup of their own to decorate.

    Where the enterprise package is installed, ``handle_session`` puts its history before the request's messages.
    """

    @functools.wraps(handle_session)
    async def handle(*args: Any, **options: Any) -> Any:
        call = CALL.get()
        if call is None:
            return await handle_session(*args, **options)
        safely(_watch_enterprise, handle_session, otherwise=None)
        completion, own = call.completion, len(call.completion.get("messages") or ())

        async def history_alone(*_args: Any, **_options: Any) -> dict[str, Any]:
            messages = (await handle_session(*args, **options)).get("messages") or []
            before = len(messages) - own
            completion["messages"] = messages[before:]
            return {"messages": messages[:before], "litellm_session_id": completion.get("litellm_trace_id")}

        session = await get_session_from_redis(history_alone)(*args, **options)
        if session["messages"]:
            completion["messages"] = session["messages"] + completion["messages"]
            completion["litellm_trace_id"] = session["litellm_session_id"]
        return completion

    return handle


def _watch_enterprise(handle_session: Any) -> None:
    """The reading of rows is in another package there, which has no marked lines."""
    handler = handle_session.__globals__.get("_ENTERPRISE_ResponsesSessionHandler")
    name = "get_all_spend_logs_for_previous_response_id"
    lookup = getattr(handler, name, None)
    if lookup is not None and not hasattr(lookup, "__wrapped__"):
        setattr(handler, name, staticmethod(note_rows(lookup)))


def keep_answer(response: Any, completion: Any) -> None:
    """Before a plain reply goes back: the answer is kept for the outer door, and its id gets its place."""
    if (call := CALL.get()) is not None:
        safely(_keep_answer, call, response, completion, otherwise=None)


def _keep_answer(call: Call, response: Any, completion: Any) -> None:
    response.previous_response_id = call.exchange.previous_as_sent
    response.id = with_place(response.id, call.exchange.place, call.exchange.previous_id)
    call.take_answer(completion)


def store_stream_in_redis(anext_: AsyncFunction) -> AsyncFunction:
    """Decorates the stream's ``__anext__``: one id in all events, and the answer is kept for the outer door."""

    @functools.wraps(anext_)
    def next_event(*args: Any, **options: Any) -> Awaitable[Any]:  # no coroutine of its own: it would be one an event
        keeper = StreamKeeper.of(args[0]) if args else None
        return anext_(*args, **options) if keeper is None else keeper.next_event(anext_, *args, **options)

    return next_event


def note_provider_reply(reply: Any) -> None:
    """``reply``: an ``aiohttp.ClientResponse``. Upstream reads it and may not tell when it breaks off."""
    if (call := CALL.get()) is not None:
        safely(_note_provider_stream, call, reply, otherwise=None)


def _note_provider_stream(call: Call, reply: Any) -> None:
    # Not those of loggers and the like, which may go on in this context for ever.
    if "stream" in reply.content_type:
        call.provider_stream = reply


def history_is_whole() -> bool:
    """Whether the running request has a history that holds its tool calls already."""
    exchange = running_exchange()
    return exchange is not None and exchange.history is not None and exchange.history.is_ours


def without_known_calls(cache: Any) -> Any:
    """Upstream's in-process cache of tool calls: each caller finds its own, and nothing while a stored history has the
    calls already.
    """
    return OwnedCache(cache)
