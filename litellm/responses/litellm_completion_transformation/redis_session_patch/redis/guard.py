"""What an operation on Redis may cost its request: a bounded wait, and nothing at all while Redis fails.

Operations run in threads. So a busy event loop is not taken for a slow Redis, and an operation whose client has left
goes on to its end. While Redis fails, a thread asks it until it works again; no request does.
"""

import asyncio
import contextlib
import logging
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from ..values.results import OddValue, StoreError, StoreUnavailable
from .defects import report
from .metrics import Metrics

logger = logging.getLogger("litellm.redis_session_patch")

T = TypeVar("T")
Operation = Callable[[Any], T]  # gets redis-py's client

FAILURES_TO_OPEN = 3
ASK_AFTER_SECONDS = 1.0

_DOING = {"read": "reading", "write": "storing"}

# Operations at once. More connections would not be faster, and a burst of new ones would be slower.
_THREADS, _LARGE_THREADS = 14, 2

# Large ones have threads of their own, and more time: it grows with the bytes to move.
LARGE_BYTES = 1 << 20
BYTES_PER_SECOND = 16_000_000

# The error codes of Redis that tell an operator what to do, where redis-py has no class for them.
_CODES = re.compile(r"\b(OOM|READONLY|NOAUTH|WRONGPASS|NOPERM|LOADING|MISCONF|CLUSTERDOWN|MASTERDOWN)\b")


class Lane:
    """Threads for operations, and the redis-py client that they use: a new one after an operation without an answer.

    ``open_client`` makes a client that waits so many ``seconds`` for a connection and for an answer.
    """

    def __init__(self, open_client: Callable[[float], Any], seconds: float, threads: int, name: str):
        self.threads = ThreadPoolExecutor(threads, name)
        self._open = partial(open_client, seconds)
        self._client: Any = None
        self._lock = threading.Lock()

    def run(self, operation: Operation[T]) -> T:
        """What ``operation`` gives. Raises StoreError."""
        from redis.exceptions import RedisClusterException, RedisError, ResponseError

        client = self._current()
        try:
            return operation(client)
        except (RedisError, RedisClusterException, OSError, EOFError) as error:
            if "WRONGTYPE" in str(error):
                raise OddValue("a key holds another type of value") from error
            if not isinstance(error, ResponseError):  # No answer: its other connections may be as dead as this one.
                with self._lock:
                    if self._client is client:
                        self._client = None
            raise StoreUnavailable(reason_of(error)) from error

    def _current(self) -> Any:
        with self._lock:
            if self._client is None:
                try:
                    self._client = self._open()
                except Exception as error:  # Whatever redis-py or LiteLLM says of a URL or of arguments.
                    name = type(error).__name__
                    raise StoreUnavailable(f"its address or options cannot be used ({name})") from error
            return self._client


def reason_of(error: Exception) -> str:
    """A code or the error's class, never its text: redis-py quotes the failed command there, which holds messages."""
    found = _CODES.search(str(error))
    return found[1] if found else type(error).__name__


