"""The WebSocket form of `/v1/responses`: upstream knows what was said on a connection, the store all that came before.

Upstream keeps a connection's history in its memory; each message must reach the provider exactly once all the same.
"""

from __future__ import annotations

import pytest
from redis import Redis

from lab.answers import Answer, ToolCall
from lab.asking import Asker, asking_on_socket
from lab.custom_auth import bearer
from lab.exchange import Exchange
from lab.provider import Provider
from lab.proxies import ProxyPool
from lab.proxy import MODELS, Proxy, ProxyOptions
from lab.stored import TURNS, turns_of
from lab.wire import Call, Result

from .checks import unknown_id
from .sizes import IDENTITIES
from .test_unknown_ids import OPENAI_S_FIELDS

LOOK_UP = {"type": "function", "name": "look_up", "parameters": {"type": "object", "properties": {}}}


@pytest.mark.parametrize("model", MODELS)
def test_on_one_connection_each_message_reaches_the_provider_once(model: str, proxy: Proxy, provider: Provider) -> None:
    with asking_on_socket(proxy, provider, model) as ws:
        first = ws.ask("one")
        second = ws.ask("two", first)
        third = ws.ask("three", second)
        branch = ws.ask("other", first)
    assert third.said == ["one", first.reply.text, "two", second.reply.text, "three"]
    assert branch.said == ["one", first.reply.text, "other"]


@pytest.mark.parametrize("model", MODELS)
def test_a_new_connection_goes_on_where_the_last_one_ended(model: str, proxy: Proxy, provider: Provider) -> None:
    with asking_on_socket(proxy, provider, model) as ws:
        first = ws.ask("one")
        second = ws.ask("two", first)
    told = ["one", first.reply.text, "two", second.reply.text]
    with asking_on_socket(proxy, provider, model) as ws:
        third = ws.ask("three", second)
        fourth = ws.ask("four", third)
        fifth = ws.ask("five", fourth)
    assert third.said == [*told, "three"]
    assert fourth.said == [*told, "three", third.reply.text, "four"]
    assert fifth.said == [*told, "three", third.reply.text, "four", fourth.reply.text, "five"]
    with asking_on_socket(proxy, provider, model) as ws:
        assert ws.ask("six", fifth).said == [*fifth.said, fifth.reply.text, "six"]


@pytest.mark.parametrize("model", MODELS)
def test_tool_calls_and_results_go_out_once_across_connections(model: str, proxy: Proxy, provider: Provider) -> None:
    with asking_on_socket(proxy, provider, model) as ws:
        called = ws.ask("Look it up.", answer=Answer("", (ToolCall("look_up", "{}", "call_ws1"),)), tools=[LOOK_UP])
    (call_id,) = [call["call_id"] for call in called.reply.calls]
    result = [{"type": "function_call_output", "call_id": call_id, "output": "found"}]
    with asking_on_socket(proxy, provider, model) as ws:
        answered = ws.ask(result, called, tools=[LOOK_UP])
        last = ws.ask("And?", answered, tools=[LOOK_UP])
    for turn in (answered, last):
        calls = [call for message in turn.conversation for call in message.calls]
        results = [each for message in turn.conversation for each in message.results]
        sent_id = None if model == "gemini-model" else call_id
        assert calls == [Call("look_up", "{}", sent_id)]
        assert results == [Result("found", sent_id)]
    assert last.said == ["Look it up.", "found", answered.reply.text, "And?"]


def test_what_was_said_over_a_websocket_goes_on_over_http(proxy: Proxy, provider: Provider, asker: Asker) -> None:
    with asking_on_socket(proxy, provider, "chat-model") as ws:
        first = ws.ask("one")
    assert asker.ask("two", first.id).said == ["one", first.reply.text, "two"]


@IDENTITIES
def test_over_a_websocket_too_a_response_is_its_owner_s_alone(identity_proxy: Proxy, provider: Provider) -> None:
    with asking_on_socket(identity_proxy, provider, "chat-model", bearer(key="k1", user="alice")) as ws:
        first = ws.ask("one")
    with asking_on_socket(identity_proxy, provider, "chat-model", bearer(key="k2", user="bob")) as ws:
        assert ws.ask("two", first).said == ["two"]
    with asking_on_socket(identity_proxy, provider, "chat-model", bearer(key="k3", user="alice")) as ws:
        assert ws.ask("two", first).said == ["one", first.reply.text, "two"]


@IDENTITIES
def test_an_unknown_id_is_refused_over_a_websocket_and_the_connection_lives_on(
    proxies: ProxyPool, strict_options: ProxyOptions, provider: Provider
) -> None:
    with asking_on_socket(proxies.get(strict_options), provider, "chat-model") as ws:
        refused = ws.ask("hello", unknown_id())
        assert refused.conversation is None
        assert refused.reply.events[-1]["type"] == "error"
        error = refused.reply.events[-1]["error"]
        assert {name: error[name] for name in OPENAI_S_FIELDS} == OPENAI_S_FIELDS
        first = ws.ask("hello")
        assert ws.ask("And?", first).said == ["hello", first.reply.text, "And?"]


def test_a_turn_over_a_websocket_is_stored_once_as_over_http(
    proxy: Proxy, provider: Provider, asker: Asker, redis: Redis
) -> None:
    said = [f"{number} {'word ' * 100}" for number in range(8)]
    before = set(redis.scan_iter(TURNS))
    named = [0, 0]  # characters of the ids that were followed: over HTTP the proxy encrypts them
    with asking_on_socket(proxy, provider, "chat-model") as ws:
        turn: Exchange | None = None
        for text in said:
            named[0] += len(turn.id) if turn else 0
            turn = ws.ask(text, turn)
    (over_websocket,) = set(redis.scan_iter(TURNS)) - before
    first: Exchange | None = None
    for text in said:
        named[1] += len(first.id) if first else 0
        first = asker.with_manner(stream=True).ask(text, first)
    (over_http,) = set(redis.scan_iter(TURNS)) - before - {over_websocket}
    turns = [turns_of(redis, key) for key in (over_websocket, over_http)]
    sizes = [sum(map(len, each.values())) - characters for each, characters in zip(turns, named, strict=True)]
    assert [len(each) for each in turns] == [len(said)] * 2
    assert abs(sizes[0] - sizes[1]) < 500
