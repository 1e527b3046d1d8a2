"""What must not be kept is not: `store: false`, and message logging that is turned off."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from redis import Redis

from lab.asking import Asker, asking
from lab.custom_auth import bearer
from lab.exchange import Exchange
from lab.lines import Manner
from lab.provider import Provider
from lab.proxies import ProxyPool
from lab.proxy import Proxy, ProxyOptions

from .checks import check_is_unknown, check_remembers, marker, redis_holds
from .sizes import IDENTITIES

pytestmark = IDENTITIES

OFF_FOR_THE_KEY = bearer(
    key="discreet",
    metadata={"logging": [{"callback_name": "langfuse", "callback_vars": {"turn_off_message_logging": True}}]},
)
OFF_FOR_THE_REQUEST = {"x-litellm-enable-message-redaction": "true"}


@pytest.fixture
def identified(identity_proxy: Proxy, provider: Provider, manner: Manner) -> Iterator[Asker]:
    with asking(identity_proxy, provider, manner) as asker:
        yield asker


def check_is_not_stored(asker: Asker, secret: str, first: Exchange, redis: Redis) -> None:
    assert first.status == 200
    assert not redis_holds(redis, secret)
    check_is_unknown(asker, first.id)


def test_what_the_client_does_not_want_stored_is_not(identified: Asker, redis: Redis) -> None:
    secret = marker()
    check_is_not_stored(identified, secret, identified.ask(secret, store=False), redis)


def test_a_turn_that_is_not_stored_does_not_hide_the_ones_before(identified: Asker, redis: Redis) -> None:
    secret = marker()
    first = identified.ask("I am here.")
    unstored = identified.ask(secret, first, store=False)
    assert unstored.said == ["I am here.", first.reply.text, secret]
    check_is_not_stored(identified, secret, unstored, redis)
    check_remembers(identified, first, ["I am here."])


def test_a_request_without_message_logging_is_not_stored(identified: Asker, redis: Redis) -> None:
    secret = marker()
    identified.client.http.headers.update(OFF_FOR_THE_REQUEST)
    check_is_not_stored(identified, secret, identified.ask(secret), redis)


# Older releases log such a key's messages all the same; the fork keeps none of them there either.
def test_a_key_without_message_logging_stores_nothing(identified: Asker, redis: Redis) -> None:
    secret = marker()
    asker = identified.as_key(OFF_FOR_THE_KEY)
    check_is_not_stored(asker, secret, asker.ask(secret), redis)


def test_an_ordinary_request_is_stored(identified: Asker, redis: Redis) -> None:
    said = marker()
    first = identified.ask(said)
    assert redis_holds(redis, said)
    check_remembers(identified, first, [said])


def test_a_proxy_without_message_logging_stores_nothing_and_says_so(
    manner: Manner, proxies: ProxyPool, plain_options: ProxyOptions, provider: Provider, redis: Redis
) -> None:
    proxy = proxies.get(replace(plain_options, litellm_settings={"turn_off_message_logging": True}))
    secret = marker()
    with asking(proxy, provider, manner) as asker:
        check_is_not_stored(asker, secret, asker.ask(secret), redis)
    assert "message logging is off, so nothing is stored" in proxy.log_text()


def test_the_operator_may_store_without_message_logging(
    manner: Manner, proxies: ProxyPool, open_options: ProxyOptions, provider: Provider
) -> None:
    proxy = proxies.get(open_options)
    with asking(proxy, provider, manner) as asker:
        check_remembers(asker, asker.ask("I am here."), ["I am here."])
    assert "nothing is stored" not in proxy.log_text()
