"""A provider that always answers with one id, and LiteLLM's response cache: still one response, one conversation."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from lab.answers import Answer
from lab.asking import Asker, asking
from lab.custom_auth import bearer
from lab.exchange import Exchange
from lab.lines import Manner
from lab.provider import Provider
from lab.proxies import ProxyPool
from lab.proxy import Proxy, ProxyOptions
from lab.redis_server import GivenRedis, RedisServer

from .checks import check_remembers, marker
from .sizes import IDENTITIES

pytestmark = IDENTITIES

KEYS = [bearer(key="k1", user="alice"), bearer(key="k2", user="bob"), bearer(key="k3"), bearer(key="k4")]


def check_one_id(asker: Asker, exchange: Exchange) -> None:
    """Whatever event of a stream the client takes the id from, it continues this very response."""
    others = {given for given in exchange.reply.ids.values() if given} - {exchange.id}
    # From 1.100 on, all events carry the same id; before, the same response in another wrapper.
    for other in others:
        # Something else each time, or LiteLLM's cache would answer and the provider get nothing.
        assert asker.ask(marker(), other).said[:-1] == asker.ask(marker(), exchange).said[:-1]


def test_a_provider_that_repeats_its_id(identity_proxy: Proxy, provider: Provider, manner: Manner) -> None:
    said = marker()
    same_id = f"chatcmpl-{said}"
    provider.always(Answer("yes", id=same_id))
    with asking(identity_proxy, provider, manner) as asker:
        began = [(asker.as_key(key), f"{said} {number}") for number, key in enumerate(KEYS * 2)]
        firsts = [one.ask(text) for one, text in began]
        for (one, text), first in zip(began, firsts, strict=True):
            check_one_id(one, first)
            second = check_remembers(one, first, [text])
            check_one_id(one, second)
            third = one.ask("And?", second)
            assert third.said == [text, "yes", "And then?", "yes", "And?"]
        assert len({first.id for first in firsts}) == len(firsts)


def test_a_repeated_id_plain_then_stream_then_plain(identity_proxy: Proxy, provider: Provider) -> None:
    said = marker()
    with asking(identity_proxy, provider) as asker:
        first = asker.ask(said, answer=Answer("one", id=said))
        second = asker.with_manner(stream=True).ask("two?", first, answer=Answer("two", id=said))
        check_one_id(asker, second)
        third = asker.ask("three?", second, answer=Answer("three", id=said))
        assert third.said == [said, "one", "two?", "two", "three?"]
        assert asker.ask("other", first).said == [said, "one", "other"]


@pytest.fixture(params=["redis", "local"])
def cached_proxy(
    request: pytest.FixtureRequest,
    proxies: ProxyPool,
    identity_options: ProxyOptions,
    redis_server: RedisServer | GivenRedis,
) -> Proxy:
    """With LiteLLM's response cache switched on."""
    cache_params = {"type": request.param}
    if request.param == "redis":
        # Older releases do not find the address in the environment.
        address = urlsplit(redis_server.url)
        cache_params |= {"host": address.hostname, "port": address.port, "password": address.password}
    settings = {"cache": True, "cache_params": cache_params}
    return proxies.get(replace(identity_options, litellm_settings=settings))


def test_a_cached_answer_begins_a_conversation_of_its_own(
    cached_proxy: Proxy, provider: Provider, manner: Manner
) -> None:
    said = marker()
    provider.always(Answer("yes"))
    with asking(cached_proxy, provider, manner) as asker:
        began = [asker.as_key(key) for key in KEYS * 2]
        firsts = [one.ask(said) for one in began]
        assert [first.status for first in firsts] == [200] * len(firsts)
        assert sum(first.request is not None for first in firsts) < len(firsts), "the cache was not used"
        for number, (one, first) in enumerate(zip(began, firsts, strict=True)):
            check_one_id(one, first)
            # Something else each time, or the cache would answer once more and the provider get nothing.
            second = one.ask(f"{number}?", first)
            assert second.said == [said, "yes", f"{number}?"]
            check_one_id(one, second)
            assert one.ask(f"{number}!", second).said == [said, "yes", f"{number}?", "yes", f"{number}!"]
        assert len({first.id for first in firsts}) == len(firsts)


def test_a_cached_follow_up_has_its_own_place(cached_proxy: Proxy, provider: Provider, manner: Manner) -> None:
    said = marker()
    provider.always(Answer("yes"))
    with asking(cached_proxy, provider, manner, KEYS[0]) as asker:
        first = asker.ask(said)
        twins = [asker.ask("again?", first) for _ in range(3)]
        for number, twin in enumerate(twins):
            third = asker.ask(f"{number}?", twin)
            assert third.said == [said, "yes", "again?", "yes", f"{number}?"]
