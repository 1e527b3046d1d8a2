"""What an operation on Redis may cost its request: a budget, and nothing at all while Redis fails."""

import asyncio
import time
import traceback
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from .breaker import Breaker
from .free_time import TICK_SECONDS, FreeTime
from .link import Link
from .results import StoreError, StoreUnavailable
from .store import SessionStore

T = TypeVar("T")

# The time that a budget grows by with the bytes to move.
BYTES_PER_SECOND = 16_000_000

# An operation goes on when its request has given up, so that a slow connection gets made; but not for ever.
_GO_ON_SECONDS = 6.0

_LITTLE = 0.01  # of the budget's bytes


class Budget:
    """The seconds that a request waits for Redis: for a place, a connection, and all commands of one operation."""

    def __init__(self, seconds: float):
        self.seconds = seconds
        self.is_large = False
        self.has_place = False
        self.is_judged = False
        self._little_bytes = _LITTLE * seconds * BYTES_PER_SECOND

    def add_bytes(self, size_bytes: int) -> None:
        self.seconds += size_bytes / BYTES_PER_SECOND
        # Then a late answer says something about the value and the network, not about Redis.
        self.is_large = self.is_large or size_bytes > self._little_bytes


class Guard:
    """Reading or storing, as one: operations, their breaker, how long they took.

    ``observe(seconds)`` is told of each operation that Redis answered. ``report(message)`` of each defect of ours.
    """

    def __init__(self, breaker: Breaker, observe: Callable[[float], None], report: Callable[[str], None]):
        self.breaker = breaker
        self._observe = observe
        self._report = report
        self._running: set[asyncio.Task[Any]] = set()

    async def run(
        self, link: Link, store: SessionStore, seconds: float, operation: Callable[[SessionStore, Budget], Awaitable[T]]
    ) -> T:
        """The result of ``operation``. Raises StoreError; StoreUnavailable after ``seconds`` and the bytes' time.

        While the breaker is open nobody waits: once in a while one operation goes on alone, and its end tells.
        """
        if not self.breaker.allows():
            raise StoreUnavailable("Redis did not answer before; it is asked again soon")
        is_probe = self.breaker.is_open
        budget = Budget(seconds)
        attempt = self._start(self._attempt(link, store, budget, operation))
        end = self._end_of(attempt, budget, link.free_time, is_probe)
        if is_probe:
            self._start(end)
            raise StoreUnavailable("Redis did not answer before; it is being asked again")
        return await end

    async def _end_of(self, attempt: "asyncio.Task[T]", budget: Budget, clock: FreeTime, is_probe: bool) -> T:
        try:
            await self._wait_for(attempt, budget, clock, is_probe)
        finally:  # Its request may have been left by the client.
            if not attempt.done():
                asyncio.get_running_loop().call_later(_GO_ON_SECONDS, attempt.cancel)
        if attempt.done():
            return attempt.result()
        if not budget.has_place:
            attempt.cancel()
            raise StoreUnavailable("no place was free in time")
        reason = f"no answer within {budget.seconds:g} s"
        if not budget.is_large:
            self._judge(budget, reason)
        raise StoreUnavailable(reason)

    async def _wait_for(self, attempt: "asyncio.Task[Any]", budget: Budget, clock: FreeTime, is_probe: bool) -> None:
        """Returns when ``attempt`` is done, its time is up, or others have found out that Redis does not answer."""
        with clock.running():
            started = clock.seconds
            while not attempt.done() and (is_probe or not self.breaker.is_open):
                left_seconds = started + budget.seconds - clock.seconds
                if left_seconds <= 0:
                    return
                await asyncio.wait({attempt}, timeout=max(left_seconds, TICK_SECONDS))

    async def _attempt(
        self, link: Link, store: SessionStore, budget: Budget, operation: Callable[[SessionStore, Budget], Awaitable[T]]
    ) -> T:
        async with link.places:
            budget.has_place = True
            started = time.monotonic()
            try:
                result = await operation(store, budget)
            except asyncio.CancelledError:
                link.replace_client()
                self._judge(budget, "no answer at all")
                raise StoreUnavailable("no answer at all") from None
            except StoreUnavailable as error:
                self._judge(budget, str(error))
                raise
            except StoreError:
                raise
            except Exception as error:
                kind = type(error).__name__
                self._report(
                    f"A defect of the fork ({kind} at {_last_frame_of_ours(error)}): a conversation was not kept."
                )
                raise StoreUnavailable(kind) from error
            self._observe(time.monotonic() - started)
            self._judge(budget, "")
            return result

    def _judge(self, budget: Budget, reason: str) -> None:
        """Tells the breaker, once an operation: what came after its request had given up says nothing new."""
        if budget.is_judged:
            return
        budget.is_judged = True
        if reason:
            self.breaker.failed(reason)
        else:
            self.breaker.succeeded()

    def _start(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        task = asyncio.ensure_future(work)
        self._running.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: "asyncio.Task[Any]") -> None:
        self._running.discard(task)
        # Fetched, else asyncio logs it with its text, which may be a message's.
        _ = task.cancelled() or task.exception()


def _last_frame_of_ours(error: Exception) -> str:
    frames = [(Path(frame.filename), frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    ours = [f"{file.name}:{line}" for file, line in frames if file.parent == Path(__file__).parent]
    return ours[-1] if ours else "an unknown place"
