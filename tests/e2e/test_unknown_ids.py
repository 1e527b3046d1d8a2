"""An id that is found nowhere: as upstream treats it, or OpenAI's error where the operator wants that."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis import Redis

from lab.asking import Asker, asking
from lab.custom_auth import bearer
from lab.exchange import Exchange
from lab.lines import Manner
from lab.provider import Provider
from lab.proxies import ProxyPool
from lab.proxy import Proxy, ProxyOptions
from lab.stored import TURNS, end_lives

from .checks import check_remembers, unknown_id
from .sizes import IDENTITIES
from .upstream import CHECKS_EVERY_KEY

pytestmark = IDENTITIES

OPENAI_S_FIELDS = {
    "type": "invalid_request_error",
    "param": "previous_response_id",
    "code": "previous_response_not_found",
}


@pytest.fixture
def strict(manner: Manner, proxies: ProxyPool, strict_options: ProxyOptions, provider: Provider) -> Iterator[Asker]:
    with asking(proxies.get(strict_options), provider, manner) as asker:
        yield asker


@pytest.fixture
def tolerant(manner: Manner, identity_proxy: Proxy, provider: Provider) -> Iterator[Asker]:
    with asking(identity_proxy, provider, manner) as asker:
        yield asker


def check_is_refused(exchange: Exchange) -> None:
    assert exchange.request is None, "the provider was asked all the same"
    assert (exchange.status, exchange.reply.events) == (400, ())
    assert exchange.reply.body.keys() == {"error"}
    error = dict(exchange.reply.body["error"])
    assert isinstance(error.pop("message"), str)
    assert error == OPENAI_S_FIELDS


def test_by_default_an_unknown_id_is_no_history(tolerant: Asker) -> None:
    got = tolerant.ask("hello", unknown_id())
    assert (got.status, got.said) == (200, ["hello"])


def test_after_an_unknown_id_a_conversation_begins(tolerant: Asker) -> None:
    check_remembers(tolerant, tolerant.ask("hello", unknown_id()), ["hello"])


def test_an_unknown_id_is_refused_as_openai_does(strict: Asker) -> None:
    check_is_refused(strict.ask("hello", unknown_id()))


def test_a_known_id_is_not_refused(strict: Asker) -> None:
    check_remembers(strict, strict.ask("hello"), ["hello"])


def test_an_expired_response_is_refused(strict: Asker, redis: Redis) -> None:
    before = set(redis.scan_iter(TURNS))
    first = strict.ask("hello")
    (key,) = set(redis.scan_iter(TURNS)) - before
    end_lives(redis, key)
    check_is_refused(strict.ask("And?", first))


def test_a_response_whose_turns_are_gone_is_refused(strict: Asker, redis: Redis) -> None:
    before = set(redis.scan_iter(TURNS))
    first = strict.ask("hello")
    redis.delete(*set(redis.scan_iter(TURNS)) - before)
    check_is_refused(strict.ask("And?", first))


def test_somebody_else_s_response_is_refused_in_the_same_words(strict: Asker) -> None:
    first = strict.as_key(bearer(key="k1")).ask("hello")
    stranger = strict.as_key(bearer(key="k2"))
    got = stranger.ask("And?", first)
    if CHECKS_EVERY_KEY and got.status == 403:
        assert got.requests == ()
        pytest.skip("this release refuses it itself, in its own words")
    check_is_refused(got)
    assert got.reply.body == strict.ask("And?", unknown_id()).reply.body
