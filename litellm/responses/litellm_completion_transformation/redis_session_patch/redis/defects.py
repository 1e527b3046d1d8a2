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

from ..values.refusals import is_refusal

T = TypeVar("T")

logger = logging.getLogger("litellm.redis_session_patch")

SECONDS_BETWEEN_LINES = 60.0


class RareLog:
    """Warnings that many requests may cause. ``clock`` gives seconds and never goes back."""

    def __init__(self, logger: logging.Logger, clock: Callable[[], float] = time.monotonic):
        self._logger, self._clock = logger, clock
        self._next_line_at: dict[str, float] = {}
        self._silent: dict[str, int] = {}

    def warn(self, kind: str, message: str) -> None:
        """Logs ``message`` unless its ``kind`` has had a line within a minute; the next line says how many had none."""
        now = self._clock()
        if now < self._next_line_at.get(kind, now):
            self._silent[kind] = self._silent.get(kind, 0) + 1
            return
        self._next_line_at[kind] = now + SECONDS_BETWEEN_LINES
        silent = self._silent.pop(kind, 0)
        more = f" ({silent} more of this kind since the last such line.)" if silent else ""
        self._logger.warning("%s%s", message, more, stacklevel=2)  # named in the line: who warns


_rare_log = RareLog(logger)
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


def report(error: Exception) -> None:
    """Counts and logs a failure of ours. Raises ``error`` if a client is meant to see it."""
    global _count
    if is_refusal(getattr(error, "code", None)):
        raise error
    _count += 1
    if _also_count is not None:
        with contextlib.suppress(Exception):
            _also_count()
    # The error's class and line alone: its text may quote a message.
    what = f"{type(error).__name__} at {line_of(error)}"
    _rare_log.warn(what, f"A defect of the fork ({what}): LiteLLM goes on without it.")


def counted() -> int:
    """How many failures of ours this process has seen."""
    return _count


def count_with(also_count: Callable[[], None]) -> None:
    """``also_count`` is called at each further failure of ours."""
    global _also_count
    _also_count = also_count


def line_of(error: BaseException) -> str:
    """File and line of the last call of ours that ``error`` came through."""
    frames = [(Path(frame.filename), frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    ours = [f"{file.name}:{line}" for file, line in frames if Path(__file__).parents[1] in file.parents]
    return ours[-1] if ours else "an unknown line"
