"""What an operation on Redis may cost its request: a budget, and nothing at all while Redis fails.

Then a timer asks Redis, in the background, until it works again.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, TypeVar
from weakref import WeakKeyDictionary, WeakSet

from .breaker import Breaker
from .free_time import TICK_SECONDS, FreeTime
from .link import Link
from .results import StoreError, StoreUnavailable
from .store import Call, SessionStore

T = TypeVar("T")

# The time that a budget grows by with the bytes to move.
BYTES_PER_SECOND = 16_000_000

# An operation goes on when its request has given up, so that a slow connection gets made; but not for ever.
_GO_ON_SECONDS = 6.0

_LITTLE = 0.01  # of the budget's bytes

# An unanswered question takes half a second more, by the default timeout: so a Redis that is back is used again within
# three seconds, also by a busy machine.
ASK_AFTER_SECONDS = 1.0


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

    ``seconds``: the budget of an operation without its bytes. ``question(call)`` asks Redis, by a link's ``call``, for
    what the operations ask; while the breaker is open a timer does it. ``observe(seconds)`` is told of each operation
    that Redis answered. ``report(error)`` of each defect of ours.
    """

    def __init__(
        self,
        breaker: Breaker,
        seconds: float,
        question: Callable[[Call], Awaitable[None]],
        observe: Callable[[float], None],
        report: Callable[[Exception], None],
    ):
        self.breaker = breaker
        self.seconds = seconds
        self.is_used = True  # else no timer asks: nobody waits for the answer
        self._question = question
        self._observe = observe
        self._report = report
        self._running: set[asyncio.Task[Any]] = set()
        self._late: WeakKeyDictionary[asyncio.Task[Any], Budget] = WeakKeyDictionary()  # their requests have given up
        self._asking: WeakSet[Link] = WeakSet()

    async def run(
        self, link: Link, store: SessionStore, operation: Callable[[SessionStore, Budget], Awaitable[T]]
    ) -> T:
        """The result of ``operation``. Raises StoreError; StoreUnavailable after the budget, at once while the breaker
        is open.
        """
        if self.breaker.is_open:
            self._ask_later(link)  # The event loop that it opened in may have ended.
            raise StoreUnavailable("Redis did not answer before; it is asked again soon")
        budget = Budget(self.seconds)
        return await self._end_of(self._start(self._attempt(link, store, budget, operation)), budget, link)

    def _ask_later(self, link: Link) -> None:
        """Starts the timer of this event loop, unless it runs. A task that sleeps would outlive some loops."""
        if self.is_used and link not in self._asking:
            self._asking.add(link)
            asyncio.get_running_loop().call_later(ASK_AFTER_SECONDS, lambda: self._start(self._ask(link)))

    async def _ask(self, link: Link) -> None:
        """Takes no place: operations that Redis never answers may have them all."""
        budget = Budget(self.seconds)
        budget.has_place = True
        try:
            if self.breaker.is_open and self.is_used:
                question = partial(self._question, link.call)
                await self._end_of(self._start(self._judged(link, budget, question)), budget, link)
                self._end_late_ones()
        except StoreError:
            pass  # The breaker has been told.
        finally:
            self._asking.discard(link)
        if self.breaker.is_open:
            self._ask_later(link)

    def _end_late_ones(self) -> None:
        """Redis has answered what was asked later, so it will not answer these, and they need not keep their places."""
        loop = asyncio.get_running_loop()
        for attempt, budget in list(self._late.items()):
            if attempt.get_loop() is loop:
                budget.is_judged = True
                attempt.cancel()

    async def _end_of(self, attempt: "asyncio.Task[T]", budget: Budget, link: Link) -> T:
        try:
            await self._wait_for(attempt, budget, link.free_time)
        finally:  # Its request may have been left by the client.
            if not attempt.done():
                self._late[attempt] = budget
                asyncio.get_running_loop().call_later(_GO_ON_SECONDS, attempt.cancel)
        if attempt.done():
            return attempt.result()
        if not budget.has_place:
            attempt.cancel()
            raise StoreUnavailable("no place was free in time")
        reason = f"no answer within {budget.seconds:g} s"
        if not budget.is_large:
            self._judge(link, budget, reason)
        raise StoreUnavailable(reason)

    async def _wait_for(self, attempt: "asyncio.Task[Any]", budget: Budget, clock: FreeTime) -> None:
        """Returns when ``attempt`` is done, its time is up, or others have found out how Redis is."""
        is_open = self.breaker.is_open
        with clock.running():
            started = clock.seconds
            while not attempt.done() and self.breaker.is_open == is_open:
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
            result = await self._judged(link, budget, partial(operation, store, budget))
            self._observe(time.monotonic() - started)
            return result

    async def _judged(self, link: Link, budget: Budget, work: Callable[[], Awaitable[T]]) -> T:
        try:
            result = await work()
        except asyncio.CancelledError:
            link.replace_client()
            self._judge(link, budget, "no answer at all")
            raise
        except StoreUnavailable as error:
            self._judge(link, budget, str(error))
            raise
        except StoreError:
            raise
        except Exception as error:
            self._report(error)
            raise StoreUnavailable(type(error).__name__) from error
        self._judge(link, budget, "")
        return result

    def _judge(self, link: Link, budget: Budget, reason: str) -> None:
        """Tells the breaker, once an operation: what came after its request had given up says nothing new."""
        if budget.is_judged:
            return
        budget.is_judged = True
        if reason:
            self.breaker.failed(reason)
            if self.breaker.is_open:
                self._ask_later(link)
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
