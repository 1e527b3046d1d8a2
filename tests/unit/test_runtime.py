"""The patch in one process: when it is there, which Redis it uses, and what is kept apart."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.redis import defects
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis import guard as guards
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis import runtime as runtimes
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.guard import FAILURES_TO_OPEN, Guard
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.metrics import Metrics
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.runtime import Runtime
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.ids import Place
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.results import (
    NotStored,
    StoreUnavailable,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.settings import Settings

from .support.clients import no_redis
from .support.guards import failing_with, threads_that_ask, work
from .support.runtimes import pretend_a_proxy_runs, runtime_on
from .support.stores import ALICE, chain_of, connection_to, inputs_of, keys_of, say, talk
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

    def record(_: Metrics, name: str, value: float, *labels: str) -> None:
        if name == "breaker_open":
            seen[labels[0]] = bool(value)

    monkeypatch.setattr(Metrics, "record", record)
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
    old.metrics.count("turns", "stored")
    pretend_a_proxy_runs(in_a_proxy, redis_usage_cache=cache_at("new", "blue", max_connections=3, password="s3cret"))
    new = runtimes.current()
    assert new is not old and new is runtimes.current() and new.reads._lanes.small.threads._max_workers == 2
    assert new.metrics.counts()["turns"]["stored"] == 1
    (line,) = log_lines
    assert "another cache" in line and "new:6379" in line and "s3cret" not in line


def test_what_fails_of_ours_is_counted_in_its_metrics(in_a_proxy):
    exported = []
    runtime = runtimes.current()
    in_a_proxy.setattr(Metrics, "record", lambda *said: exported.append(said))
    defects.safely(lambda: 1 / 0, otherwise=None)
    assert exported == [(runtime.metrics, "defects", 1)]


async def open_breaker(guard: Guard) -> None:
    for _ in range(FAILURES_TO_OPEN):
        with pytest.raises(StoreUnavailable):
            await guard.run(failing_with(StoreUnavailable("down")))


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread asks again at once, so to speak."""
    monkeypatch.setattr(guards, "ASK_AFTER_SECONDS", 0.001)


async def test_when_there_is_another_cache_the_old_one_s_redis_is_asked_no_more(in_a_proxy, metrics_seen, soon):
    pretend_a_proxy_runs(in_a_proxy, redis_usage_cache=cache_at("127.0.0.1", port=1))
    old = runtimes.current()
    threads = threads_that_ask()
    for guard in (old.reads, old.writes):
        await open_breaker(guard)
    assert len(threads_that_ask() - threads) == 2
    assert metrics_seen == {"read": True, "write": True}
    pretend_a_proxy_runs(in_a_proxy, redis_usage_cache=cache_at("new"))
    assert runtimes.current() is not old
    assert metrics_seen == {"read": False, "write": False}
    await until(lambda: not threads_that_ask() - threads)


async def test_a_runtime_in_whose_place_is_another_does_not_speak_for_it(in_a_proxy, metrics_seen):
    old, new = runtime_on(no_redis()), runtime_on(no_redis())
    runtimes.use(old)
    runtimes.use(new)
    await open_breaker(old.writes)
    await open_breaker(new.reads)
    assert metrics_seen == {"read": True, "write": False}
    runtimes.use(None)
    assert metrics_seen == {"read": False, "write": False}


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
    own = runtime_on(None)
    runtimes.use(own)
    assert runtimes.current() is own
    runtimes.use(None)
    assert runtimes.current() is None


async def test_the_namespace_and_the_settings_reach_the_store(redis_client):
    settings = Settings(ttl_seconds=50, timeout_seconds=10, max_turn_bytes=500, encryption_keys=(bytes(32),))
    runtime = Runtime(settings, connection_to(redis_client, "blue"))
    place = await say(runtime.store, "a private text " * 10)
    (turns,) = redis_client.keys("blue:litellm_patch:session:{*:turns")
    assert turns.decode() == f"blue:{keys_of(place)[0]}"
    assert 0 < redis_client.ttl(turns) <= 50 + 60
    assert all(b"private" not in value for value in redis_client.hvals(turns))
    with pytest.raises(NotStored):
        await say(runtime.store, "x" * 500)


async def test_the_time_of_the_setting_is_what_a_client_waits_for_an_answer(redis_client):
    waits: list[float] = []
    connection = connection_to(redis_client)
    connection.open = lambda seconds: waits.append(seconds) or redis_client
    runtime = Runtime(Settings(timeout_seconds=7.5), connection)
    await say(runtime.store, "a")
    assert waits == [7.5]


