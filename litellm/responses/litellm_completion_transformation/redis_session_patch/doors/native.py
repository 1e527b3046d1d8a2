"""The door of models with a Responses endpoint of their own, where an operator wants their turns stored
(``REDIS_SESSION_PATCH_NATIVE``).

A follow-up goes where it was asked to go. A provider that holds the conversation gets its own id and the new input
alone, as without the fork; any other gets the conversation as items, for as much of it as it does not hold.
"""

import functools
import inspect
from collections.abc import Awaitable, Callable, Mapping
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any

from ..redis import runtime as runtimes
from ..redis.defects import report, safely, safely_await
from ..redis.runtime import Runtime
from ..redis.store import off_the_loop
from ..request.caller import is_of
from ..request.exchange import running_exchange
from ..request.items import fit_new
from ..request.lookup import count
from ..request.native import NativeCall, account_of
from ..request.streams import ATTRIBUTE, TERMINAL, TEXT
from ..values.ids import inner_id, item_place_of, with_place, wrapped_with_place
from ..values.refusals import NOT_FOUND, UNFINISHED, refuse
from ..values.results import Miss
from .background import until_ended

Handler = Callable[..., Awaitable[Any]]

_PARAMS = "response_api_optional_request_params"
_PREVIOUS = "previous_response_id"
# The statuses of refusals, and what they speak of: a response that the provider does not hold, and reasoning that the
# model cannot take.
_REFUSALS = (400, 403, 404, 409, 410, 422)
_ABOUT_RESPONSE = ("previous_response", "previous response")
_ABOUT_REASONING = ("reasoning input item", "of type 'reasoning'", "'reasoning' item", "encrypted content")
_REFUSED = {Miss.DELETED.value: NOT_FOUND, Miss.DENIED.value: NOT_FOUND, Miss.UNFINISHED.value: UNFINISHED}


def remember_native_request(handler: Handler) -> Handler:
    """Decorates LiteLLM's call of a provider's Responses endpoint."""
    signature = inspect.signature(handler)

    @functools.wraps(handler)
    async def handle(*args: Any, **kwargs: Any) -> Any:
        asked = await safely_await(_asked, signature, args, kwargs, otherwise=None)
        if asked is None:
            return await handler(*args, **kwargs)
        while True:
            try:
                reply = await until_ended(handler(*asked.bound.args, **asked.bound.kwargs))
            except Exception as error:
                if not await safely_await(_is_to_be_asked_again, asked, error, otherwise=False):
                    raise
            else:
                safely(_keep, asked, reply, otherwise=None)
                return reply

    return handle


@dataclass(frozen=True)
class _Asked:
    """``bound``: what the handler is called with; ``own_input``: what LiteLLM gave it as input."""

    runtime: Runtime
    call: NativeCall
    bound: inspect.BoundArguments
    own_input: Any

    @property
    def params(self) -> Mapping[str, Any]:
        params: Mapping[str, Any] = self.bound.arguments[_PARAMS]
        return params


