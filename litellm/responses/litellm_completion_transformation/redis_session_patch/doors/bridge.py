"""The inner door: what the marked lines in LiteLLM's bridge call.

Each wrapper passes on what it is given as it is given, and no failure of the fork reaches the client (``defects``).
Refusals do (``refusals``): of ``conversation``, of a deleted response, and of one that is unknown or cannot be looked
up, where the operator wants that (``REDIS_SESSION_PATCH_ON_MISS=error``).
"""

import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import copy_context
from typing import Any

from ..api.summaries import ask_for_summary, let_no_tool_be_called
from ..redis import runtime as runtimes
from ..redis.defects import safely, safely_await
from ..redis.runtime import Runtime
from ..redis.store import off_the_loop
from ..request.call import CALL, NO_RESPONSE, Call, call_of
from ..request.caller import is_of, names_a_caller
from ..request.database import rows_of
from ..request.exchange import running_exchange
from ..request.items import input_items, referred_to
from ..request.lookup import note_upstreams, serve
from ..request.response_cache import is_cached_as_chat as is_cached_as_chat
from ..request.streams import ATTRIBUTE, StreamKeeper
from ..request.tool_calls import OwnedCache
from ..request.window import truncate
from ..values.ids import with_place
from ..values.refusals import CANNOT_ASK_CONVERSATION, CANNOT_ASK_ITEM, ITEM, ITEM_UNSTORED, is_refusal, refuse
from .background import until_ended
from .leaving import store_session_in_redis as store_session_in_redis
from .token_count import count_with_redis as count_with_redis
from .websockets import leave_history_to_redis as leave_history_to_redis
from .websockets import leave_history_to_the_connection

AsyncFunction = Callable[..., Awaitable[Any]]

# What upstream's session handler is asked with.
_ASKED = ("previous_response_id", "litellm_completion_request")


def remember_request(handler: AsyncFunction) -> AsyncFunction:
    """Decorates the bridge's handler: the history goes in, and what the model answers is kept."""

    @functools.wraps(handler)
    async def handle(*args: Any, **kwargs: Any) -> Any:
        try:
            known = safely(_call_of, kwargs, otherwise=None)
        except Exception as error:  # a refusal
            if (exchange := running_exchange()) is not None:
                exchange.refusal = error
            raise
        if known is None and names_a_caller(kwargs.get("litellm_metadata")):
            leave_history_to_the_connection()
        before = CALL.set(known[1] if known else None)
        try:
            if known and known[1].exchange.is_compacting:
                safely(ask_for_summary, *known, otherwise=None)
            if known and not kwargs["responses_api_request"].get("previous_response_id"):
                await _before_the_model(known[1])
            reply = await until_ended(handler(*args, **kwargs))
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
    call.completion.pop("conversation", None)
    # Over a WebSocket upstream does not hand it on; what the client said is in the exchange.
    is_named = kwargs.pop("conversation", None) is not None
    if exchange.refused is not None or (is_named and exchange.conversation_shown is None):
        code, what = exchange.refused or CANNOT_ASK_CONVERSATION, exchange.conversation_as_sent or ""
        refuse(code, str(call.completion.get("model") or ""), call.provider, what)
    for item_id in filter(None, map(referred_to, input_items(kwargs["request_input"]))):
        code = ITEM if exchange.is_to_be_stored else ITEM_UNSTORED
        code = CANNOT_ASK_ITEM if exchange.is_item_unavailable else code
        refuse(code, str(call.completion.get("model") or ""), call.provider, item_id)
    exchange.calls.append(call)
    # Up to 1.72 LiteLLM fails where the call has a trace id and the conversation, too. Later the conversation's wins.
    if "litellm_trace_id" in kwargs:
        call.completion.setdefault("litellm_trace_id", kwargs.pop("litellm_trace_id"))
    kwargs["responses_api_request"] = request = {**kwargs["responses_api_request"]}
    if (call.rounds or exchange.is_after_ours) and not request.get("previous_response_id"):
        request["previous_response_id"] = NO_RESPONSE
    return runtime, call


def get_session_from_redis(handle_session: AsyncFunction) -> AsyncFunction:
    """Decorates upstream's session handler, which puts the history before a request's messages: Redis first, then as
    it was.
    """

    @functools.wraps(handle_session)
    async def handle(*args: Any, **options: Any) -> Any:
        completion = await safely_await(_serve, args, options, otherwise=None)
        if completion is None:
            safely(_watch_enterprise, handle_session, otherwise=None)
            completion = await handle_session(*args, **options)
            safely(_note_upstreams, otherwise=None)
        if (call := CALL.get()) is not None:
            call.completion = completion
            await _before_the_model(call)
        return completion

    return handle


