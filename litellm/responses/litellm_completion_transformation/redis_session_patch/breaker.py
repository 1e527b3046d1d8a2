"""Says when Redis has failed so often that nobody is to wait for it."""

from collections.abc import Callable

FAILURES_TO_OPEN = 3


class Breaker:
    """Closed, until so many failures in a row; open, until a success.

    ``on_change(is_open, reason)`` is called once per state change.
    """

    def __init__(self, on_change: Callable[[bool, str], None]):
        self._on_change = on_change
        self._failures = 0
        self.last_reason = ""

    @property
    def is_open(self) -> bool:
        return self._failures >= FAILURES_TO_OPEN

    def succeeded(self) -> None:
        was_open, self._failures = self.is_open, 0
        if was_open:
            self._on_change(False, "")

    def failed(self, reason: str) -> None:
        self._failures += 1
        self.last_reason = reason
        if self._failures == FAILURES_TO_OPEN:
            self._on_change(True, reason)
