"""LiteLLM's in-process cache of tool calls, by which it puts a model's call before its result.

It is keyed by the call's id alone, and some models number their calls anew in every reply. So an entry is kept under
its owner: nobody's request gets another's call.
"""

from collections.abc import Callable
from typing import Any

from .owner import Owner


class OwnedCache:
    """``cache`` as each caller may see it.

    ``caller`` gives who asks; of one of whom nothing is known nothing is kept. ``None``: everything is as in LiteLLM.
    ``is_silent``: whether the running request must find nothing.
    """

    def __init__(self, cache: Any, caller: Callable[[], Owner | None], is_silent: Callable[[], bool]):
        self._cache = cache
        self._caller = caller
        self._is_silent = is_silent

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)

    def get_cache(self, *args: Any, **options: Any) -> Any:
        return None if self._is_silent() else self._call(self._cache.get_cache, args, options)

    def set_cache(self, *args: Any, **options: Any) -> Any:
        return self._call(self._cache.set_cache, args, options)

    def _call(self, method: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        caller = self._caller()
        if caller is None:
            return method(*args, **options)
        if caller.identity is None:
            return None
        if "key" in options:
            return method(*args, **{**options, "key": f"{caller.identity} {options['key']}"})
        return method(f"{caller.identity} {args[0]}", *args[1:], **options) if args else None
