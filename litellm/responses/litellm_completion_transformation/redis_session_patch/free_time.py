"""How long an event loop was free to take what Redis had answered: while it was busy, nobody waited for Redis."""

import asyncio
import contextlib
import time
from collections.abc import Iterator

TICK_SECONDS = 0.001

# A turn of the loop counts for no more, however long it was, so that half a second is 250 turns at least. An operation
# takes 10 to 20 of them, and 82 with a Cluster's first connections; the last of 200 that came at once has waited 150
# for a place. One connection by TLS can keep a loop busy for 20 ms.
_MOST_SECONDS_OF_A_TURN = 0.002


class FreeTime:
    """Of one event loop. ``seconds`` grows while somebody waits."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._waiting = 0
        self._ticked_at = 0.0
        self._next: asyncio.TimerHandle | None = None

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        self._waiting += 1
        if self._next is None:
            self._start()
        try:
            yield
        finally:
            self._waiting -= 1

    def _start(self) -> None:
        self._ticked_at = time.monotonic()
        self._next = asyncio.get_running_loop().call_later(TICK_SECONDS, self._tick)

    def _tick(self) -> None:
        self.seconds += min(time.monotonic() - self._ticked_at, _MOST_SECONDS_OF_A_TURN)
        self._next = None
        if self._waiting:
            self._start()
