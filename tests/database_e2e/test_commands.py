"""With a database too a follow-up asks Redis twice: once for its history, and once to be stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from lab.asking import Asker, asking, asking_on_socket
from lab.client import ResponsesClient
from lab.lines import Manner
from lab.monitor import monitored
from lab.provider import Provider
from lab.proxy import Proxy
from lab.redis_server import RedisServer

FOLLOW_UPS = 3

WAYS: dict[str, Callable[[Proxy, Provider], AbstractContextManager[Asker]]] = {
    "plain": asking,
    "streamed": lambda proxy, provider: asking(proxy, provider, Manner(stream=True)),
    "over a WebSocket": lambda proxy, provider: asking_on_socket(proxy, provider, "chat-model"),
}


@pytest.fixture(params=WAYS)
def asker(
    request: pytest.FixtureRequest,
    with_patch: ResponsesClient,
    proxy_named: Callable[[str], Proxy],
    provider: Provider,
) -> Iterator[Asker]:
    with WAYS[request.param](proxy_named("with_patch"), provider) as asker:
        yield asker


def test_a_follow_up_is_read_by_one_command_and_stored_by_one(asker: Asker, mortal_redis: RedisServer) -> None:
    last = asker.ask("And?", asker.ask("hello"))
    with monitored(mortal_redis.host, mortal_redis.port) as seen:
        for _ in range(FOLLOW_UPS):
            last = asker.ask("And?", last)
    assert seen.of_ours == ["EVALSHA", "EVALSHA"] * FOLLOW_UPS
    assert len(last.said) == 2 * (1 + FOLLOW_UPS) + 1
