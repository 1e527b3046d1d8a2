"""LiteLLM's in-process cache of tool calls, by which it puts a model's call before its result.

It is keyed by the call's id alone, and some models number their calls anew in every reply. So an entry is kept under
its owner: nobody's request gets another's call.
"""

from collections.abc import Callable
from typing import Any

from ..redis import runtime as runtimes
from ..redis.defects import safely
from .exchange import running_exchange


class OwnedCache:
    """``cache`` as the running request may see it."""

    def __init__(self, cache: Any):
        self._cache = cache

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)

    def get_cache(self, *args: Any, **options: Any) -> Any:
        return _call(self._cache.get_cache, args, options)

    def set_cache(self, *args: Any, **options: Any) -> Any:
        return _call(self._cache.set_cache, args, options)


def _call(method: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    exchange = running_exchange()
    if exchange is None and safely(runtimes.current, otherwise=None) is None:
        return method(*args, **options)  # Without a store everything is as in LiteLLM.
    # Of a request that came by no route of ours the calls would be everybody's.
    identity = exchange.caller.identity if exchange is not None else None
    if identity is None:
        return None
    if "key" in options:
        return method(*args, **{**options, "key": f"{identity} {options['key']}"})
    return method(f"{identity} {args[0]}", *args[1:], **options) if args else None
