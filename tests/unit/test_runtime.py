"""The patch in one process: when it is there, which Redis it uses, and what is kept apart."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import sys
import weakref
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from redis.asyncio import Redis

from litellm.responses.litellm_completion_transformation.redis_session_patch import defects
from litellm.responses.litellm_completion_transformation.redis_session_patch import guard as guards
from litellm.responses.litellm_completion_transformation.redis_session_patch import runtime as runtimes
from litellm.responses.litellm_completion_transformation.redis_session_patch.breaker import FAILURES_TO_OPEN
from litellm.responses.litellm_completion_transformation.redis_session_patch.metrics import Metrics
from litellm.responses.litellm_completion_transformation.redis_session_patch.results import NotStored, StoreUnavailable
from litellm.responses.litellm_completion_transformation.redis_session_patch.runtime import Runtime
from litellm.responses.litellm_completion_transformation.redis_session_patch.settings import Settings

from .support.bridge import pretend_a_proxy_runs, runtime_on
from .support.stores import inputs_of, say
from .support.waiting import until


@pytest.fixture
def in_a_proxy(undecided: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A proxy that has a Redis by its environment."""
    pretend_a_proxy_runs(undecided, redis_usage_cache=None)
    undecided.setenv("REDIS_URL", "redis://nowhere:1")
    return undecided


