"""Stored responses of models with a Responses endpoint of their own: the provider's while it has them, then ours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from redis import Redis

from lab.answers import Answer
from lab.asking import Asker, asking
from lab.custom_auth import bearer
from lab.exchange import Exchange, texts_of
from lab.native_models import NATIVE, NATIVE_OTHER
from lab.provider import Provider
from lab.proxies import ProxyPool
from lab.proxy import ProxyOptions

from .checks import marker, redis_holds

BRIDGED = "chat-model"
STREAMS = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])


@pytest.fixture
def natives(proxies: ProxyPool, native_options: ProxyOptions, provider: Provider) -> Iterator[Asker]:
    options = replace(native_options, custom_auth=True)
    with asking(proxies.get(options), provider, key=bearer(user="ada")) as asker:
        yield asker


def call(asker: Asker, method: str, path: str) -> tuple[int, Any]:
    reply = asker.client.http.request(method, path, headers={"authorization": f"Bearer {asker.key}"})
    return reply.status_code, reply.json()


def listed(asker: Asker, response: Exchange) -> list[str]:
    status, page = call(asker, "GET", f"/v1/responses/{response.id}/input_items?order=asc")
    assert status == 200, page
    return [part["text"] for item in page["data"] for part in item["content"]]


@STREAMS
def test_it_is_got_and_listed_while_its_provider_has_it_and_after(stream: bool, natives: Asker) -> None:
    asker = natives.with_manner(NATIVE, stream)
    first = asker.ask("One.")
    second = asker.ask("Two.", first)
    texts = ["One.", first.reply.text, "Two."]
    for forgotten in (False, True):
        if forgotten:
            natives.provider.forget("one")
        status, body = call(asker, "GET", f"/v1/responses/{second.id}")
        assert (status, body["id"]) == (200, second.id)
        (message,) = body["output"]
        assert [message["content"][0]["text"], message["id"]] == [second.reply.text, second.reply.output[0]["id"]]
        assert body["previous_response_id"]
        assert sorted(listed(asker, second)) == sorted(texts)


def test_deleted_it_is_gone_at_the_provider_and_here(natives: Asker, redis: Redis) -> None:
    said = marker()
    asker = natives.with_manner(NATIVE)
    response = asker.ask(said)
    assert redis_holds(redis, said)
    assert call(asker, "DELETE", f"/v1/responses/{response.id}")[0] == 200
    assert not redis_holds(redis, said)
    for model in (NATIVE, BRIDGED):
        later = asker.with_manner(model).ask("And?", response)
        assert later.status == 400 and later.reply.body["error"]["code"] == "previous_response_not_found"
        assert not later.requests
    assert call(asker, "GET", f"/v1/responses/{response.id}")[0] == 404


def test_it_is_not_said_to_be_deleted_while_its_provider_has_it(natives: Asker, redis: Redis) -> None:
    said = marker()
    response = natives.with_manner(NATIVE).ask(said)
    address = f"/v1/responses/{response.id}"
    with natives.provider.down("one"):
        assert call(natives, "DELETE", address)[0] >= 500
    assert redis_holds(redis, said) and call(natives, "GET", address)[0] == 200
    natives.provider.forget("one")
    assert call(natives, "DELETE", address)[0] == 200 and not redis_holds(redis, said)


def test_where_the_setting_is_off_again_its_provider_is_asked_all_the_same(
    natives: Asker, proxies: ProxyPool, native_options: ProxyOptions, redis: Redis
) -> None:
    said = marker()
    response = natives.with_manner(NATIVE).ask(said)
    assert said in str(natives.provider.accounts.held("one"))
    off = {name: value for name, value in native_options.environment.items() if not name.endswith("_NATIVE")}
    options = replace(native_options, custom_auth=True, environment=off)
    with asking(proxies.get(options), natives.provider, key=bearer(user="ada")) as asker:
        assert call(asker, "DELETE", f"/v1/responses/{response.id}")[0] == 200
    assert not redis_holds(redis, said)
    assert said not in str(natives.provider.accounts.held("one"))


@pytest.mark.parametrize("model", [NATIVE, BRIDGED, NATIVE_OTHER])
def test_another_caller_has_nothing_of_it(model: str, natives: Asker) -> None:
    response = natives.with_manner(NATIVE).ask("Mine.")
    other = natives.as_key(bearer(user="bob")).with_manner(model)
    asked = other.ask("And?", response)
    assert all("Mine." not in texts_of(each.conversation) for each in asked.requests)
    assert call(other, "GET", f"/v1/responses/{response.id}")[0] in (403, 404)


@STREAMS
def test_what_is_not_to_be_stored_is_not(stream: bool, natives: Asker, redis: Redis) -> None:
    said = marker()
    asker = natives.with_manner(NATIVE, stream)
    response = asker.ask(said, store=False)
    assert response.status == 200 and not redis_holds(redis, said)
    asker.ask(said + "b", **{"no-log": True})
    assert not redis_holds(redis, said + "b")


def test_the_header_and_the_metrics_say_who_had_the_history(natives: Asker) -> None:
    first = natives.with_manner(NATIVE).ask("One.")
    second = natives.with_manner(NATIVE).ask("Two.", first)
    third = natives.with_manner(BRIDGED).ask("Three.", second)
    fourth = natives.with_manner(NATIVE).ask("Four.", third)
    words = [each.reply.headers["x-litellm-session-history"] for each in (first, second, third, fourth)]
    assert words == ["none", "provider", "redis", "redis"]


def test_an_incomplete_answer_is_followed(natives: Asker) -> None:
    first = natives.with_manner(NATIVE).ask("One.", answer=Answer("It was a dark and", finish="length"))
    assert first.reply.body["status"] == "incomplete"
    second = natives.with_manner(BRIDGED).ask("Go on.", first)
    assert second.said == ["One.", "It was a dark and", "Go on."]
