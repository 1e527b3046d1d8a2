"""The patch in one process: when it is there, and how it keeps a failing Redis away from requests."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fakeredis
import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch import runtime as runtimes
from litellm.responses.litellm_completion_transformation.redis_session_patch.breaker import (
    FAILURES_TO_OPEN,
    PROBE_AFTER_SECONDS,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.runtime import Runtime
from litellm.responses.litellm_completion_transformation.redis_session_patch.settings import Settings
from litellm.responses.litellm_completion_transformation.redis_session_patch.store import Skipped, StoreUnavailable

from .support.bridge import pretend_a_proxy_runs
from .support.stores import inputs_of, say


@pytest.fixture
def in_a_proxy(undecided: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A proxy that has a Redis by its environment."""
    pretend_a_proxy_runs(undecided, redis_usage_cache=None)
    undecided.setenv("REDIS_URL", "redis://nowhere:1")
    return undecided


def test_in_a_proxy_with_a_redis_there_is_one_runtime(in_a_proxy):
    assert isinstance(runtimes.current(), Runtime)
    assert runtimes.current() is runtimes.current()


def test_it_has_the_settings_of_the_environment(in_a_proxy):
    in_a_proxy.setenv("REDIS_SESSION_PATCH_TTL", "77")
    assert runtimes.current().settings.ttl_seconds == 77


def test_outside_a_proxy_there_is_none(in_a_proxy):
    in_a_proxy.delitem(sys.modules, "litellm.proxy.proxy_server")
    assert runtimes.current() is None


def test_switched_off_there_is_none(in_a_proxy):
    in_a_proxy.setenv("REDIS_SESSION_PATCH_ENABLED", "false")
    assert runtimes.current() is None


def test_without_the_redis_package_there_is_none(in_a_proxy):
    in_a_proxy.setitem(sys.modules, "redis", None)
    assert runtimes.current() is None


def test_with_a_bad_setting_there_is_none_and_one_line_says_why(in_a_proxy, log_lines):
    in_a_proxy.setenv("REDIS_SESSION_PATCH_TTL", "soon")
    assert [runtimes.current() for _ in range(3)] == [None] * 3
    (line,) = log_lines
    assert line.startswith("ERROR REDIS_SESSION_PATCH_TTL='soon'")


def test_a_redis_that_is_configured_later_is_found_then(in_a_proxy):
    in_a_proxy.delenv("REDIS_URL")
    assert runtimes.current() is None
    cache = SimpleNamespace(redis_kwargs={"host": "h"}, namespace=None)
    pretend_a_proxy_runs(in_a_proxy, redis_usage_cache=cache)
    assert runtimes.current() is not None


def test_an_application_can_bring_its_own_or_none(in_a_proxy):
    own = Runtime(Settings(), lambda: None)
    runtimes.use(own)
    assert runtimes.current() is own
    runtimes.use(None)
    assert runtimes.current() is None


async def test_the_namespace_and_the_settings_reach_the_store(any_client):
    runtime = Runtime(
        Settings(ttl_seconds=50, timeout_seconds=5, max_turn_bytes=500), lambda: any_client, namespace="blue"
    )
    await runtime.write(lambda store: say(store, "a"))
    (session,) = await any_client.keys("blue:litellm_patch:session:*")
    assert 0 < await any_client.ttl(session) <= 50
    with pytest.raises(Skipped):
        await runtime.write(lambda store: say(store, "x" * 500))


def test_every_event_loop_has_a_client_of_its_own():
    opened: list[Any] = []

    def open_client() -> Any:
        opened.append(fakeredis.FakeAsyncRedis())
        return opened[-1]

    runtime = Runtime(Settings(timeout_seconds=10), open_client)

    async def use_twice() -> None:
        response_id = await runtime.write(lambda store: say(store, "a"))
        assert await runtime.read(lambda store: inputs_of(store, response_id)) == ["a"]
        await opened[-1].aclose()

    for _ in range(2):
        asyncio.run(use_twice())
    assert len(opened) == 2