@pytest.fixture
def metrics_seen(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """What the gauges of the breakers say."""
    seen: dict[str, bool] = {}
    monkeypatch.setattr(Metrics, "set_breaker_open", lambda _, operation, is_open: seen.update({operation: is_open}))
    return seen


def cache_at(host: str, namespace: str | None = None, **options: Any) -> SimpleNamespace:
    return SimpleNamespace(redis_kwargs={"host": host, **options}, namespace=namespace)


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


def test_a_redis_that_is_configured_later_is_found_then(in_a_proxy, log_lines):
    in_a_proxy.delenv("REDIS_URL")
    assert runtimes.current() is None
    pretend_a_proxy_runs(in_a_proxy, redis_usage_cache=cache_at("h"))
    assert runtimes.current() is not None and log_lines == []


def test_another_cache_of_the_proxy_is_taken_up_with_a_line_and_goes_on_counting(in_a_proxy, log_lines):
    pretend_a_proxy_runs(in_a_proxy, redis_usage_cache=cache_at("old"))
    old = runtimes.current()
    old.metrics.count_turn("stored")
    pretend_a_proxy_runs(in_a_proxy, redis_usage_cache=cache_at("new", "blue", max_connections=3, password="s3cret"))
    new = runtimes.current()
    assert new is not old and new is runtimes.current() and new.places == 3
    assert new.metrics.counts()["turns"]["stored"] == 1
    (line,) = log_lines
    assert "another cache" in line and "new:6379" in line and "s3cret" not in line


def test_what_fails_of_ours_is_counted_in_its_metrics(in_a_proxy):
    exported = []
    in_a_proxy.setattr(Metrics, "count_defect", lambda self: exported.append(self))
    runtime = runtimes.current()
    defects.safely(lambda: 1 / 0, otherwise=None)
    assert exported == [runtime.metrics]


def is_idle(runtime: Runtime) -> bool:
    return not any(guard._asking or guard._running for guard in (runtime.reads, runtime.writes))


async def test_when_there_is_another_cache_the_old_one_s_redis_is_asked_no_more(in_a_proxy, metrics_seen):
    in_a_proxy.setattr(guards, "ASK_AFTER_SECONDS", 0.001)
    pretend_a_proxy_runs(in_a_proxy, redis_usage_cache=cache_at("127.0.0.1", port=1))
    old = runtimes.current()
    for run in (old.read, old.write):
        for _ in range(FAILURES_TO_OPEN):
            with pytest.raises(StoreUnavailable):
                await run(lambda store, _: store.ping())
    assert old.reads._asking and old.writes._asking
    assert metrics_seen == {"read": True, "write": True}
    pretend_a_proxy_runs(in_a_proxy, redis_usage_cache=cache_at("new"))
    assert runtimes.current() is not old
    assert metrics_seen == {"read": False, "write": False}
    await until(partial(is_idle, old))
    gone = weakref.ref(old)
    del old, run
    await until(lambda: gc.collect() is not None and gone() is None)


def test_a_runtime_in_whose_place_is_another_does_not_speak_for_it(in_a_proxy, metrics_seen):
    old, new = Runtime(Settings(), lambda: None), Runtime(Settings(), lambda: None)
    runtimes.use(old)
    runtimes.use(new)
    for _ in range(FAILURES_TO_OPEN):
        old.writes.breaker.failed("down")
        new.reads.breaker.failed("down")
    assert metrics_seen == {"read": True, "write": False}


def test_a_runtime_that_is_taken_up_again_shows_its_breakers_again(in_a_proxy, metrics_seen):
    own = Runtime(Settings(), lambda: None)
    runtimes.use(own)
    for _ in range(FAILURES_TO_OPEN):
        own.reads.breaker.failed("down")
    runtimes.use(None)
    assert metrics_seen == {"read": False, "write": False} and not own.reads.is_used
    runtimes.use(own)
    assert metrics_seen == {"read": True, "write": False} and own.reads.is_used


def test_the_same_redis_in_a_new_cache_object_changes_nothing(in_a_proxy, log_lines):
    pretend_a_proxy_runs(in_a_proxy, redis_usage_cache=cache_at("h"))
    runtime = runtimes.current()
    pretend_a_proxy_runs(in_a_proxy, redis_usage_cache=cache_at("h"))
    assert runtimes.current() is runtime and log_lines == []


def test_a_redis_of_its_own_stays_whatever_the_proxy_s_cache_becomes(in_a_proxy, log_lines):
    in_a_proxy.setenv("REDIS_SESSION_PATCH_URL", "redis://own")
    runtime = runtimes.current()
    pretend_a_proxy_runs(in_a_proxy, redis_usage_cache=cache_at("h"))
    assert runtimes.current() is runtime and log_lines == []


def test_an_application_can_bring_its_own_or_none(in_a_proxy):
    own = Runtime(Settings(), lambda: None)
    runtimes.use(own)
    assert runtimes.current() is own
    runtimes.use(None)
    assert runtimes.current() is None


async def test_the_namespace_and_the_settings_reach_the_store(redis_client):
    settings = Settings(ttl_seconds=50, timeout_seconds=10, max_turn_bytes=500, encryption_keys=(bytes(32),))
    runtime = Runtime(settings, lambda: redis_client, namespace="blue")
    await runtime.write(lambda store, _: say(store, "a private text " * 10))
    (session,) = await redis_client.keys("blue:litellm_patch:session:*")
    assert 0 < await redis_client.ttl(session) <= 50
    (turns,) = await redis_client.keys("blue:litellm_patch:{*:turns")
    assert all(b"private" not in value for value in await redis_client.hvals(turns))
    with pytest.raises(NotStored):
        await runtime.write(lambda store, _: say(store, "x" * 500))


def test_every_event_loop_has_a_client_of_its_own_and_those_of_closed_loops_are_forgotten(redis_server):
    opened: list[weakref.ref[Any]] = []

    def open_client() -> Redis:
        client = Redis.from_url(redis_server.url)
        opened.append(weakref.ref(client))
        return client

    runtime = Runtime(Settings(timeout_seconds=10), open_client)

    async def use_twice() -> None:
        response_id = await runtime.write(lambda store, _: say(store, "a"))
        assert await runtime.read(lambda store, _: inputs_of(store, response_id)) == ["a"]
        await opened[-1]().aclose()

    for _ in range(4):
        asyncio.run(use_twice())
    gc.collect()
    assert len(opened) == 4
    assert [client() is None for client in opened] == [True] * 3 + [False]


class Failing:
    """A runtime whose operations fail. `asked` counts those that went through."""

    def __init__(self, client: Any = None) -> None:
        self.asked = 0
        self.runtime = Runtime(Settings(timeout_seconds=10), lambda: client)

    async def fail(self, *_: Any) -> None:
        self.asked += 1
        raise StoreUnavailable("down")

    async def work(self, *_: Any) -> str:
        self.asked += 1
        return "done"

    async def fail_often(self, guarded: Any, times: int = FAILURES_TO_OPEN) -> None:
        for _ in range(times):
            with pytest.raises(StoreUnavailable):
                await guarded(self.fail)


@pytest.fixture
def failing(log_lines) -> Failing:
    return Failing()


async def test_after_a_few_failures_redis_is_not_asked_for_a_while(failing, log_lines):
    await failing.fail_often(failing.runtime.read, 10)
    assert failing.asked == FAILURES_TO_OPEN
    (line,) = log_lines
    assert line.startswith("WARNING") and "reading" in line and "(down)" in line


@pytest.mark.parametrize("doing", ["reading", "storing"])
async def test_a_redis_that_works_again_is_used_again_and_one_line_says_so(
    doing, redis_client, log_lines, metrics_seen, monkeypatch
):
    monkeypatch.setattr(guards, "ASK_AFTER_SECONDS", 0.001)
    failing = Failing(redis_client)
    runtime = failing.runtime
    guard, run = {"reading": (runtime.reads, runtime.read), "storing": (runtime.writes, runtime.write)}[doing]
    await failing.fail_often(run)
    await until(lambda: not guard.breaker.is_open)  # Without any request.
    assert [await run(failing.work) for _ in range(3)] == ["done"] * 3
    assert len(log_lines) == 2 and f"works again for {doing}" in log_lines[1]
    assert metrics_seen == {"read": False, "write": False}


async def test_a_redis_that_refuses_writes_is_still_read_and_the_other_way_round(failing):
    await failing.fail_often(failing.runtime.write)
    assert await failing.runtime.read(failing.work) == "done"
    other = Failing()
    await other.fail_often(other.runtime.read)
    assert await other.runtime.write(other.work) == "done"


async def test_no_more_operations_run_at_once_than_there_are_places(redis_client):
    running, most, let_go = set(), [0], asyncio.Event()
    runtime = Runtime(Settings(timeout_seconds=10), lambda: redis_client, places=3)

    async def stay(*_: Any) -> None:
        running.add(asyncio.current_task())
        most[0] = max(most[0], len(running))
        await let_go.wait()
        running.discard(asyncio.current_task())

    both = [asyncio.ensure_future(run(stay)) for run in (runtime.read, runtime.write) for _ in range(10)]
    await until(lambda: len(running) >= 3)
    let_go.set()
    await asyncio.gather(*both)
    assert most == [3]


async def test_what_cannot_be_sent_is_unavailable_without_blaming_redis(log_lines, redis_client):
    runtime = runtime_on(redis_client)
    for _ in range(FAILURES_TO_OPEN + 1):
        with pytest.raises(StoreUnavailable):
            await runtime.write(lambda store, _: say(store, "a private text", as_id="\ud800"))
    await runtime.write(lambda store, _: say(store, "fine"))
    (line,) = log_lines  # Of many, one a minute.
    assert "defect of the fork" in line and "UnicodeEncodeError at store.py:" in line and "private" not in line


FOLDER = Path(runtimes.__file__).parent


def test_all_modules_load_without_redis_cryptography_prometheus_and_litellm(monkeypatch):
    for absent in ("redis", "cryptography", "prometheus_client", "litellm"):
        monkeypatch.setitem(sys.modules, absent, None)
    names = sorted(path.stem for path in FOLDER.glob("*.py"))
    assert {"bridge", "startup", "store", "metrics"} <= set(names)
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
