"""Every bridged response says in a header where its history came from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import openai
import pytest

from lab.lines import Manner
from lab.provider import Provider
from lab.proxies import ProxyPool
from lab.proxy import Proxy, ProxyOptions
from lab.redis_server import RedisServer

from .checks import unknown_id
from .raw import ask, openai_client
from .sizes import IDENTITIES


@pytest.fixture
def sdk(proxy: Proxy, provider: Provider) -> Iterator[openai.OpenAI]:
    with openai_client(proxy) as client:
        yield client


@pytest.fixture(scope="module")
def mortal_redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def mortal_sdk(
    proxies: ProxyPool, plain_options: ProxyOptions, mortal_redis: RedisServer, provider: Provider
) -> Iterator[openai.OpenAI]:
    """A proxy whose Redis may go away."""
    proxy = proxies.get(replace(plain_options, environment=mortal_redis.environment))
    with openai_client(proxy) as client:
        yield client


def test_a_first_turn_has_none_and_its_follow_ups_have_redis(sdk: openai.OpenAI, manner: Manner) -> None:
    first = ask(sdk, manner)
    second = ask(sdk, manner, after=first)
    third = ask(sdk, manner, after=second)
    assert [first.history, second.history, third.history] == ["none", "redis", "redis"]


def test_an_id_found_nowhere_has_none(sdk: openai.OpenAI, manner: Manner) -> None:
    assert ask(sdk, manner, after=unknown_id()).history == "none"


@IDENTITIES
def test_while_redis_is_away_a_follow_up_s_history_is_unavailable(
    mortal_sdk: openai.OpenAI, mortal_redis: RedisServer, manner: Manner
) -> None:
    first = ask(mortal_sdk, manner)
    mortal_redis.crash()
    try:
        follow_ups = [ask(mortal_sdk, manner, after=first).history for _ in range(4)]  # The breaker opens.
        assert follow_ups == ["unavailable"] * 4
        assert ask(mortal_sdk, manner).history == "none"
    finally:
        mortal_redis.start()
