"""Counting the tokens of a follow-up (``/v1/responses/input_tokens``, releases from 1.109 on), its history included."""

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from ..redis.defects import safely_await
from ..request.call import CALL, NO_RESPONSE, Call
from ..request.exchange import running_exchange
from ..request.lookup import begin
from ..values.refusals import refuse


def count_with_redis(count: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Decorates the step that makes the chat request to be counted: its session handler finds what Redis has."""
    signature = inspect.signature(count)

    @functools.wraps(count)
    async def counted(*args: Any, **options: Any) -> Any:
        bound = signature.bind(*args, **options)
        before = CALL.set(await safely_await(_found_call, bound, otherwise=None))
        try:
            return await count(*bound.args, **bound.kwargs)
        finally:
            CALL.reset(before)

    return counted


async def _found_call(bound: inspect.BoundArguments) -> Call | None:
    """Raises LiteLLM's error for a conversation object that is not there."""
    exchange, given = running_exchange(), bound.arguments
    if exchange is None:
        return None
    request = given["responses_request"]
    await begin(exchange, request, holds=False)
    if exchange.refused is not None:
        what = exchange.conversation_as_sent or ""
        refuse(exchange.refused, str(given.get("model")), given.get("custom_llm_provider"), what)
    if exchange.conversation_shown is not None and exchange.chain.turns:
        given["responses_request"] = {**request, "previous_response_id": NO_RESPONSE}
    return Call(exchange, {}, {})
