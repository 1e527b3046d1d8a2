"""Counting the tokens of a follow-up (``/v1/responses/input_tokens``, releases from 1.109 on), its history included."""

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from . import runtime as runtimes
from .caller import CALLER
from .defects import safely_await
from .lookup import look_ahead
from .request import CURRENT, Request


def count_with_redis(count: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Decorates the step that makes the chat request to be counted: its lookup finds what Redis has."""
    signature = inspect.signature(count)

    @functools.wraps(count)
    async def counted(*args: Any, **options: Any) -> Any:
        before = CURRENT.set(await safely_await(found_request, args, options, otherwise=None))
        try:
            return await count(*args, **options)
        finally:
            CURRENT.reset(before)

    async def found_request(args: tuple[Any, ...], options: dict[str, Any]) -> Request | None:
        runtime, caller = runtimes.current(), CALLER.get()
        if runtime is None or caller is None:
            return None
        call = signature.bind(*args, **options).arguments
        params = call["responses_request"]
        response_id = params.get("previous_response_id")
        if not isinstance(response_id, str):
            return None
        target = {"model": call["model"], "custom_llm_provider": call["custom_llm_provider"]}
        request = Request(caller, params.get("input"), params, target, call={})
        await look_ahead(runtime, request, response_id)
        return request

    return counted