async def test_reading_and_storing_are_observed_apart(redis_client, monkeypatch):
    seen: list[tuple[str, ...]] = []
    runtime = runtime_on(redis_client)
    monkeypatch.setattr(Metrics, "record", lambda _, name, value, *labels: seen.append((name, *labels)))
    await chain_of(runtime.store, await say(runtime.store, "a"))
    assert [each for each in seen if each[0] == "redis_seconds"] == [
        ("redis_seconds", "write"),
        ("redis_seconds", "read"),
    ]


async def test_after_a_few_failures_redis_is_not_asked_for_a_while(log_lines):
    runtime = runtime_on(no_redis())
    for _ in range(10):
        with pytest.raises(StoreUnavailable):
            await runtime.store.read(Place("nowhere", "1"), ALICE)
    (line,) = log_lines
    assert line.startswith("WARNING") and "reading" in line and "(ConnectionError)" in line
    assert runtime.reads.is_open and not runtime.writes.is_open
    runtime.set_used(False)


@pytest.mark.parametrize("doing", ["reading", "storing"])
async def test_a_redis_that_works_again_is_used_again_and_one_line_says_so(
    doing, redis_client, log_lines, metrics_seen, soon
):
    runtime = runtime_on(redis_client)
    guard = runtime.reads if doing == "reading" else runtime.writes
    await open_breaker(guard)
    await until(lambda: not guard.is_open)  # Without any request.
    assert await guard.run(work) == "done"
    assert len(log_lines) == 2 and f"works again for {doing}" in log_lines[1]
    assert list(metrics_seen.values()) == [False]


async def test_a_redis_that_refuses_writes_is_still_read_and_the_other_way_round(redis_client):
    runtime, other = runtime_on(redis_client), runtime_on(redis_client)
    last = (await talk(runtime.store, "ab"))[-1]
    await open_breaker(runtime.writes)
    await open_breaker(other.reads)
    assert await inputs_of(runtime.store, last) == ["a", "b"]
    assert await say(other.store, "c")
    for each in (runtime, other):
        each.set_used(False)


async def test_what_cannot_be_sent_is_unavailable_without_blaming_redis(log_lines, redis_client):
    runtime = runtime_on(redis_client)
    for _ in range(FAILURES_TO_OPEN + 1):
        with pytest.raises(StoreUnavailable):
            await runtime.store.delete(Place("a private text \ud800", "1"), ALICE)
    await say(runtime.store, "fine")
    (line,) = log_lines  # Of many, one a minute.
    assert "defect of the fork" in line and "UnicodeEncodeError at " in line and "private" not in line


async def test_what_redis_says_of_its_memory_is_known_and_nobody_s_failure_where_it_does_not(redis_client):
    memory = await runtime_on(redis_client).memory()
    assert memory["used_memory"] > 0 and memory["maxmemory"] == 0 and memory["maxmemory_policy"] == "noeviction"
    away = runtime_on(no_redis())
    for _ in range(FAILURES_TO_OPEN + 1):
        assert await away.memory() is None
    assert not away.reads.is_open


PACKAGE = Path(runtimes.__file__).parents[1]


def test_all_modules_load_without_redis_cryptography_prometheus_and_litellm(monkeypatch):
    for absent in ("redis", "cryptography", "prometheus_client", "litellm"):
        monkeypatch.setitem(sys.modules, absent, None)
    files = [path.relative_to(PACKAGE).with_suffix("") for path in PACKAGE.rglob("*.py")]
    floors = sorted({str(file.parent) for file in files} - {"."})
    names = sorted(".".join(file.parts) for file in files)
    assert floors == ["api", "doors", "redis", "request", "values"] and "doors.bridge" in names
    for name in ("", *(f".{each}" for each in (*floors, *names))):
        # What is put back after the test: that it was not there.
        monkeypatch.setitem(sys.modules, f"copy_of_the_patch{name}", None)
        del sys.modules[f"copy_of_the_patch{name}"]
    for folder in ("", *floors):
        package = importlib.util.module_from_spec(
            importlib.machinery.ModuleSpec(f"copy_of_the_patch.{folder}".rstrip("."), None, is_package=True)
        )
        package.__path__ = [str(PACKAGE / folder)]
        monkeypatch.setitem(sys.modules, package.__name__, package)
    for name in names:
        importlib.import_module(f"copy_of_the_patch.{name}")
