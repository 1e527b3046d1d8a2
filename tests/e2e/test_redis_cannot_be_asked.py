"""A Redis that is down or full, on a proxy without a database that must not forget in silence (`ON_MISS=error`).

Its Redis is of its own: tests stop it and fill it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import httpx
import pytest

from lab.answers import Answer
from lab.asking import Asker, asking, asking_on_socket
from lab.exchange import Exchange
from lab.lines import Manner
from lab.processes import wait_until
from lab.provider import Provider
from lab.proxies import ProxyPool
from lab.proxy import Proxy, ProxyOptions
from lab.redis_server import RedisServer

from .checks import check_remembers, marker, unknown_id
from .sizes import IDENTITIES

pytestmark = IDENTITIES

BACK_SECONDS = 30


@pytest.fixture(scope="module")
def mortal_redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def strict_proxy(proxies: ProxyPool, plain_options: ProxyOptions, mortal_redis: RedisServer) -> Proxy:
    environment = {**mortal_redis.environment, "REDIS_SESSION_PATCH_ON_MISS": "error"}
    return proxies.get(replace(plain_options, environment=environment))


@pytest.fixture
def strict(manner: Manner, strict_proxy: Proxy, provider: Provider) -> Iterator[Asker]:
    with asking(strict_proxy, provider, manner) as asker:
        yield asker


@contextmanager
def stopped(server: RedisServer, proxy: Proxy, provider: Provider) -> Iterator[None]:
    """Without Redis inside; afterwards it is back, empty, and the proxy has noticed."""
    server.crash()
    try:
        yield
    finally:
        server.start()
        with asking(proxy, provider) as asker:
            wait_until(lambda: asker.ask("And?", asker.ask("hello")).status == 200, BACK_SECONDS, "Redis", 0.2)


def check_is_to_be_tried_again(got: Exchange) -> None:
    assert (got.status, got.request, got.reply.events) == (503, None, ())
    error = got.reply.body["error"]
    assert (error["code"], error["param"]) == ("previous_response_unavailable", "previous_response_id")
    assert "Try again" in error["message"]
    assert int(got.reply.headers["retry-after"]) > 0


def test_a_follow_up_is_to_be_tried_again_and_then_remembers(
    strict: Asker, strict_proxy: Proxy, mortal_redis: RedisServer, provider: Provider
) -> None:
    with stopped(mortal_redis, strict_proxy, provider):
        first = strict.ask("hello")
        assert first.status == 200
        check_is_to_be_tried_again(strict.ask("And?", first))
    check_remembers(strict, strict.ask("hello again"), ["hello again"])


def test_a_conversation_from_before_the_pause_is_whole_after_it(
    strict: Asker, strict_proxy: Proxy, mortal_redis: RedisServer
) -> None:
    first = strict.ask("hello")
    mortal_redis.pause()
    try:
        check_is_to_be_tried_again(strict.ask("And?", first))
    finally:
        mortal_redis.resume()
    wait_until(lambda: strict.ask("And?", first).status == 200, BACK_SECONDS, "Redis behind the proxy", 0.2)
    check_remembers(strict, first, ["hello"])


@pytest.mark.parametrize(
    ("method", "path"), [("GET", ""), ("GET", "/input_items"), ("POST", "/cancel"), ("DELETE", "")], ids=str
)
def test_a_stored_response_is_to_be_asked_for_again(
    method: str, path: str, strict_proxy: Proxy, mortal_redis: RedisServer, provider: Provider
) -> None:
    with asking(strict_proxy, provider) as asker:
        address = f"{strict_proxy.url}/v1/responses/{asker.ask('hello').id}{path}"
    headers = {"authorization": f"Bearer {strict_proxy.key}"}
    with stopped(mortal_redis, strict_proxy, provider):
        got = httpx.request(method, address, headers=headers)
        assert (got.status_code, got.json()["error"]["type"]) == (503, "server_error")
        assert int(got.headers["retry-after"]) > 0
    assert httpx.request(method, address, headers=headers).status_code == 404, "Redis is empty now"


def test_in_one_connection_nothing_is_forgotten_without_redis(
    strict_proxy: Proxy, mortal_redis: RedisServer, provider: Provider
) -> None:
    with stopped(mortal_redis, strict_proxy, provider), asking_on_socket(strict_proxy, provider, "chat-model") as ws:
        first = ws.ask("one")
        second = ws.ask("two", first)
        assert ws.ask("three", second).said == ["one", first.reply.text, "two", second.reply.text, "three"]


def test_a_connection_that_redis_leaves_and_comes_back_to_goes_on_and_is_stored(
    strict_proxy: Proxy, mortal_redis: RedisServer, provider: Provider
) -> None:
    with asking_on_socket(strict_proxy, provider, "chat-model") as ws:
        said: list[str] = []
        turn = say(ws, None, said, "one")
        with stopped(mortal_redis, strict_proxy, provider):
            turn = say(ws, turn, said, "two")
            turn = say(ws, turn, said, "three")
        turn = say(ws, turn, said, "four")
    with asking_on_socket(strict_proxy, provider, "chat-model") as ws:
        say(ws, turn, said, "five")


def say(ws: Asker, before: Exchange | None, said: list[str], text: str) -> Exchange:
    """One more turn, which reaches the provider with all that was said."""
    turn = ws.ask(text, before)
    assert turn.said == [*said, text]
    said += [text, turn.reply.text]
    return turn


def test_reconnecting_without_redis_is_to_be_tried_again(
    strict_proxy: Proxy, mortal_redis: RedisServer, provider: Provider
) -> None:
    with (
        stopped(mortal_redis, strict_proxy, provider),
        asking_on_socket(strict_proxy, provider, "chat-model") as ws,
    ):
        refused = ws.ask("hello", unknown_id())
        assert (refused.conversation, refused.reply.events[-1]["status"]) == (None, 503)
        assert refused.reply.events[-1]["error"]["code"] == "previous_response_unavailable"


def test_with_a_full_redis_a_repeated_id_does_not_lead_to_another_s_conversation(
    strict: Asker, mortal_redis: RedisServer, provider: Provider
) -> None:
    same_id = marker()
    provider.always(Answer("yes", id=same_id))
    first = strict.ask("a secret")
    with mortal_redis.client() as redis:
        redis.config_set("maxmemory", 1)
        try:
            second = strict.ask("something else")
            assert second.status == 200
            got = strict.ask("What do you know?", second)
            assert got.request is None or got.said == ["What do you know?"]
            check_remembers(strict, first, ["a secret"])  # What it holds, a full Redis still serves.
        finally:
            redis.config_set("maxmemory", 0)
    wait_until(
        lambda: strict.ask("And?", strict.ask("hello")).status == 200, BACK_SECONDS, "Redis behind the proxy", 0.2
    )
