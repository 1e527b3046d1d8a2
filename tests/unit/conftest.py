"""One real Redis a test session, emptied for every test; and the in-memory one, where both must behave alike."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import fakeredis
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from lab.redis_server import RedisServer
from litellm.responses.litellm_completion_transformation.redis_session_patch import runtime as runtimes
from litellm.responses.litellm_completion_transformation.redis_session_patch import startup, writing


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """Our own even where the environment names one: these tests empty it."""
    with RedisServer() as server:
        yield server


@pytest_asyncio.fixture
async def redis_client(redis_server: RedisServer) -> AsyncIterator[Any]:
    """A client of the real server, which is empty."""
    client = Redis.from_url(redis_server.url)
    await client.flushall()
    yield client
    await client.aclose()


@pytest_asyncio.fixture(params=["fakeredis", "redis-server"])
async def any_client(request: pytest.FixtureRequest, redis_server: RedisServer) -> AsyncIterator[Any]:
    """A client of an empty Redis: once the in-memory one, once the real one."""
    client = fakeredis.FakeAsyncRedis() if request.param == "fakeredis" else Redis.from_url(redis_server.url)
    await client.flushall()
    yield client
    await client.aclose()


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
    bare_environment.setattr(runtimes, "_runtime", None)
    bare_environment.setattr(runtimes, "_decided", False)
    bare_environment.delitem(sys.modules, "litellm.proxy.proxy_server", raising=False)
    return bare_environment


@pytest.fixture
def log_lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the patch logs at the proxy's default level."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(f"{record.levelname} {record.getMessage()}")
    logger = logging.Logger("litellm.redis_session_patch", logging.INFO)
    logger.addHandler(handler)
    for module in (runtimes, startup, writing):
        monkeypatch.setattr(module, "logger", logger)
    return lines
