"""What fails of ours must not fail a request: it is counted, logged once a minute, and LiteLLM goes on without us.

Errors that a client is meant to see (``refusals``) go through.
"""

import contextlib
import logging
import time
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from .rare_log import RareLog
from .refusals import is_refusal

T = TypeVar("T")

logger = logging.getLogger("litellm.redis_session_patch")

_rare_log = RareLog(logger, time.monotonic)
_count = 0
_also_count: Callable[[], None] | None = None


def safely(function: Callable[..., T], *args: Any, otherwise: T) -> T:
    """What ``function`` returns; ``otherwise`` where it raises. Raises refusals."""
    try:
        return function(*args)
    except Exception as error:
        report(error)
        return otherwise


async def safely_await(function: Callable[..., Awaitable[T]], *args: Any, otherwise: T) -> T:
    """What ``function`` returns; ``otherwise`` where it raises. Raises refusals."""
    try:
        return await function(*args)
    except Exception as error:
        report(error)
        return otherwise


async def around(upstream: Callable[[], Awaitable[Any]], ours: Callable[..., Awaitable[Any]], *args: Any) -> Any:
    """What ``ours`` returns, which gets ``args`` and LiteLLM's own step; where it fails, what that step returns.

    The step is never done twice; what it raises goes through. Raises refusals.
    """
    step = _Step(upstream)
    try:
        return await ours(*args, step)
    except Exception as error:
        if step.error is None:
            report(error)
    if step.error is not None:
        raise step.error
    return step.result if step.is_done else await upstream()


class _Step:
    """LiteLLM's own step, and how it ended."""

    def __init__(self, run: Callable[[], Awaitable[Any]]):
        self._run = run
        self.is_done = False
        self.result: Any = None
        self.error: Exception | None = None

    async def __call__(self) -> Any:
        try:
            self.result = await self._run()
        except Exception as error:
            self.error = error
            raise
        self.is_done = True
        return self.result


def report(error: Exception) -> None:
    """Counts and logs a failure of ours. Raises ``error`` if a client is meant to see it."""
    global _count
    if is_refusal(getattr(error, "code", None)):
        raise error
    _count += 1
    if _also_count is not None:
        with contextlib.suppress(Exception):
            _also_count()
    # The error's class and place alone: its text may quote a message.
    what = f"{type(error).__name__} at {place_of(error)}"
    _rare_log.warn(what, f"A defect of the fork ({what}): LiteLLM goes on without it.")


def counted() -> int:
    """How many failures of ours this process has seen."""
    return _count


def count_with(also_count: Callable[[], None]) -> None:
    """``also_count`` is called at each further failure of ours."""
    global _also_count
    _also_count = also_count


def place_of(error: BaseException) -> str:
    """File and line of the last call of ours that ``error`` came through."""
    frames = [(Path(frame.filename), frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    ours = [f"{file.name}:{line}" for file, line in frames if file.parent == Path(__file__).parent]
    return ours[-1] if ours else "an unknown place"
