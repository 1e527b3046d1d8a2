"""An item that a client refers to by its id is the item of a stored response of its owner, as at OpenAI."""

from __future__ import annotations

from typing import Any

import pytest

from lab.answers import Answer, ToolCall
from lab.asking import Asker, asking, asking_on_socket
from lab.custom_auth import bearer
from lab.exchange import Exchange
from lab.provider import Provider
from lab.proxy import Proxy
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.ids import item_place_of

from .checks import unknown_id
from .raw import openai_client

STREAMS = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
MODELS = pytest.mark.parametrize("model", ["claude-model", "gemini-model", "chat-model"])
LOOK_UP = {"type": "function", "name": "look_up", "parameters": {"type": "object", "properties": {}}}


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def reference(item_id: str) -> dict[str, str]:
    return {"type": "item_reference", "id": item_id}


def item_ids(exchange: Exchange) -> list[str]:
    return [item["id"] for item in exchange.reply.body["output"]]


@STREAMS
@MODELS
def test_an_answer_is_named_instead_of_sent_as_the_vercel_sdk_does(model: str, stream: bool, asker: Asker) -> None:
    """Without a previous id: each request is a conversation of its own."""
    asker = asker.with_manner(model, stream)
    first = asker.ask([user("hello")])
    said: list[Any] = [user("hello"), *map(reference, item_ids(first)), user("and?")]
    second = asker.ask(said)
    assert second.said == ["hello", first.reply.text, "and?"]
    third = asker.ask([*said, *map(reference, item_ids(second)), user("so?")])
    assert third.said == ["hello", first.reply.text, "and?", second.reply.text, "so?"]
    fourth = asker.ask("last", third)
    assert fourth.said == [*third.said, third.reply.text, "last"]


@STREAMS
@MODELS
def test_a_call_is_named_too(model: str, stream: bool, asker: Asker) -> None:
    asker = asker.with_manner(model, stream)
    first = asker.ask([user("look")], answer=Answer(None, (ToolCall("look_up", '{"a": 1}'),)), tools=[LOOK_UP])
    (call,) = first.reply.calls
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "42"}
    second = asker.ask([user("look"), reference(call["id"]), result], tools=[LOOK_UP])
    assert second.status == 200 and second.said == ["look", "42"]
    assert second.request is not None
    assert [call.arguments for message in second.request.conversation for call in message.calls] == ['{"a": 1}']


def test_a_listed_input_item_is_named(asker: Asker, proxy: Proxy) -> None:
    second = asker.ask("and?", asker.ask("hello"))
    with openai_client(proxy) as client:
        by_text = {item.content[0].text: item.id for item in client.responses.input_items.list(second.id)}
    assert asker.ask([reference(by_text["hello"]), user("so?")]).said == ["hello", "so?"]
    assert asker.ask([reference(by_text["and?"]), user("so?")]).said == ["and?", "so?"]


def test_what_is_listed_is_the_item_itself(asker: Asker, proxy: Proxy) -> None:
    first = asker.ask([user("hello")])
    second = asker.ask([user("hello"), *map(reference, item_ids(first)), user("and?")])
    with openai_client(proxy) as client:
        listed = list(client.responses.input_items.list(second.id, order="asc"))
    assert [item.type for item in listed] == ["message"] * 3
    assert [item.content[0].text for item in listed] == ["hello", first.reply.text, "and?"]


@STREAMS
def test_the_same_item_has_the_same_id_in_every_event_and_in_what_is_stored(
    stream: bool, asker: Asker, proxy: Proxy
) -> None:
    answer = Answer("text", (ToolCall("look_up"),))
    first = asker.with_manner(stream=stream).ask("hello", answer=answer, tools=[LOOK_UP])
    ids = item_ids(first)
    assert len(set(ids)) == 2 and all(map(item_place_of, ids))
    named = [event.get("item_id") or event.get("item", {}).get("id") for event in first.reply.events]
    assert set(filter(None, named)) == (set(ids) if stream else set())
    with openai_client(proxy) as client:
        assert [item.id for item in client.responses.retrieve(first.id).output] == ids


def test_over_a_websocket_too(proxy: Proxy, provider: Provider, asker: Asker) -> None:
    first = asker.ask([user("hello")])
    with asking_on_socket(proxy, provider, "chat-model") as over_socket:
        second = over_socket.ask([user("hello"), *map(reference, item_ids(first)), user("and?")])
    assert second.said == ["hello", first.reply.text, "and?"]


@pytest.mark.parametrize("store", [True, False])
def test_an_unknown_item_is_refused_as_openai_does(store: bool, asker: Asker) -> None:
    forgotten = asker.ask("hello", store=False)
    for item_id in (*item_ids(forgotten), "msg_1234", unknown_id()):
        refused = asker.ask([reference(item_id), user("and?")], store=store)
        assert refused.status == 404 and not refused.requests
        error = refused.reply.body["error"]
        assert error["message"].startswith(f"Item with id '{item_id}' not found.")
        assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", "input", None)
        assert ("`store` is set to false" in error["message"]) is not store


def test_an_item_of_another_owner_is_unknown(identity_proxy: Proxy, provider: Provider) -> None:
    alice, bob = bearer(key="k1", user="alice"), bearer(key="k2", user="bob")
    with asking(identity_proxy, provider) as asker:
        first = asker.as_key(alice).ask([user("hello")])
        (item_id,) = item_ids(first)
        assert asker.as_key(alice).ask([reference(item_id), user("and?")]).said == [first.reply.text, "and?"]
        refused = asker.as_key(bob).ask([reference(item_id), user("and?")])
    assert refused.status == 404 and not refused.requests
    assert refused.reply.body["error"]["message"] == f"Item with id '{item_id}' not found."
