"""What must not be kept is not: `store: false`, message logging that is turned off, a reply that was refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from redis import Redis

from lab.answers import Answer
from lab.asking import Asker, asking
from lab.custom_auth import bearer
from lab.exchange import Exchange
from lab.lines import Manner
from lab.processes import wait_until
from lab.provider import Provider
from lab.proxies import ProxyPool
from lab.proxy import Proxy, ProxyOptions

from .checks import check_is_unknown, check_remembers, marker, redis_holds
from .hooks import REFUSE_THE_REPLY, REFUSE_WHILE_ANSWERED
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


def test_a_request_that_is_not_to_be_logged_is_not_stored(identified: Asker, redis: Redis) -> None:
    secret = marker()
    check_is_not_stored(identified, secret, identified.ask(secret, **{"no-log": True}), redis)


def test_where_the_operator_logs_all_the_same_it_is_stored(
    manner: Manner, proxies: ProxyPool, plain_options: ProxyOptions, provider: Provider, redis: Redis
) -> None:
    options = replace(plain_options, litellm_settings={"global_disable_no_log_param": True})
    with asking(proxies.get(options), provider, manner) as asker:
        check_remembers(asker, asker.ask("I am here.", **{"no-log": True}), ["I am here."])


@pytest.fixture
def hooked(proxies: ProxyPool, hooked_options: ProxyOptions, provider: Provider, manner: Manner) -> Iterator[Asker]:
    with asking(proxies.get(hooked_options), provider, manner, bearer(user="alice")) as asker:
        yield asker


def test_a_reply_that_a_guardrail_refused_is_not_stored(hooked: Asker, redis: Redis) -> None:
    first, secret = hooked.ask("I am here."), marker()
    refused = hooked.ask(secret, first, answer=Answer(f"{REFUSE_THE_REPLY} {secret}"))
    # A stream ends with an error, or breaks off.
    assert refused.status == 400 or "response.completed" not in [each["type"] for each in refused.reply.events]
    assert not redis_holds(redis, secret)
    for response_id in filter(None, refused.reply.ids.values()):
        assert hooked.ask("And?", response_id).said == ["And?"]
    check_remembers(hooked, first, ["I am here."])


def test_a_request_that_is_refused_while_the_model_answers_is_not_stored(
    hooked: Asker, provider: Provider, redis: Redis
) -> None:
    """A hook that runs beside the model ends the request; the model's answer still comes."""
    secret = marker()
    refused = hooked.ask(f"{REFUSE_WHILE_ANSWERED} {secret}", answer=Answer("too late", gate=secret))
    assert refused.status == 400
    if not hooked.manner.stream:  # Of a stream the model may be asked later, and is not.
        wait_until(lambda: provider.requests(when=secret), 20, "the model's request")
    provider.release(secret)
    # The next request of the same proxy is answered after it.
    check_remembers(hooked, hooked.ask("I am here."), ["I am here."])
    assert not redis_holds(redis, secret)


def test_a_form_s_reply_that_a_guardrail_refused_is_not_stored(
    proxies: ProxyPool, hooked_options: ProxyOptions, provider: Provider, redis: Redis
) -> None:
    """LiteLLM takes a request as a form too, whose body is read only once."""
    secret = marker()
    provider.script(Answer(f"{REFUSE_THE_REPLY} {secret}"))
    with asking(proxies.get(hooked_options), provider, key=bearer(user="alice")) as asker:
        key = {"authorization": f"Bearer {asker.key}"}
        reply = asker.client.http.post("/v1/responses", data={"model": "chat-model", "input": secret}, headers=key)
    assert reply.status_code == 400 and provider.requests(when=secret)
    assert not redis_holds(redis, secret)
