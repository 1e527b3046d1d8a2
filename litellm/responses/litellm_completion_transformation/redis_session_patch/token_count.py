"""Counting the tokens of a follow-up (``/v1/responses/input_tokens``, releases from 1.109 on), its history included."""

import functools
import inspect
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

from . import runtime as runtimes
from .lookup import look_ahead
from .owner import Owner, owner_of
from .request import CURRENT, Request

# Upstream does not tell the counting step who asks.
_CALLER: ContextVar[Owner | None] = ContextVar("redis_session_patch_caller", default=None)


def remember_caller(user_api_key: Any) -> None:
    """``user_api_key``: the proxy's ``UserAPIKeyAuth`` of the running request."""
    if runtimes.current() is not None:
        from litellm.proxy.litellm_pre_call_utils import LiteLLMProxyRequestSetup

        _CALLER.set(owner_of(LiteLLMProxyRequestSetup.get_sanitized_user_information_from_key(user_api_key)))


def count_with_redis(count: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Decorates the step that makes the chat request to be counted: its lookup finds what Redis has."""
    signature = inspect.signature(count)

    @functools.wraps(count)
    async def counted(*args: Any, **options: Any) -> Any:
        runtime, caller = runtimes.current(), _CALLER.get()
        call = signature.bind(*args, **options).arguments
        params = call["responses_request"]
        response_id = params.get("previous_response_id")
        if runtime is None or caller is None or not isinstance(response_id, str):
            return await count(*args, **options)
        target = {"model": call["model"], "custom_llm_provider": call["custom_llm_provider"]}
        request = Request(caller, params.get("input"), params, target, call={})
        await look_ahead(runtime, request, response_id)
        before = CURRENT.set(request)
        try:
            return await count(*args, **options)
        finally:
            CURRENT.reset(before)

    return counted
