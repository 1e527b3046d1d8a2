"""LiteLLM remembers models' tool calls in its process, by the call's id alone, and some models number calls anew in
every reply. One caller's call never comes into another's request.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from redis import Redis

from lab.answers import Answer, ToolCall
from lab.asking import Asker, asking
from lab.client import sent
from lab.custom_auth import bearer
from lab.exchange import Exchange
from lab.lines import Manner
from lab.provider import Provider
from lab.proxy import Proxy
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.owner import owner_of

from .checks import marker, redis_holds
from .sizes import IDENTITIES

pytestmark = IDENTITIES

ALICE, BOB = bearer(key="k1", user="alice"), bearer(key="k2", user="bob")
OTHERS = {
    "another user": BOB,
    "another key": bearer(key="k3"),
    "an end user alone": bearer(key=None, end_user="eve"),
    "somebody of whom nothing is known": bearer(key=None),
}
# These two providers refuse a result without its call; others, such as xAI, take it, and then the turn is stored.
RESULTS_NEED_CALLS = ("anthropic-orphan-result", "deepseek-orphan-result")
LOOK_UP = {"type": "function", "name": "look_up", "parameters": {"type": "object", "properties": {}}}


@pytest.fixture
def alice(identity_proxy: Proxy, provider: Provider, manner: Manner) -> Iterator[Asker]:
    with asking(identity_proxy, provider, manner, ALICE) as asker:
        yield asker


def called(asker: Asker, secret: str, call_id: str) -> Exchange:
    """A reply that calls a tool with ``secret`` among its arguments."""
    call = ToolCall("look_up", json.dumps({"what": secret}), call_id)
    return asker.ask("Look it up.", answer=Answer("", (call,)), tools=[LOOK_UP])


def result_of(call_id: str) -> list[dict]:
    return [{"type": "function_call_output", "call_id": call_id, "output": "42"}]


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("before", ["nothing", "an unknown response", "a response that is not stored"])
def test_a_call_of_one_caller_never_comes_into_another_s_request(
    other: str, before: str, alice: Asker, redis: Redis
) -> None:
    secret = marker()
    (call,) = called(alice, secret, "functions.look_up:0").reply.calls
    stranger = alice.as_key(OTHERS[other])
    previous = {
        "nothing": lambda: None,
        "an unknown response": lambda: "chatcmpl-of-nobody",
        "a response that is not stored": lambda: stranger.ask("Forget this.", store=False).id,
    }[before]()
    with alice.provider.allow(*RESULTS_NEED_CALLS):
        as_of_nobody = stranger.ask(result_of("call_of_nobody"), previous, tools=[LOOK_UP])
        exchange = stranger.ask(result_of(call["call_id"]), previous, tools=[LOOK_UP])
    # Which refusal it is says nothing: LiteLLM takes a number in the error's text for its status, and the text names
    # the call by random digits.
    assert (exchange.status == 200) == (as_of_nobody.status == 200)
    assert not [each for each in exchange.requests if secret in json.dumps(each.body)]
    assert [len(each.conversation) for each in exchange.requests] == [
        len(each.conversation) for each in as_of_nobody.requests
    ]
    if exchange.status == 200 and "nothing is known" not in other:
        with alice.provider.allow(*RESULTS_NEED_CALLS):
            follow_up = stranger.ask("And then?", exchange)
        assert secret not in json.dumps(follow_up.request.body if follow_up.request else {})
        listed = stranger.client.http.get(
            f"/v1/responses/{exchange.id}/input_items", headers={"authorization": f"Bearer {stranger.key}"}
        )
        assert listed.status_code == 200 and secret not in listed.text


def test_a_caller_finds_its_own_call_as_in_litellm(alice: Asker, redis: Redis) -> None:
    secret = marker()
    (call,) = called(alice, secret, f"call_{secret}").reply.calls
    also_alice = alice.as_key(bearer(key="k9", user="alice"))
    # No provider takes a conversation that begins with the model's call.
    asked = {"role": "user", "content": "Look it up."}
    exchange = also_alice.ask([asked, *result_of(call["call_id"])], tools=[LOOK_UP])
    assert exchange.status == 200
    assert secret in json.dumps(exchange.request.body)
    assert redis_holds(redis, secret)


def test_a_request_by_another_route_finds_nobody_s_calls(alice: Asker, provider: Provider) -> None:
    """There the fork knows nobody, and a call's id is what its client writes."""
    secret = marker()
    (call,) = called(alice, secret, "call_0").reply.calls
    as_alices = f"{owner_of({'user_api_key_user_id': 'alice'}).identity} {call['call_id']}"
    for call_id in (call["call_id"], as_alices):
        body = {"model": alice.manner.model, "input": result_of(call_id), "tools": [LOOK_UP], "stream": False}
        alice.client.http.post("/cursor/chat/completions", **sent(body, BOB))
    later = provider.requests()[1:]
    assert not [each for each in later if secret in json.dumps(each.body)]
