"""Nothing of a conversation appears in the proxy's log, whatever happens to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from lab.answers import Answer, ToolCall
from lab.asking import Asker
from lab.client import ResponsesClient
from lab.provider import Provider
from lab.proxies import ProxyPool
from lab.proxy import Proxy, ProxyOptions
from lab.redis_server import RedisServer

from .checks import check_remembers, marker
from .sizes import IDENTITIES

pytestmark = IDENTITIES

MAX_TURN_BYTES = 20_000


@pytest.fixture(scope="module")
def own_redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def tight_proxy(proxies: ProxyPool, plain_options: ProxyOptions, own_redis: RedisServer) -> Proxy:
    """A proxy with a Redis that may go away, and with a small limit."""
    settings = {
        **own_redis.environment,
        "REDIS_SESSION_PATCH_URL": own_redis.url,
        "REDIS_SESSION_PATCH_MAX_TURN_BYTES": str(MAX_TURN_BYTES),
    }
    return proxies.get(replace(plain_options, environment=settings))


@pytest.fixture
def tight(tight_proxy: Proxy, provider: Provider) -> Iterator[Asker]:
    with ResponsesClient(tight_proxy.url, tight_proxy.key) as client:
        yield Asker(client, provider)


def talk(asker: Asker, secret: str, size: int = 1) -> None:
    """A conversation that says ``secret`` everywhere, as a stream too."""
    for stream in (False, True):
        one = asker.with_manner(stream=stream)
        call = ToolCall(f"tool_{secret}", f'{{"x": "{secret}"}}')
        tools = [{"type": "function", "name": f"tool_{secret}", "parameters": {"type": "object", "properties": {}}}]
        first = one.ask(
            f"{secret} " * size, answer=Answer(f"re {secret} " * size, (call,)), instructions=secret, tools=tools
        )
        assert first.status == 200
        results = [
            {"type": "function_call_output", "call_id": each["call_id"], "output": secret} for each in first.reply.calls
        ]
        assert one.ask(results, first, answer=Answer(secret), tools=tools).status == 200


def test_a_conversation_that_is_stored_is_not_logged(tight: Asker, tight_proxy: Proxy) -> None:
    secret = marker()
    talk(tight, secret)
    check_remembers(tight, tight.ask(secret), [secret])
    assert secret not in tight_proxy.log_text()


def test_a_turn_that_is_too_long_is_named_by_its_size_alone(tight: Asker, tight_proxy: Proxy) -> None:
    secret = marker()
    talk(tight, secret, size=MAX_TURN_BYTES // len(secret))
    log = tight_proxy.log_text()
    assert f"over REDIS_SESSION_PATCH_MAX_TURN_BYTES={MAX_TURN_BYTES}" in log
    assert secret not in log


def test_with_redis_gone_neither_messages_nor_addresses_of_turns_are_logged(
    tight: Asker, tight_proxy: Proxy, own_redis: RedisServer
) -> None:
    secret = marker()
    own_redis.crash()
    try:
        for _ in range(3):
            talk(tight, secret)
    finally:
        own_redis.start()
    log = tight_proxy.log_text()
    assert "going on without it" in log
    assert secret not in log
