"""What the end-to-end tests share besides the plain proxy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from redis import Redis

from tests.support.client import ResponsesClient
from tests.support.provider import Provider
from tests.support.proxies import ProxyPool
from tests.support.proxy import Proxy, ProxyOptions
from tests.support.redis_server import GivenRedis, RedisServer
from tests.support.replay import Setting

from .asking import Asker
from .sizes import SETTINGS


@pytest.fixture(params=SETTINGS, ids=lambda one: f"{one.model}-{'stream' if one.stream else 'plain'}")
def setting(request: pytest.FixtureRequest) -> Setting:
    """Every wire format, plain and as a stream."""
    return request.param


@pytest.fixture
def redis(redis_server: RedisServer | GivenRedis) -> Iterator[Redis]:
    with Redis.from_url(redis_server.url) as client:
        yield client


@pytest.fixture(scope="session")
def identity_options(plain_options: ProxyOptions) -> ProxyOptions:
    """The bearer token says who asks (`tests.support.custom_auth.bearer`)."""
    return replace(plain_options, custom_auth=True)


@pytest.fixture(scope="session")
def second_options(plain_options: ProxyOptions) -> ProxyOptions:
    """A second proxy beside the plain one, on the same Redis."""
    return replace(plain_options, environment={**plain_options.environment, "PROXY": "second"})


@pytest.fixture(scope="session")
def identity_proxy(proxies: ProxyPool, identity_options: ProxyOptions) -> Proxy:
    return proxies.get(identity_options)


@pytest.fixture
def asker(client: ResponsesClient, provider: Provider) -> Asker:
    """The plain proxy, the chat format, no stream; `with_setting` makes others of it."""
    return Asker(client, provider)
