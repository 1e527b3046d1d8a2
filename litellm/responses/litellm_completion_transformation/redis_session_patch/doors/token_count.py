"""Counting the tokens of a follow-up (``/v1/responses/input_tokens``, releases from 1.109 on), its history included."""

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from ..redis.defects import safely, safely_await
from ..request.call import CALL, NO_RESPONSE, Call
from ..request.exchange import running_exchange
from ..request.lookup import begin
from ..values.refusals import answer_of


def count_with_redis(count: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Decorates the step that makes the chat request to be counted: its session handler finds what Redis has."""
    signature = inspect.signature(count)

    @functools.wraps(count)
    async def counted(*args: Any, **options: Any) -> Any:
        bound = safely(functools.partial(signature.bind, *args, **options), otherwise=None)
        if bound is None:
            return await count(*args, **options)
        call = await safely_await(_found_call, bound, otherwise=None)
        if call is not None and call.exchange.refused is not None:
            raise _refusal(call.exchange.refused, call.exchange.conversation_as_sent or "")
        before = CALL.set(call)
        try:
            return await count(*bound.args, **bound.kwargs)
        finally:
            CALL.reset(before)

    return counted


async def _found_call(bound: inspect.BoundArguments) -> Call | None:
    exchange, given = running_exchange(), bound.arguments
    if exchange is None:
        return None
    request = given["responses_request"]
    await begin(exchange, request, holds=False)
    if exchange.is_after_ours:
        given["responses_request"] = {**request, "previous_response_id": NO_RESPONSE}
    return Call(exchange, {}, {})


def _refusal(code: str, what: str) -> Any:
    """The proxy's own error: nobody makes one of LiteLLM's here."""
    from litellm.proxy._types import ProxyException

    error = answer_of(code, f"id '{what}'")[2]["error"]
    return ProxyException(error["message"], error["type"], error["param"], 400, openai_code=code)
