"""A Redis that is back is used again by each worker within seconds, though nobody asks a proxy anything meanwhile.

That is seen in the proxy's log, so that no request plays a part in it.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import httpx
import pytest
from redis import Redis

from lab.asking import Asker, asking
from lab.exchange import Exchange
from lab.lines import Manner
from lab.processes import wait_until
from lab.provider import Provider
from lab.proxy import Proxy, ProxyOptions
from lab.redis_server import RedisServer
from lab.trees import tree

pytestmark = pytest.mark.xdist_group("back again")

WORKERS = 2
AT_ONCE = 8
BACK_SECONDS = 3
OPENING_SECONDS = 60
REFUSALS = 10
READING, STORING = "reading", "storing"


@pytest.fixture(scope="module")
def mortal_redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def mortal_proxy(running_provider: Provider, mortal_redis: RedisServer) -> Iterator[Proxy]:
    environment = {"REDIS_SESSION_PATCH_URL": mortal_redis.url}
    with Proxy(ProxyOptions(running_provider.url, tree("patched"), environment, num_workers=WORKERS)) as proxy:
        yield proxy


@pytest.fixture(params=[False, True], ids=["plain", "stream"])
def asker(request: pytest.FixtureRequest, mortal_proxy: Proxy, provider: Provider) -> Iterator[Asker]:
    with asking(mortal_proxy, provider, Manner(stream=request.param)) as asker:
        yield asker


class Log:
    """What the proxy's workers have said of their breakers since this was made."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._start = len(proxy.log_text())

    def opened(self, doing: str) -> int:
        return self._lines(f"Redis fails at {doing} conversations")

    def closed(self, doing: str) -> int:
        return self._lines(f"Redis works again for {doing} conversations")

    def _lines(self, text: str) -> int:
        return self._proxy.log_text()[self._start :].count(text)


def open_breakers(proxy: Proxy, provider: Provider, log: Log, *doing: str) -> None:
    """Asks until each worker has opened these. Connections of their own spread the requests over the workers."""
    tags = count(9_000_000)

    def converse(_: int) -> None:
        with asking(proxy, provider) as asker:
            first = asker.client.responses("chat-model", "hello", tag=next(tags))
            assert (
                asker.client.responses("chat-model", "And?", tag=next(tags), previous_response_id=first.id).status
                == 200
            )

    def are_open() -> bool:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(converse, range(AT_ONCE)))
        return all(log.opened(each) >= WORKERS for each in doing)

    wait_until(are_open, OPENING_SECONDS, f"open breakers for {' and '.join(doing)}", 0)


def wait_until_closed(log: Log, *doing: str) -> None:
    """Without a request."""

    def are_closed() -> bool:
        return all(log.closed(each) == log.opened(each) for each in doing)

    wait_until(are_closed, BACK_SECONDS, f"closed breakers for {' and '.join(doing)}")


def breakers(proxy: Proxy) -> dict[str, bool]:
    """Of one worker."""
    headers = {"authorization": f"Bearer {proxy.key}"}
    reply = httpx.get(f"{proxy.url}/health/session_store", headers=headers, timeout=30, trust_env=False)
    return reply.json()["breaker_open"]


def check_remembers(asker: Asker, first: Exchange) -> None:
    """The very next request has its history, and is stored, so that it is the next one's."""
    second = asker.ask("And?", first)
    assert second.said == ["hello", first.reply.text, "And?"]
    assert asker.ask("So?", second).said == [*second.said, second.reply.text, "So?"]


def test_after_a_pause_the_first_follow_up_has_its_history(
    asker: Asker, mortal_proxy: Proxy, mortal_redis: RedisServer, provider: Provider
) -> None:
    first, log = asker.ask("hello"), Log(mortal_proxy)
    mortal_redis.pause()
    try:
        open_breakers(mortal_proxy, provider, log, READING, STORING)
    finally:
        mortal_redis.resume()
    wait_until_closed(log, READING, STORING)
    check_remembers(asker, first)


def test_after_a_crash_the_first_turn_is_stored(
    asker: Asker, mortal_proxy: Proxy, mortal_redis: RedisServer, provider: Provider
) -> None:
    log = Log(mortal_proxy)
    mortal_redis.crash()
    try:
        open_breakers(mortal_proxy, provider, log, READING, STORING)
    finally:
        mortal_redis.start()
    wait_until_closed(log, READING, STORING)
    check_remembers(asker, asker.ask("hello"))


def test_while_redis_is_full_only_storing_waits_and_then_goes_on(
    asker: Asker, mortal_proxy: Proxy, mortal_redis: RedisServer, provider: Provider
) -> None:
    first, log = asker.ask("hello"), Log(mortal_proxy)
    with mortal_redis.client() as redis:
        redis.config_set("maxmemory", 1)
        try:
            open_breakers(mortal_proxy, provider, log, STORING)
            wait_until_asked(redis)
            assert log.closed(STORING) == log.opened(READING) == 0
            assert breakers(mortal_proxy) == {"read": False, "write": True}
            assert asker.ask("And?", first).said == ["hello", first.reply.text, "And?"]
        finally:
            redis.config_set("maxmemory", 0)
    wait_until_closed(log, STORING)
    check_remembers(asker, first)


def wait_until_asked(redis: Redis) -> None:
    """Until a full Redis has refused some questions more."""

    def refusals() -> Any:
        return redis.info("stats")["total_error_replies"]

    before = refusals()
    wait_until(lambda: refusals() >= before + REFUSALS, OPENING_SECONDS, "questions")


def test_a_proxy_ends_at_once_and_in_silence_while_redis_is_being_asked(
    running_provider: Provider, mortal_redis: RedisServer, provider: Provider
) -> None:
    environment = {"REDIS_SESSION_PATCH_URL": mortal_redis.url}
    with Proxy(ProxyOptions(running_provider.url, tree("patched"), environment, num_workers=WORKERS)) as proxy:
        log = Log(proxy)
        mortal_redis.pause()
        try:
            open_breakers(proxy, provider, log, READING, STORING)
            began = time.monotonic()
            proxy.signal(signal.SIGTERM)
            wait_until(lambda: not proxy.is_running(), OPENING_SECONDS, "the end of the proxy")
        finally:
            mortal_redis.resume()
        assert time.monotonic() - began < 10
        assert "was destroyed" not in proxy.log_text() and "unhandled exception" not in proxy.log_text()