async def _before_the_model(call: Call) -> None:
    """When nothing else may refuse. Raises LiteLLM's error for what may not run in the background."""
    if call.exchange.is_compacting:
        safely(let_no_tool_be_called, call, otherwise=None)
    if call.exchange.truncation == "auto":
        await safely_await(_truncate, call, otherwise=None)
    if (job := call.exchange.job) is not None and (runtime := runtimes.current()) is not None:
        await safely_await(job.take, runtime, call, otherwise=None)


async def _truncate(call: Call) -> None:
    await off_the_loop(call.exchange.history_size + call.exchange.size_bytes, copy_context().run, truncate, call)


async def _serve(args: tuple[Any, ...], options: Mapping[str, Any]) -> Any:
    runtime, call = runtimes.current(), CALL.get()
    if runtime is None or call is None:
        return None
    asked = {**dict(zip(_ASKED, args, strict=False)), **options}
    call.after, call.completion = (asked[name] for name in _ASKED)
    call.summarizes = bool(options.get("input_replaces_history"))  # from 1.109
    return await serve(runtime, call)


def _note_upstreams() -> None:
    runtime, call = runtimes.current(), CALL.get()
    if runtime is not None and call is not None:
        note_upstreams(runtime, call)


def get_stored_turns_from_redis(lookup: AsyncFunction) -> AsyncFunction:
    """Decorates the lookup that finds tools which a client's earlier searches loaded (from 1.109)."""

    @functools.wraps(lookup)
    async def look_up(*args: Any, **options: Any) -> Any:
        stored = safely(_stored_turns, args, options, otherwise=None)
        return await lookup(*args, **options) if stored is None else stored

    return look_up


def _stored_turns(args: tuple[Any, ...], options: Mapping[str, Any]) -> Any:
    exchange, response_id = running_exchange(), args[0] if args else options["previous_response_id"]
    if exchange is None or exchange.history is None or not (exchange.history.is_ours and exchange.follows(response_id)):
        return None
    from litellm.responses.litellm_completion_transformation.session_handler import StoredTurns

    requests = tuple({"input": turn.items} for turn in exchange.turns)
    return StoredTurns(spend_logs=({},) * len(requests), proxy_server_requests=requests)


def note_history(lookup: AsyncFunction) -> AsyncFunction:
    """Decorates upstream's lookup of a conversation: what it finds is stored with the answer."""

    @functools.wraps(lookup)
    async def look_up(*args: Any, **options: Any) -> Any:
        session = await lookup(*args, **options)
        if (call := CALL.get()) is not None:
            call.found = session
        return session

    return look_up


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


def _watch_enterprise(handle_session: Any) -> None:
    """until 1.75.2: both lookups are in another package, which has no marked lines."""
    handler = handle_session.__globals__.get("_ENTERPRISE_ResponsesSessionHandler")
    for name, note in _ENTERPRISE_LOOKUPS.items():
        lookup = getattr(handler, name, None)
        if lookup is not None and not hasattr(lookup, "__wrapped__"):
            setattr(handler, name, staticmethod(note(lookup)))


_ENTERPRISE_LOOKUPS = {
    "get_all_spend_logs_for_previous_response_id": note_rows,
    "get_chat_completion_message_history_for_previous_response_id": note_history,
}


def keep_answer(response: Any, completion: Any) -> None:
    """Before a plain reply goes back: the answer is kept for the outer door, and its id gets its place."""
    if (call := CALL.get()) is not None:
        safely(_keep_answer, call, response, completion, otherwise=None)


def _keep_answer(call: Call, response: Any, completion: Any) -> None:
    response.previous_response_id = call.exchange.previous_as_sent
    if (conversation := call.exchange.conversation_shown) is not None:
        response.conversation = conversation
    response.id = with_place(response.id, call.exchange.place, call.exchange.previous_id)
    call.take_answer(completion)
    call.exchange.put_places_into(response.output or (), call.items_before)


def store_stream_in_redis(anext_: AsyncFunction) -> AsyncFunction:
    """Decorates the stream's ``__anext__``: one id in all events, and the answer is kept for the outer door."""

    @functools.wraps(anext_)
    def next_event(*args: Any, **options: Any) -> Awaitable[Any]:  # no coroutine of its own: it would be one an event
        keeper = getattr(args[0], ATTRIBUTE, None) if args else None
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


def without_known_calls(cache: Any) -> Any:
    """Upstream's in-process cache of tool calls: each caller finds its own."""
    return OwnedCache(cache)
