"""An id that is found nowhere: as upstream treats it, or OpenAI's error where the operator wants that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from redis import Redis

from tests.support.custom_auth import bearer
from tests.support.processes import wait_until
from tests.support.provider import Provider
from tests.support.proxies import ProxyPool
from tests.support.proxy import ProxyOptions
from tests.support.replay import Setting

from .asking import Asker, Exchange, asking, check_remembers, unknown_id

ON_MISS_ERROR = {"REDIS_SESSION_PATCH_ON_MISS": "error", "REDIS_SESSION_PATCH_TTL": "3"}
OPENAI_S_FIELDS = {
    "type": "invalid_request_error",
    "param": "previous_response_id",
    "code": "previous_response_not_found",
}


@pytest.fixture
def strict(setting: Setting, proxies: ProxyPool, identity_options: ProxyOptions, provider: Provider) -> Iterator[Asker]:
    proxy = proxies.get(strict_options(identity_options))
    with asking(proxy, provider, setting) as asker:
        yield asker


def strict_options(options: ProxyOptions) -> ProxyOptions:
    """Unknown ids are refused; conversations live for seconds."""
    return replace(options, environment={**options.environment, **ON_MISS_ERROR})


def check_is_refused(exchange: Exchange) -> None:
    assert exchange.request is None, "the provider was asked all the same"
    assert (exchange.status, exchange.reply.events) == (400, ())
    assert exchange.reply.body.keys() == {"error"}
    error = dict(exchange.reply.body["error"])
    assert isinstance(error.pop("message"), str)
    assert error == OPENAI_S_FIELDS


def test_by_default_an_unknown_id_is_no_history(setting: Setting, asker: Asker) -> None:
    got = asker.with_setting(setting.model, setting.stream).ask("hello", unknown_id())
    assert (got.status, got.said) == (200, ["hello"])


def test_after_an_unknown_id_a_conversation_begins(setting: Setting, asker: Asker) -> None:
    asker = asker.with_setting(setting.model, setting.stream)
    check_remembers(asker, asker.ask("hello", unknown_id()), ["hello"])


def test_an_unknown_id_is_refused_as_openai_does(strict: Asker) -> None:
    check_is_refused(strict.ask("hello", unknown_id()))


def test_a_known_id_is_not_refused(strict: Asker) -> None:
    check_remembers(strict, strict.ask("hello"), ["hello"])


def test_an_expired_response_is_refused(strict: Asker, redis: Redis) -> None:
    before = set(redis.scan_iter("litellm_patch:session:*"))
    first = strict.ask("hello")
    (key,) = set(redis.scan_iter("litellm_patch:session:*")) - before
    wait_until(lambda: not redis.exists(key), 30, "the end of the response's life")
    check_is_refused(strict.ask("And?", first))


def test_a_response_whose_turns_are_gone_is_refused(strict: Asker, redis: Redis) -> None:
    before = set(redis.scan_iter("litellm_patch:turns:*"))
    first = strict.ask("hello")
    redis.delete(*set(redis.scan_iter("litellm_patch:turns:*")) - before)
    check_is_refused(strict.ask("And?", first))


def test_somebody_else_s_response_is_refused_in_the_same_words(strict: Asker) -> None:
    first = strict.as_key(bearer(key="k1")).ask("hello")
    stranger = strict.as_key(bearer(key="k2"))
    got = stranger.ask("And?", first)
    check_is_refused(got)
    assert got.reply.body == strict.ask("And?", unknown_id()).reply.body
