"""Counting the tokens of a follow-up (``/v1/responses/input_tokens``, releases from 1.109 on), its history included."""

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from ..redis.defects import safely_await
from ..request.call import CALL, Call
from ..request.exchange import running_exchange
from ..request.lookup import begin


def count_with_redis(count: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Decorates the step that makes the chat request to be counted: its session handler finds what Redis has."""
    signature = inspect.signature(count)

    @functools.wraps(count)
    async def counted(*args: Any, **options: Any) -> Any:
        before = CALL.set(await safely_await(found_call, args, options, otherwise=None))
        try:
            return await count(*args, **options)
        finally:
            CALL.reset(before)

    async def found_call(args: tuple[Any, ...], options: dict[str, Any]) -> Call | None:
        exchange = running_exchange()
        if exchange is None:
            return None
        call = signature.bind(*args, **options).arguments
        await begin(exchange, call["responses_request"])
        return Call(exchange, {}, {})

    return counted
