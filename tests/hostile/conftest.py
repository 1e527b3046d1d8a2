"""A Redis whose values others change, and a proxy that trusts it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis import Redis

from lab.provider import Provider
from lab.proxy import Proxy, ProxyOptions
from lab.redis_server import RedisServer
from lab.trees import tree


@pytest.fixture(scope="module")
def victim() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def proxy(running_provider: Provider, victim: RedisServer) -> Iterator[Proxy]:
    options = ProxyOptions(running_provider.url, tree("patched"), {"REDIS_SESSION_PATCH_URL": victim.url})
    with Proxy(options) as proxy:
        yield proxy


@pytest.fixture
def redis(victim: RedisServer) -> Iterator[Redis]:
    with Redis.from_url(victim.url) as client:
        client.flushall()
        yield client
