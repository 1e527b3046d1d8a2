"""Stops asking a Redis that does not answer, and probes it again."""

from collections.abc import Callable

FAILURES_TO_OPEN = 3
PROBE_AFTER_SECONDS = 2.0


class Breaker:
    """Closed: every call goes through. Open: none does, but one probe each ``PROBE_AFTER_SECONDS``.

    ``clock`` gives seconds and never goes back. ``on_change(is_open, reason)`` is called once per state change.
    """

    def __init__(self, clock: Callable[[], float], on_change: Callable[[bool, str], None]):
        self._clock = clock
        self._on_change = on_change
        self._failures = 0
        self._probe_at: float | None = None
        self.last_reason = ""

    @property
    def is_open(self) -> bool:
        return self._probe_at is not None

    def allows(self) -> bool:
        if self._probe_at is None:
            return True
        now = self._clock()
        if now < self._probe_at:
            return False
        # Others wait until this probe has told how it went.
        self._probe_at = now + PROBE_AFTER_SECONDS
        return True

    def succeeded(self) -> None:
        self._failures = 0
        if self._probe_at is not None:
            self._probe_at = None
            self._on_change(False, "")

    def failed(self, reason: str) -> None:
        self._failures += 1
        self.last_reason = reason
        if self._probe_at is None and self._failures >= FAILURES_TO_OPEN:
            self._probe_at = self._clock() + PROBE_AFTER_SECONDS
            self._on_change(True, reason)
