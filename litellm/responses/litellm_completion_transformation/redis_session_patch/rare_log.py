"""Warnings that many requests may cause, but that are logged once a minute."""

import logging
from collections.abc import Callable

SECONDS_BETWEEN_LINES = 60.0


class RareLog:
    """``clock`` gives seconds and never goes back."""

    def __init__(self, logger: logging.Logger, clock: Callable[[], float]):
        self._logger = logger
        self._clock = clock
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
        self._logger.warning("%s%s", message, more)
