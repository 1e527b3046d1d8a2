"""One real Redis a test session, emptied for every test: what happens together are scripts of its own."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from lab.redis_server import RedisServer
from litellm.responses.litellm_completion_transformation.redis_session_patch import defects, metrics, startup
from litellm.responses.litellm_completion_transformation.redis_session_patch import runtime as runtimes
from litellm.responses.litellm_completion_transformation.redis_session_patch.cipher import Cipher
from litellm.responses.litellm_completion_transformation.redis_session_patch.link import Link
from litellm.responses.litellm_completion_transformation.redis_session_patch.rare_log import RareLog
from litellm.responses.litellm_completion_transformation.redis_session_patch.settings import Settings
from litellm.responses.litellm_completion_transformation.redis_session_patch.store import SessionStore

from .support.bridge import pretend_a_proxy_runs, runtime_on
from .support.clients import SCRIPTS, Interposed
from .support.stores import store_on


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """Our own even where the environment names one: these tests empty it."""
    with RedisServer() as server:
        yield server


@pytest_asyncio.fixture
async def redis_client(redis_server: RedisServer) -> AsyncIterator[Any]:
    """A client of the real server, which is empty but knows the scripts."""
    client = Redis.from_url(redis_server.url)
    await client.flushall()
    for script in SCRIPTS.values():
        await client.script_load(script)
    yield client
    await client.aclose()


@pytest.fixture
def store(redis_client: Any) -> SessionStore:
    return store_on(redis_client)


@pytest.fixture
def linked(redis_client: Any) -> SessionStore:
    """A store behind a link, which says what Redis' errors mean."""
    return SessionStore(Link(lambda: Interposed(redis_client), 16).call, Settings(), Cipher())


@pytest.fixture
def runtime(redis_client: Any) -> runtimes.Runtime:
    return runtime_on(redis_client)


@pytest.fixture(autouse=True)
def no_defects_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Defects are counted, and logged, from none on."""
    monkeypatch.setattr(defects, "_count", 0)
    monkeypatch.setattr(defects, "_also_count", None)
    monkeypatch.setattr(defects, "_rare_log", RareLog(defects.logger, time.monotonic))


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
    for name, value in {"_runtime": None, "_is_fixed": False, "_connection": None}.items():
        bare_environment.setattr(runtimes, name, value)
    bare_environment.setattr(runtimes, "_seen_cache", runtimes._NOT_LOOKED)
    bare_environment.delitem(sys.modules, "litellm.proxy.proxy_server", raising=False)
    return bare_environment


@pytest.fixture
def with_database(undecided: pytest.MonkeyPatch) -> None:
    """A proxy that has a database, which needs the provider's own ids."""
    pretend_a_proxy_runs(undecided, prisma_client=object())


@pytest.fixture
def without_database(undecided: pytest.MonkeyPatch) -> None:
    pretend_a_proxy_runs(undecided, prisma_client=None)


@pytest.fixture
def log_lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the patch logs at the proxy's default level; of runtimes that are made from now on."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(f"{record.levelname} {record.getMessage()}")
    logger = logging.Logger("litellm.redis_session_patch", logging.INFO)
    logger.addHandler(handler)
    for module in (runtimes, startup, metrics):
        monkeypatch.setattr(module, "logger", logger)
    monkeypatch.setattr(defects, "_rare_log", RareLog(logger, time.monotonic))
    return lines
