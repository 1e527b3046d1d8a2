"""A guard, and operations that wait until they are let go."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.guard import (
    FAILURES_TO_OPEN,
    Guard,
    Lanes,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.results import StoreUnavailable

LITTLE, LONG = 0.02, 30.0  # Seconds: soon over, and never in a test.


def lanes_of(most: int | None = None) -> Lanes:
    return Lanes(lambda seconds: object(), LONG, 0, most)


class Case:
    """``answer``: what Redis does when a thread asks it; an error is raised."""

    def __init__(self, seconds: float = LONG, lanes: Lanes | None = None):
        self.changes: list[tuple[bool, str]] = []
        self.observed: list[float] = []
        self.answer: Exception | None = None
        self.let_go = threading.Event()
        self.begun = self.ended = self.running = self.most_running = self.asked = 0
        self._counting = threading.Lock()
        metrics: Any = SimpleNamespace(record=self._record)
        self.guard = Guard("read", lanes or lanes_of(), seconds, self._ask, metrics)

    def _record(self, name: str, value: float, operation: str) -> None:
        assert operation == "read"
        if name == "breaker_open":
            self.changes.append((bool(value), self.guard.last_reason if value else ""))
        else:
            self.observed.append(value)

    def _ask(self, client: Any) -> None:
        self.asked += 1
        if self.answer is not None:
            raise self.answer

    def wait(self, client: Any) -> str:
        with self._counting:
            self.begun += 1
            self.running += 1
            self.most_running = max(self.most_running, self.running)
        assert self.let_go.wait(LONG)
        with self._counting:
            self.running -= 1
            self.ended += 1
        return "done"

    async def run(self, operation: Any, size_bytes: int = 0, *, is_judged: bool = True) -> Any:
        return await self.guard.run(operation, size_bytes, is_judged=is_judged)

    def begin(self, operation: Any, size_bytes: int = 0, *, is_judged: bool = True) -> asyncio.Future[Any]:
        return asyncio.ensure_future(self.run(operation, size_bytes, is_judged=is_judged))

    async def fail(self, times: int, size_bytes: int = 0) -> None:
        for number in range(times):
            with pytest.raises(StoreUnavailable):
                await self.run(failing_with(StoreUnavailable(f"failure {number + 1}")), size_bytes)

    async def open(self) -> None:
        await self.fail(FAILURES_TO_OPEN)
        assert self.guard.is_open


def work(client: Any) -> str:
    return "done"


def failing_with(error: BaseException) -> Any:
    def fail(client: Any) -> None:
        raise error

    return fail


def threads_that_ask() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "redis-session-ask"}
