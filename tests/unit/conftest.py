"""One real Redis a test session, emptied for every test: what happens together are scripts of its own."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis

import litellm
from lab.redis_server import RedisServer
from litellm.responses.litellm_completion_transformation.redis_session_patch.api import erasing
from litellm.responses.litellm_completion_transformation.redis_session_patch.doors import startup
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis import defects, metrics
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis import guard as guards
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis import runtime as runtimes
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.defects import RareLog
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.store import SessionStore

from .support.bridge import using
from .support.clients import SCRIPTS
from .support.runtimes import runtime_on
from .support.stores import store_on


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """Our own even where the environment names one: these tests empty it."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis_client(redis_server: RedisServer) -> Iterator[Redis]:
    """A client of the real server, for threads, in bytes. The server is empty but knows the scripts."""
    with redis_server.client() as client:
        client.flushall()
        for script in SCRIPTS.values():
            client.script_load(script)
        yield client


@pytest.fixture
def store(redis_client: Redis) -> SessionStore:
    return store_on(redis_client)


@pytest.fixture
def runtime(redis_client: Redis) -> runtimes.Runtime:
    return runtime_on(redis_client)


@pytest.fixture
def used_runtime(runtime: runtimes.Runtime, monkeypatch: pytest.MonkeyPatch) -> Iterator[runtimes.Runtime]:
    """The one of this process; what is asked and answered may be logged."""
    monkeypatch.setattr(litellm, "turn_off_message_logging", False)
    with using(runtime):
        yield runtime


@pytest.fixture(autouse=True)
def no_defects_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Defects are counted, and logged, from none on."""
    monkeypatch.setattr(defects, "_count", 0)
    monkeypatch.setattr(defects, "_also_count", None)
    monkeypatch.setattr(defects, "_rare_log", RareLog(defects.logger, time.monotonic))


@pytest.fixture(autouse=True)
def no_guard_asks_on(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Else a thread of a test that has ended writes its probe into the Redis of the next one."""
    made: list[guards.Guard] = []
    begin = guards.Guard.__init__

    def remembered(guard: guards.Guard, *args: Any, **options: Any) -> None:
        begin(guard, *args, **options)
        made.append(guard)

    monkeypatch.setattr(guards.Guard, "__init__", remembered)
    yield
    for guard in made:
        guard.is_used = False


@pytest.fixture
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No variable of ours and none that names a Redis."""
    for name in list(os.environ):
        if name.startswith(("REDIS_", "LITELLM_REDIS")):
            monkeypatch.delenv(name)
    return monkeypatch


@pytest.fixture
def undecided(bare_environment: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A process that has not looked for its settings and its Redis yet, outside a proxy."""
    for name, value in {"_runtime": None, "_is_fixed": False}.items():
        bare_environment.setattr(runtimes, name, value)
    bare_environment.setattr(runtimes, "_seen_cache", runtimes._NOT_LOOKED)
    bare_environment.delitem(sys.modules, "litellm.proxy.proxy_server", raising=False)
    return bare_environment


@pytest.fixture
def log_lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the patch logs at the proxy's default level; of runtimes that are made from now on."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(f"{record.levelname} {record.getMessage()}")
    logger = logging.Logger("litellm.redis_session_patch", logging.INFO)
    logger.addHandler(handler)
    for module in (runtimes, startup, metrics, erasing, guards):
        monkeypatch.setattr(module, "logger", logger)
    monkeypatch.setattr(defects, "_rare_log", RareLog(logger, time.monotonic))
    return lines