class Lanes:
    """Small operations and large ones, apart. ``most_bytes`` of one; ``most``: connections that an operator allows.

    Of these the large ones get two at most, and never more than half. With one connection all share one lane.
    """

    def __init__(self, open_client: Callable[[float], Any], seconds: float, most_bytes: int, most: int | None = None):
        most = most or _THREADS + _LARGE_THREADS
        large, large_seconds = min(_LARGE_THREADS, most // 2), seconds + most_bytes / BYTES_PER_SECOND
        self.small = Lane(open_client, seconds, min(_THREADS, most - large), "redis-session")
        self.large = Lane(open_client, large_seconds, large, "redis-session-large") if large else self.small


class Guard:
    """Reading or storing, as one: its operations, and whether Redis is to be left alone.

    ``operation``: one of ``metrics.OPERATIONS``. ``seconds``: for a connection and for each answer of a small
    operation; no request waits for more than twice that, and the time of its bytes. ``probe`` asks Redis for what the
    operations ask.
    """

    def __init__(self, operation: str, lanes: Lanes, seconds: float, probe: Operation[None], metrics: Metrics):
        self.last_reason = ""
        self.opened_at = 0.0  # by the clock, in seconds; of the last time
        self.is_used = True
        self._operation, self._lanes, self._seconds, self._probe = operation, lanes, seconds, probe
        self._metrics = metrics
        self._failures = 0
        self._lock = threading.Lock()

    @property
    def is_open(self) -> bool:
        """Whether Redis has failed so often that nobody is to wait for it."""
        return self._failures >= FAILURES_TO_OPEN

    def set_used(self, is_used: bool) -> None:
        """``False``: no thread asks, as nobody waits for the answer. Whatever Redis did before, it begins closed."""
        self.is_used, self._failures = is_used, 0
        self._metrics.record("breaker_open", 0, self._operation)

    async def run(self, operation: Operation[T], size_bytes: int = 0, *, is_judged: bool = True) -> T:
        """What ``operation`` gives; ``size_bytes`` is what it moves; ``is_judged``: the breaker hears of it.

        A large operation never is: what becomes of it says something about the value and the network. Raises
        StoreError, StoreUnavailable immediately while Redis is left alone.
        """
        self._refuse_while_open()
        is_large = size_bytes > LARGE_BYTES
        is_judged = is_judged and not is_large
        lane = self._lanes.large if is_large else self._lanes.small
        limit = 2 * self._seconds + size_bytes / BYTES_PER_SECOND
        loop, is_over = asyncio.get_running_loop(), asyncio.Event()
        attempt = lane.threads.submit(self._attempt, operation, lane, is_judged, time.monotonic() + limit)
        attempt.add_done_callback(partial(_wake, is_over, loop))
        timer = loop.call_later(limit, is_over.set)
        try:
            await is_over.wait()
        finally:
            timer.cancel()
        if attempt.done():
            return attempt.result()
        if attempt.cancel():
            raise StoreUnavailable("no thread was free in time")
        reason = f"no answer within {limit:g} s"
        if is_judged:
            self._failed(reason)
        raise StoreUnavailable(reason)

    def _refuse_while_open(self) -> None:
        if self.is_open:
            raise StoreUnavailable("Redis did not answer before; it is asked again soon")

    def _attempt(self, operation: Operation[T], lane: Lane, is_judged: bool, until: float) -> T:
        """A failure after ``until`` says nothing new: its request has given up."""
        self._refuse_while_open()  # It may have waited for a thread.
        started = time.monotonic()
        try:
            result = lane.run(operation)
        except StoreUnavailable as error:
            if is_judged and time.monotonic() < until:
                self._failed(str(error))
            raise
        except StoreError:
            raise
        except Exception as error:
            report(error)
            raise StoreUnavailable(type(error).__name__) from error
        if is_judged:
            self._succeeded()
        self._metrics.record("redis_seconds", time.monotonic() - started, self._operation)
        return result

    def _failed(self, reason: str) -> None:
        with self._lock:
            self._failures += 1
            self.last_reason = reason
            has_opened = self._failures == FAILURES_TO_OPEN
            if has_opened:
                self.opened_at = time.time()
        if has_opened:
            self._say(True, f"Redis fails at {_DOING[self._operation]} conversations ({reason}); going on without it.")
            threading.Thread(target=self._ask_until_it_works, name="redis-session-ask", daemon=True).start()

    def _succeeded(self) -> None:
        if self._failures:
            with self._lock:
                was_open, self._failures = self.is_open, 0
            if was_open:
                self._say(False, f"Redis works again for {_DOING[self._operation]} conversations.")

    def _say(self, is_open: bool, line: str) -> None:
        if self.is_used:
            self._metrics.record("breaker_open", is_open, self._operation)
        logger.warning("%s", line)

    def _ask_until_it_works(self) -> None:
        time.sleep(ASK_AFTER_SECONDS)
        while self.is_open and self.is_used:
            try:
                self._lanes.small.run(self._probe)
            except StoreError as error:
                self.last_reason = str(error)
            except Exception as error:
                report(error)
            else:
                self._succeeded()
                return
            time.sleep(ASK_AFTER_SECONDS)


def _wake(event: asyncio.Event, loop: asyncio.AbstractEventLoop, _: object) -> None:
    with contextlib.suppress(RuntimeError):  # The event loop has ended.
        loop.call_soon_threadsafe(event.set)