async def _asked(signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Asked | None:
    """``None``: it is none of ours. Raises LiteLLM's error for a response that was deleted, or is somebody else's."""
    runtime, exchange = runtimes.current(), running_exchange()
    if runtime is None or exchange is None or not (runtime.settings.native or exchange.is_in_background):
        return None
    bound = signature.bind(*args, **kwargs)
    given = bound.arguments
    if not is_of(exchange.caller, given.get("litellm_metadata")):
        return None
    if not exchange.is_taken:
        raise LookupError("What the client said is not known.")
    if exchange.is_in_background:  # of this proxy, not of the provider, too
        given[_PARAMS] = {name: value for name, value in given[_PARAMS].items() if name != "background"}
    provider, params = given["custom_llm_provider"], given["litellm_params"]
    known = {**dict(params), "litellm_logging_obj": given.get("logging_obj"), **given}
    own_input = given["input"]
    if isinstance(own_input, list) and any(map(_is_ours, own_input)):  # It was referred to by its id.
        own_input = given["input"] = fit_new(own_input)
    asked = _Asked(runtime, NativeCall(exchange, known, provider, account_of(provider, params)), bound, own_input)
    if exchange.refused is not None:  # One of the provider's own, too: LiteLLM would leave it out without a word.
        _refuse(asked, exchange.refused, exchange.conversation_as_sent or "")
    asked.call.go_on_after_tools(own_input)
    exchange.calls.append(asked.call)
    previous = asked.params.get(_PREVIOUS)
    if (exchange.is_after_ours and previous is None) or exchange.follows(previous or ""):
        if (code := _REFUSED.get(str(exchange.looked_up))) is not None:
            count(runtime, exchange, str(exchange.looked_up))
            _refuse(asked, code)
        await _put_history_into(asked, *asked.call.goes_on_from())
    return asked


def _is_ours(item: Any) -> bool:
    return isinstance(item, dict) and item_place_of(str(item.get("id"))) is not None


def _refuse(asked: _Asked, code: str, what: str = "") -> None:
    try:
        refuse(code, str(asked.bound.arguments.get("model")), asked.call.provider, what)
    except Exception as error:
        asked.call.exchange.refusal = error
        raise


async def _put_history_into(asked: _Asked, own_id: str | None, start: int) -> None:
    """What the provider does not hold; all, where ``own_id`` is ``None``."""
    call, given = asked.call, asked.bound.arguments
    turns = call.exchange.turns
    call.is_held = start == len(turns)  # As it is where Redis knows nothing: the provider may.
    call.is_served = True
    if not turns:
        return
    params = {**asked.params, _PREVIOUS: own_id}
    if own_id is None:
        del params[_PREVIOUS]
    if not call.is_held:
        items = call.items_after, start, asked.own_input
        size = call.exchange.history_size
        given["input"] = _as_litellm_knows_them(await off_the_loop(size, copy_context().run, *items))
    given[_PARAMS] = params


def _as_litellm_knows_them(items: list[Any]) -> Any:
    """Reasoning as its provider gave it: LiteLLM may have put a deployment's name into what its client got."""
    from litellm.responses.utils import ResponsesAPIRequestUtils

    restore = getattr(ResponsesAPIRequestUtils, "restore_encrypted_content_item_ids_in_input", None)
    return items if restore is None else restore(items)


async def _is_to_be_asked_again(asked: _Asked, error: Exception) -> bool:
    """Whether the provider refuses what it was to go on from, and is now to be sent all of it: it does not hold the
    response any more; or, without reasoning, it does not take what another model thought.
    """
    call, own_id = asked.call, asked.params.get(_PREVIOUS)
    if getattr(error, "status_code", None) not in _REFUSALS or not call.exchange.turns or not call.is_served:
        return False
    text = str(getattr(error, "message", error)).lower().replace("encrypted_content", "encrypted content")
    if any(word in text for word in _ABOUT_REASONING) and call.takes_reasoning:
        call.takes_reasoning = False
    elif not own_id or not any(word in text for word in (*_ABOUT_RESPONSE, own_id.lower())):
        return False
    await _put_history_into(asked, None, 0)
    return True


def _keep(asked: _Asked, reply: Any) -> None:
    if asked.call.is_served:
        count(asked.runtime, asked.call.exchange, "held" if asked.call.is_held else "carried")
    if hasattr(reply, "__anext__"):
        setattr(reply, ATTRIBUTE, NativeStream(asked.call))
        return
    call, own_id = asked.call, reply.id
    call.take_answer(reply, own_id)
    reply.previous_response_id = call.exchange.previous_as_sent
    if (conversation := call.exchange.conversation_shown) is not None:
        reply.conversation = conversation
    if call.has_place:
        reply.id = with_place(own_id, call.exchange.place)


@dataclass(frozen=True)
class NativeStream:
    """One stream of a provider's Responses endpoint: one id in all events, and what it answers is kept."""

    call: NativeCall

    async def next_event(self, anext_: Handler, stream: Any, *args: Any, **options: Any) -> Any:
        event = await anext_(stream, *args, **options)
        try:
            fields = event.__dict__
            if getattr(response := fields.get("response"), "id", None):
                self._look_at(event, response)
            elif event.type == TEXT:
                self.call.streamed += event.delta
        except Exception as error:
            report(error)
        return event

    def _look_at(self, event: Any, response: Any) -> None:
        call, exchange = self.call, self.call.exchange
        if getattr(event.type, "value", event.type) in TERMINAL:
            call.take_answer(response, inner_id(response.id))
        response.previous_response_id = exchange.previous_as_sent
        if exchange.conversation_shown is not None:
            response.conversation = exchange.conversation_shown
        if exchange.shown_id is None and call.has_place:
            model_id = ((call.kwargs.get("litellm_metadata") or {}).get("model_info") or {}).get("id")
            exchange.shown_id = wrapped_with_place(response.id, exchange.place, None, call.provider, model_id)
        response.id = exchange.shown_id or response.id