class Failing:
    """A runtime whose Redis fails, on a clock of its own. `asked` counts the operations that went through."""

    def __init__(self) -> None:
        self.now, self.asked = 0.0, 0
        self.runtime = Runtime(Settings(), lambda: None, clock=lambda: self.now)

    async def fail(self, store: Any) -> None:
        self.asked += 1
        raise StoreUnavailable("down")

    async def work(self, store: Any) -> str:
        self.asked += 1
        return "done"

    async def fail_often(self, guarded: Any, times: int = FAILURES_TO_OPEN) -> None:
        for _ in range(times):
            with pytest.raises(StoreUnavailable):
                await guarded(self.fail)


@pytest.fixture
def failing() -> Failing:
    return Failing()


async def test_after_a_few_failures_redis_is_not_asked_for_a_while(failing, log_lines):
    await failing.fail_often(failing.runtime.read, 10)
    assert failing.asked == FAILURES_TO_OPEN
    (line,) = log_lines
    assert line.startswith("WARNING") and "reading" in line and "(down)" in line


async def test_a_redis_that_works_again_is_used_again_and_one_line_says_so(failing, log_lines):
    await failing.fail_often(failing.runtime.read)
    failing.now += PROBE_AFTER_SECONDS
    assert [await failing.runtime.read(failing.work) for _ in range(3)] == ["done"] * 3
    assert len(log_lines) == 2 and "works again" in log_lines[1]


async def test_a_redis_that_refuses_writes_is_still_read_and_the_other_way_round(failing):
    await failing.fail_often(failing.runtime.write)
    assert await failing.runtime.read(failing.work) == "done"
    other = Failing()
    await other.fail_often(other.runtime.read)
    assert await other.runtime.write(other.work) == "done"


async def test_those_who_waited_behind_a_hanging_redis_do_not_wait_for_it_again(failing):
    outcomes = await asyncio.gather(*(failing.runtime.read(failing.fail) for _ in range(200)), return_exceptions=True)
    assert all(isinstance(outcome, StoreUnavailable) for outcome in outcomes)
    assert failing.asked <= runtimes.OPERATIONS_AT_ONCE


async def test_a_skipped_turn_is_no_failure_of_redis(failing):
    async def skip(store: Any) -> None:
        raise Skipped("too long")

    for _ in range(FAILURES_TO_OPEN + 1):
        with pytest.raises(Skipped):
            await failing.runtime.write(skip)
    assert await failing.runtime.write(failing.work) == "done"


@pytest.mark.parametrize("value", ["\ud800", object()])
async def test_what_cannot_be_sent_or_stored_is_unavailable_without_blaming_redis(any_client, log_lines, value):
    runtime = Runtime(Settings(timeout_seconds=10), lambda: any_client)
    for _ in range(FAILURES_TO_OPEN + 1):
        with pytest.raises(StoreUnavailable):
            await runtime.write(lambda store: say(store, value, as_id=value if isinstance(value, str) else None))
    await runtime.write(lambda store: say(store, "fine"))
    assert "object at" not in "".join(log_lines)


async def test_a_client_that_cannot_even_be_made_is_unavailable():
    def open_client() -> Any:
        raise ValueError("Redis URL must specify one of the following schemes")

    with pytest.raises(StoreUnavailable):
        await Runtime(Settings(), open_client).read(lambda store: store.ping())


def test_events_are_counted_by_name():
    runtime = Runtime(Settings(), lambda: None)
    for event in ("written", "read_found", "written"):
        runtime.count(event)
    assert runtime.events == {"written": 2, "read_found": 1}


FOLDER = Path(runtimes.__file__).parent


def test_all_modules_load_without_redis_cryptography_and_litellm(monkeypatch):
    for absent in ("redis", "cryptography", "litellm"):
        monkeypatch.setitem(sys.modules, absent, None)
    names = sorted(path.stem for path in FOLDER.glob("*.py"))
    assert {"bridge", "startup", "store"} <= set(names)
    for name in names:
        # What is put back after the test: that it was not there.
        monkeypatch.setitem(sys.modules, f"copy_of_the_patch.{name}", None)
        del sys.modules[f"copy_of_the_patch.{name}"]
    package = importlib.util.module_from_spec(
        importlib.machinery.ModuleSpec("copy_of_the_patch", None, is_package=True)
    )
    package.__path__ = [str(FOLDER)]
    monkeypatch.setitem(sys.modules, "copy_of_the_patch", package)
    for name in names:
        importlib.import_module(f"copy_of_the_patch.{name}")
