"""Conversation objects for bridged models: OpenAI's own client finds here what it finds at OpenAI.

Where the rules are from: A, OpenAI's reference (openai/openai-openapi, /conversations); B, recordings of api.openai.com
in vllm-project/agentic-api (tests/cassettes/conversations, …-openai.yaml); C, error traces of it in
microsoft/agent-framework; D, probes of it in tests of public proxies; F, reports of users (named there).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from openai.types.responses import Response
from redis import Redis

from lab.answers import Answer, ToolCall
from lab.asking import asking_on_socket
from lab.exchange import texts_of
from lab.lines import Manner
from lab.provider import Provider
from lab.proxy import Proxy

from .checks import marker, redis_holds
from .raw import openai_client
from .test_stored_responses import ANSWERS, PREFIXES, TOOLS, create, input_of, refused, texts_in

CHAT = Manner("chat-model")
MISSING = "conv_0123456789a"


@pytest.fixture
def sdk(proxy: Proxy, provider: Provider) -> Iterator[openai.OpenAI]:
    with openai_client(proxy) as client:
        yield client


@pytest.fixture
def http(proxy: Proxy) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {proxy.key}"}
    with httpx.Client(base_url=f"{proxy.url}/v1", headers=headers, timeout=60) as client:
        yield client


def message(text: str, role: str = "user", **fields: Any) -> Any:
    return {"type": "message", "role": role, "content": text, **fields}


def made(sdk: openai.OpenAI, *texts: str, **params: Any) -> str:
    return sdk.conversations.create(items=[message(text) for text in texts], **params).id


def items_in(sdk: openai.OpenAI, conversation: str, order: Any = "asc", **params: Any) -> list[dict[str, Any]]:
    """All pages of them."""
    return [item.to_dict() for item in sdk.conversations.items.list(conversation, order=order, **params)]


def said_in(sdk: openai.OpenAI, conversation: str) -> list[str]:
    return texts_in(items_in(sdk, conversation))


def sent(provider: Provider) -> list[str]:
    """The texts that the model was last sent."""
    return texts_of(provider.requests()[-1].conversation)


def error_of(status: int, message: str, param: str | None = None, code: str | None = None) -> tuple[int, Any]:
    return status, {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}


# --- the object


def test_a_conversation_is_made_retrieved_and_deleted(sdk: openai.OpenAI) -> None:
    """A: bodies; C: "DELETE is NOT idempotent"."""
    made = sdk.conversations.create(metadata={"topic": "demo"})
    assert made.id.startswith("conv_") and made.object == "conversation" and made.metadata == {"topic": "demo"}
    assert isinstance(made.created_at, int)
    assert sdk.conversations.retrieve(made.id) == made
    assert sdk.conversations.delete(made.id).to_dict() == {
        "id": made.id,
        "object": "conversation.deleted",
        "deleted": True,
    }
    missing = error_of(404, f"Conversation with id '{made.id}' not found.")
    assert refused(lambda: sdk.conversations.retrieve(made.id)) == missing
    assert refused(lambda: sdk.conversations.delete(made.id)) == missing
    assert refused(lambda: sdk.conversations.items.list(made.id)) == missing
    assert refused(lambda: sdk.responses.create(model="chat-model", input="hi", conversation=made.id)) == missing


def test_an_empty_one_lists_nothing(http: httpx.Client) -> None:
    """B edge-cases t3: first_id and last_id are null."""
    conversation = http.post("/conversations", json={}).json()
    assert conversation["metadata"] == {}
    page = http.get(f"/conversations/{conversation['id']}/items").json()
    assert page == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}
    assert http.post("/conversations").status_code == 200, "no body at all"


def test_metadata_is_merged_and_a_null_takes_a_key_out(sdk: openai.OpenAI) -> None:
    """C: "metadata merged with existing fields"."""
    conversation = made(sdk, "hello", metadata={"a": "1", "b": "2"})
    assert sdk.conversations.update(conversation, metadata={"c": "3"}).metadata == {"a": "1", "b": "2", "c": "3"}
    assert sdk.conversations.update(conversation, metadata={"a": None}).metadata == {"b": "2", "c": "3"}  # type: ignore[dict-item]
    assert sdk.conversations.retrieve(conversation).metadata == {"b": "2", "c": "3"}
    assert said_in(sdk, conversation) == ["hello"]


METADATA: list[tuple[Any, str, str]] = [
    ({f"k{number}": "v" for number in range(17)}, "metadata", "object_above_max_properties"),
    ({"k" * 65: "v"}, f"metadata.{'k' * 65}", "property_name_above_max_length"),
    ({"k": "v" * 513}, "metadata.k", "string_above_max_length"),
    ({"k": 7}, "metadata.k", "invalid_type"),
    ("text", "metadata", "invalid_type"),
    ([], "metadata", "invalid_type"),
]


@pytest.mark.parametrize(("metadata", "param", "code"), METADATA, ids=[code for *_, code in METADATA])
def test_metadata_has_limits(metadata: Any, param: str, code: str, http: httpx.Client, sdk: openai.OpenAI) -> None:
    """A: 16 pairs, 64 and 512 characters; D: the codes, params and texts."""
    for path in ("/conversations", f"/conversations/{made(sdk)}"):
        answer = http.post(path, json={"metadata": metadata})
        error = answer.json()["error"]
        assert (answer.status_code, error["type"]) == (400, "invalid_request_error")
        assert (error["param"], error["code"]) == (param, code)


def test_the_longest_metadata_is_kept(sdk: openai.OpenAI) -> None:
    metadata = {f"{number:02}".ljust(64, "ä"): "ö" * 512 for number in range(16)}
    assert sdk.conversations.retrieve(made(sdk, metadata=metadata)).metadata == metadata


# --- its items


def test_items_are_added_and_listed_in_both_orders(sdk: openai.OpenAI) -> None:
    """A: a list of the new items alone; B deletion t3: content becomes parts, status completed."""
    conversation = made(sdk, "one")
    added = sdk.conversations.items.create(conversation, items=[message("two"), message("three", "assistant")])
    assert added.object == "list" and added.has_more is False
    two, three = (item.to_dict() for item in added.data)
    assert (added.first_id, added.last_id) == (two["id"], three["id"])
    assert (two["role"], two["status"], two["content"]) == (
        "user",
        "completed",
        [{"type": "input_text", "text": "two"}],
    )
    assert three["content"] == [{"type": "output_text", "text": "three", "annotations": []}]
    assert said_in(sdk, conversation) == ["one", "two", "three"]
    assert items_in(sdk, conversation, "desc") == items_in(sdk, conversation)[::-1]
    assert sdk.conversations.items.list(conversation).data[0].id == three["id"], "desc without an order"
    assert sdk.conversations.items.retrieve(two["id"], conversation_id=conversation).to_dict() == two


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages_are_as_long_as_wanted_and_follow_each_other(order: Any, sdk: openai.OpenAI) -> None:
    """B pagination t5 to t9; A: 20 without a limit."""
    conversation = made(sdk)
    for start in range(0, 45, 15):
        items = [message(str(number)) for number in range(start, start + 15)]
        sdk.conversations.items.create(conversation, items=items)
    wanted = [str(number) for number in range(45)][:: 1 if order == "asc" else -1]
    for limit in (1, 7, 20, 44, 45, 100):
        assert texts_in(items_in(sdk, conversation, order, limit=limit)) == wanted
    first = sdk.conversations.items.list(conversation, order=order)
    assert (len(first.data), first.has_more) == (20, True)
    second = sdk.conversations.items.list(conversation, order=order, after=first.last_id, limit=25)
    assert (texts_in([item.to_dict() for item in second.data]), second.has_more) == (wanted[20:], False)


BAD_ITEMS: list[tuple[Any, str, str]] = [
    ({}, "items", "missing_required_parameter"),
    ({"items": None}, "items", "invalid_type"),
    ({"items": "text"}, "items", "invalid_type"),
    ({"items": []}, "items", "empty_array"),
    ({"items": [message("x")] * 21}, "items", "array_above_max_length"),
    ({"items": ["text"]}, "items[0]", "invalid_type"),
    ({"items": [message("x"), {"type": "message", "content": "x"}]}, "items[1]", "invalid_value"),
    ({"items": [message("x", "robot")]}, "items[0]", "invalid_value"),
    ({"items": [message(None)]}, "items[0].content", "invalid_type"),  # type: ignore[arg-type]
    ({"items": [{"type": 7}]}, "items[0].type", "invalid_type"),
    ({"items": [message("x", id="item_1")]}, "items[0].id", "invalid_value"),
    ({"items": [message("x", id=7)]}, "items[0].id", "invalid_type"),
    (
        {"items": [{"type": "function_call", "id": "msg_1", "call_id": "c", "name": "f", "arguments": "{}"}]},
        "items[0].id",
        "invalid_value",
    ),
    ({"items": [{"type": "zzz", "anything": [1]}]}, "items[0].type", "invalid_value"),
    ({"items": [{"type": "item_reference"}]}, "items[0].id", "missing_required_parameter"),
    ({"items": [{"type": "function_call", "name": "f"}]}, "items[0].arguments", "missing_required_parameter"),
    ({"items": [message([{}])]}, "items[0].content[0].type", "missing_required_parameter"),  # type: ignore[arg-type]
    (
        {"items": [message([{"type": "input_text", "text": 5}])]},  # type: ignore[arg-type]
        "items[0].content[0].text",
        "invalid_type",
    ),
]


@pytest.mark.parametrize(("body", "param", "code"), BAD_ITEMS, ids=range(len(BAD_ITEMS)))
def test_items_that_cannot_be_are_named_and_nothing_is_added(
    body: Any, param: str, code: str, http: httpx.Client, sdk: openai.OpenAI
) -> None:
    """A: at most 20; B edge-cases t2, t5: ids of another kind; C: a role is missing; D: the codes for arrays."""
    conversation = made(sdk, "one")
    answer = http.post(f"/conversations/{conversation}/items", json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"]) == (400, "invalid_request_error")
    assert (error["param"], error["code"]) == (param, code)
    if body.get("items"):
        assert http.post("/conversations", json=body).status_code == 400
    assert said_in(sdk, conversation) == ["one"]


def test_an_item_that_is_there_is_not_added_again_and_one_from_elsewhere_is_itself(sdk: openai.OpenAI) -> None:
    """B edge-cases t13, t18; D: the same for a reference. All or nothing."""
    first, second = made(sdk, "one"), made(sdk)
    (item,) = items_in(sdk, first)
    again = error_of(400, "Item already in conversation", "items", "item_already_in_conversation")
    for named in ({"type": "item_reference", "id": item["id"]}, message("other words", id=item["id"])):
        assert refused(lambda: sdk.conversations.items.create(first, items=[message("two"), named])) == again  # noqa: B023
        sdk.conversations.items.create(second, items=[named])
    assert said_in(sdk, first) == ["one"] and said_in(sdk, second) == ["one", "one"]
    unknown: Any = {"type": "item_reference", "id": "msg_unknown"}
    status, body = refused(lambda: sdk.conversations.items.create(second, items=[unknown]))
    assert (status, body["error"]["message"]) == (404, "Item with id 'msg_unknown' not found.")


def test_what_is_no_item_of_it_is_not_found(sdk: openai.OpenAI) -> None:
    """B edge-cases t11: a cursor that was deleted; C: the text for an item."""
    conversation, other = made(sdk, "one", "two"), made(sdk, "elsewhere")
    ids = ["msg_unknown", items_in(sdk, other)[0]["id"], items_in(sdk, conversation)[0]["id"]]
    sdk.conversations.items.delete(ids[-1], conversation_id=conversation)
    for item_id in ids:
        missing = error_of(404, f"Item with id '{item_id}' not found in conversation.")
        assert refused(lambda: sdk.conversations.items.retrieve(item_id, conversation_id=conversation)) == missing  # noqa: B023
        assert refused(lambda: sdk.conversations.items.delete(item_id, conversation_id=conversation)) == missing  # noqa: B023
        assert refused(lambda: sdk.conversations.items.list(conversation, after=item_id)) == error_of(  # noqa: B023
            404, f"No item found with id '{item_id}'", "after"
        )
    assert said_in(sdk, conversation) == ["two"]


@pytest.mark.parametrize(
    ("param", "value"), [("limit", "0"), ("limit", "101"), ("limit", "ten"), ("order", "up"), ("include", "all")]
)
def test_a_bad_value_of_a_listing_is_named(param: str, value: str, sdk: openai.OpenAI) -> None:
    """A: limit 1 to 100, order asc or desc."""
    status, body = refused(lambda: sdk.conversations.items.list(made(sdk), extra_query={param: value}))
    assert (status, body["error"]["param"]) == (400, param)
    include: Any = ["message.output_text.logprobs"]
    assert sdk.conversations.items.list(made(sdk, "one"), include=include).data


@pytest.mark.parametrize("body", [b"{", b"[1]", b'"x"', b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_object_is_refused(body: bytes, http: httpx.Client, sdk: openai.OpenAI) -> None:
    """C: invalid_json."""
    for path in ("/conversations", f"/conversations/{made(sdk)}", f"/conversations/{made(sdk)}/items"):
        answer = http.post(path, content=body, headers={"content-type": "application/json"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_json")


# --- requests in it


def test_requests_in_a_conversation_have_its_items_before_them(
    manner: Manner, sdk: openai.OpenAI, provider: Provider
) -> None:
    """A: items are prepended, input and output added; B deletion t2: the reply names it, no previous_response_id."""
    conversation = made(sdk, "My name is Alice.")
    first = create(sdk, manner, input="hello", conversation=conversation)
    assert sent(provider) == ["My name is Alice.", "hello"]
    assert first.conversation is not None and first.conversation.id == conversation
    assert first.previous_response_id is None
    sdk.conversations.items.create(conversation, items=[message("I like tea.")])
    second = create(sdk, manner, input="Who am I?", conversation={"id": conversation})
    told = ["My name is Alice.", "hello", first.output_text, "I like tea.", "Who am I?"]
    assert sent(provider) == told
    assert said_in(sdk, conversation) == [*told, second.output_text]
    outputs = [item.id for response in (first, second) for item in response.output]
    assert [item["id"] for item in items_in(sdk, conversation) if item["role"] == "assistant"] == outputs
    assert sdk.responses.retrieve(second.id).model_dump() == second.model_dump()


def test_a_first_request_in_an_empty_conversation(manner: Manner, sdk: openai.OpenAI, provider: Provider) -> None:
    conversation = made(sdk)
    first = create(sdk, manner, input="hello", conversation=conversation)
    create(sdk, manner, input="And?", conversation=conversation)
    assert sent(provider) == ["hello", first.output_text, "And?"]


def test_calls_and_results_are_items_of_it(manner: Manner, sdk: openai.OpenAI, provider: Provider) -> None:
    conversation = made(sdk)
    provider.script(ANSWERS["call"])
    first = create(sdk, manner, input="Look it up.", tools=TOOLS, conversation=conversation)
    (call,) = [item for item in first.output if item.type == "function_call"]
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "found"}
    create(sdk, manner, input=[result], tools=TOOLS, conversation=conversation)
    assert sent(provider)[-1] == "found"
    (made_call,) = [call for message in provider.requests()[-1].conversation for call in message.calls]
    assert made_call.arguments == '{"x": "a"}'
    kinds = [item["type"] for item in items_in(sdk, conversation)]
    assert kinds == ["message", *(item.type for item in first.output), "function_call_output", "message"]


def test_a_chain_goes_on_from_a_response_in_it_and_leaves_it_as_it_is(
    manner: Manner, sdk: openai.OpenAI, provider: Provider
) -> None:
    """B branch: what was added since is not in the chain, and the chain's items are not in the conversation."""
    conversation = made(sdk)
    first = create(sdk, manner, input="one", conversation=conversation)
    sdk.conversations.items.create(conversation, items=[message("two")])
    branch = create(sdk, manner, input="three", previous_response_id=first.id)
    assert sent(provider) == ["one", first.output_text, "three"]
    assert branch.conversation is None and branch.previous_response_id == first.id
    assert said_in(sdk, conversation) == ["one", first.output_text, "two"]
    create(sdk, manner, input="four", previous_response_id=branch.id)
    assert sent(provider) == ["one", first.output_text, "three", branch.output_text, "four"]


def test_a_deleted_item_is_in_no_later_history_and_earlier_responses_stay(
    manner: Manner, sdk: openai.OpenAI, provider: Provider
) -> None:
    """A, B deletion t4: the answer is the conversation."""
    conversation, secret = made(sdk, "one"), marker()
    first = create(sdk, manner, input=secret, conversation=conversation)
    items = items_in(sdk, conversation)
    answer = sdk.conversations.items.delete(items[1]["id"], conversation_id=conversation)
    assert answer == sdk.conversations.retrieve(conversation)
    assert said_in(sdk, conversation) == ["one", first.output_text]
    second = create(sdk, manner, input="two", conversation=conversation)
    assert sent(provider) == ["one", first.output_text, "two"]
    assert texts_in(input_of(sdk, second.id, order="asc")) == ["one", first.output_text, "two"]
    assert texts_in(input_of(sdk, first.id, order="asc")) == ["one", secret]
    create(sdk, manner, input="three", previous_response_id=first.id)
    assert sent(provider) == ["one", secret, first.output_text, "three"]
    sdk.conversations.items.delete(first.output[-1].id or "", conversation_id=conversation)
    create(sdk, manner, input="four", conversation=conversation)
    assert sent(provider) == ["one", "two", second.output_text, "four"]
    assert sdk.responses.retrieve(first.id).model_dump() == first.model_dump()


@pytest.mark.parametrize("begins", ["with an answer", "with a call"])
def test_a_conversation_without_its_beginning_goes_on(
    begins: str, manner: Manner, sdk: openai.OpenAI, provider: Provider
) -> None:
    """Claude takes none that does not begin with a user, Gemini no call."""
    conversation = made(sdk, "Hello.")
    if begins == "with a call":
        provider.script(ANSWERS["call"])
        first = create(sdk, manner, input="Look.", tools=TOOLS, conversation=conversation)
        (call,) = [item for item in first.output if item.type == "function_call"]
        result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "blue"}
        create(sdk, manner, input=[result], tools=TOOLS, conversation=conversation)
    else:
        create(sdk, manner, input="Look.", tools=TOOLS, conversation=conversation)
    for item in items_in(sdk, conversation):
        if item.get("role") == "user" or (begins == "with a call" and item.get("role") == "assistant"):
            sdk.conversations.items.delete(item["id"], conversation_id=conversation)
    last = create(sdk, manner, input="And?", tools=TOOLS, conversation=conversation)
    assert last.output_text and sent(provider)[-1] == "And?" and "Hello." not in sent(provider)


def test_a_greeting_of_the_assistant_s_begins_a_conversation(
    manner: Manner, sdk: openai.OpenAI, provider: Provider
) -> None:
    conversation = sdk.conversations.create(items=[message("Welcome.", "assistant")]).id
    create(sdk, manner, input="Hello.", conversation=conversation)
    assert sent(provider)[-2:] == ["Welcome.", "Hello."]


def test_a_result_of_a_call_from_elsewhere_is_an_item(sdk: openai.OpenAI, provider: Provider) -> None:
    provider.script(ANSWERS["call"])
    first = create(sdk, CHAT, input="Look.", tools=TOOLS)
    (call,) = [item for item in first.output if item.type == "function_call"]
    conversation, secret = made(sdk), marker()
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": secret}
    create(sdk, CHAT, input=[result], tools=TOOLS, conversation=conversation)
    (item,) = [item for item in items_in(sdk, conversation) if item["type"] == "function_call_output"]
    assert item["output"] == secret
    sdk.conversations.items.delete(item["id"], conversation_id=conversation)
    create(sdk, CHAT, input="And?", tools=TOOLS, conversation=conversation)
    assert secret not in str(provider.requests()[-1].body)


def test_a_deleted_item_cannot_be_referred_to(sdk: openai.OpenAI, provider: Provider) -> None:
    conversation, secret = made(sdk, "one"), marker()
    create(sdk, CHAT, input=secret, conversation=conversation)
    (item,) = [item for item in items_in(sdk, conversation) if secret in str(item)]
    sdk.conversations.items.delete(item["id"], conversation_id=conversation)
    reference: Any = {"type": "item_reference", "id": item["id"]}
    for place in ({}, {"conversation": conversation}):
        assert refused(lambda: create(sdk, CHAT, input=[reference, message("?")], **place))[0] == 404  # noqa: B023
    assert refused(lambda: sdk.conversations.items.create(made(sdk), items=[reference]))[0] == 404
    assert all(secret not in str(request.body) for request in provider.requests()[1:])


def test_a_deleted_call_is_not_sent_again(manner: Manner, sdk: openai.OpenAI, provider: Provider) -> None:
    conversation = made(sdk)
    provider.script(ANSWERS["call"])
    first = create(sdk, manner, input="Look.", tools=TOOLS, conversation=conversation)
    (call,) = [item for item in first.output if item.type == "function_call"]
    sdk.conversations.items.delete(call.id or "", conversation_id=conversation)
    create(sdk, manner, input="Never mind.", tools=TOOLS, conversation=conversation)
    conversation_sent = provider.requests()[-1].conversation
    assert not [call for message in conversation_sent for call in message.calls]
    assert sent(provider) == ["Look.", "I look.", "Never mind."]


def test_items_of_it_are_referred_to(manner: Manner, sdk: openai.OpenAI, provider: Provider) -> None:
    conversation = made(sdk, "one")
    first = create(sdk, manner, input="two", conversation=conversation)
    named: Any = [{"type": "item_reference", "id": item["id"]} for item in items_in(sdk, conversation)]
    create(sdk, manner, input=[*named, message("three")])
    assert sent(provider) == ["one", "two", first.output_text, "three"]


@pytest.mark.parametrize("given", [MISSING, {"id": MISSING}, "conv_1", f"conv_{'0' * 48}"])
def test_an_unknown_conversation_is_not_found(
    given: Any, manner: Manner, sdk: openai.OpenAI, provider: Provider
) -> None:
    """D: 404, param and code null."""
    object_id = given["id"] if isinstance(given, dict) else given
    missing = error_of(404, f"Conversation with id '{object_id}' not found.")
    assert refused(lambda: create(sdk, manner, input="hello", conversation=given)) == missing
    assert not provider.requests()


@pytest.mark.parametrize("given", ["wa_10", 7, {}, [], {"id": 7}])
def test_what_is_no_id_of_a_conversation_is_refused(given: Any, sdk: openai.OpenAI, provider: Provider) -> None:
    """D: invalid_value, param conversation, for an id that does not begin with conv."""
    status, body = refused(lambda: create(sdk, CHAT, input="hello", conversation=given))
    error = body["error"]
    assert (status, error["param"], error["code"]) == (400, "conversation", "invalid_value")
    assert not provider.requests()


def test_a_conversation_and_a_previous_response_exclude_each_other(sdk: openai.OpenAI, provider: Provider) -> None:
    """F (probes of October 2025): mutually_exclusive_parameters."""
    conversation, first = made(sdk), create(sdk, CHAT, input="hello")
    both = {"conversation": conversation, "previous_response_id": first.id}
    status, body = refused(lambda: create(sdk, CHAT, input="And?", **both))
    assert (status, body["error"]["code"]) == (400, "mutually_exclusive_parameters")
    assert len(provider.requests()) == 1
    create(sdk, CHAT, input="And?", conversation=conversation)


def test_what_is_not_stored_is_in_the_conversation_all_the_same(
    manner: Manner, sdk: openai.OpenAI, provider: Provider
) -> None:
    """F (agentic-api, pull request 56, after a recording): `store: false` with a conversation reads and adds."""
    conversation = made(sdk, "one")
    first = create(sdk, manner, input="two", conversation=conversation, store=False)
    assert sent(provider) == ["one", "two"]
    create(sdk, manner, input="three", conversation=conversation)
    assert sent(provider) == ["one", "two", first.output_text, "three"]
    assert refused(lambda: sdk.responses.retrieve(first.id))[0] == 404
    assert refused(lambda: create(sdk, manner, input="x", previous_response_id=first.id))[0] == 400


def test_a_failed_request_adds_nothing_and_the_next_one_goes_on(
    manner: Manner, sdk: openai.OpenAI, provider: Provider
) -> None:
    conversation = made(sdk, "one")
    provider.script(Answer("no", status=400))
    with pytest.raises((openai.APIError, AssertionError)):
        create(sdk, manner, input="two", conversation=conversation)
    assert said_in(sdk, conversation) == ["one"]
    create(sdk, manner, input="three", conversation=conversation)
    assert sent(provider) == ["one", "three"]


def test_a_conversation_goes_on_with_another_model(sdk: openai.OpenAI, provider: Provider) -> None:
    conversation, told = made(sdk), list[str]()
    for model in ("claude-model", "gemini-model", "chat-model", "claude-model"):
        for stream in (False, True):
            response = create(sdk, Manner(model, stream), input=f"hello {model}", conversation=conversation)
            told += [f"hello {model}"]
            assert sent(provider) == told
            told += [response.output_text]
    assert said_in(sdk, conversation) == told


def test_over_a_websocket_too(proxy: Proxy, provider: Provider, sdk: openai.OpenAI) -> None:
    conversation = made(sdk, "one")
    with asking_on_socket(proxy, provider, "chat-model") as ws:
        first = ws.ask("two", conversation=conversation)
        second = ws.ask("three", conversation=conversation)
        missing = ws.ask("four", conversation=MISSING)
    assert first.said == ["one", "two"] and first.reply.body["conversation"] == {"id": conversation}
    assert second.said == ["one", "two", first.reply.text, "three"]
    assert missing.reply.events[-1]["error"]["message"] == f"Conversation with id '{MISSING}' not found."
    create(sdk, CHAT, input="five", conversation=conversation)
    assert sent(provider) == ["one", "two", first.reply.text, "three", second.reply.text, "five"]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_every_address_of_the_responses_has_conversations_beside_it(
    prefix: str, proxy: Proxy, provider: Provider
) -> None:
    with openai.OpenAI(base_url=f"{proxy.url}{prefix}", api_key=proxy.key, max_retries=0) as client:
        conversation = made(client, "one", metadata={"a": "b"})
        first = create(client, CHAT, input="two", conversation=conversation)
        assert said_in(client, conversation) == ["one", "two", first.output_text]
        (item, *_) = items_in(client, conversation)
        assert client.conversations.items.retrieve(item["id"], conversation_id=conversation).id == item["id"]
        client.conversations.items.delete(item["id"], conversation_id=conversation)
        assert client.conversations.update(conversation, metadata={}).metadata == {"a": "b"}
        client.conversations.delete(conversation)
        assert refused(lambda: client.conversations.retrieve(conversation))[0] == 404


def test_a_deleted_conversation_is_gone_and_its_responses_stay(
    manner: Manner, sdk: openai.OpenAI, provider: Provider, redis: Redis
) -> None:
    """A: "Items in the conversation will not be deleted." What nothing else needs is gone from Redis."""
    conversation, secret, alone = made(sdk, "one"), marker(), marker()
    first = create(sdk, manner, input=secret, conversation=conversation)
    sdk.conversations.items.create(conversation, items=[message(alone)])
    assert redis_holds(redis, alone)
    sdk.conversations.delete(conversation)
    assert not redis_holds(redis, alone) and redis_holds(redis, secret)
    create(sdk, manner, input="two", previous_response_id=first.id)
    assert sent(provider) == ["one", secret, first.output_text, "two"]


def test_a_conversation_object_s_history_is_named_in_the_header(proxy: Proxy, sdk: openai.OpenAI) -> None:
    raw = sdk.responses.with_raw_response.create(model="chat-model", input="two", conversation=made(sdk, "one"))
    assert raw.headers["x-litellm-session-history"] == "redis"


def test_responses_without_a_conversation_do_not_name_one(manner: Manner, sdk: openai.OpenAI) -> None:
    response: Response = create(sdk, manner, input="hello")
    assert response.conversation is None and "conversation" not in response.to_dict()


def test_a_tool_s_call_made_by_somebody_else_is_found_once(sdk: openai.OpenAI, provider: Provider) -> None:
    """Items that a client adds itself, as an agent does that ran elsewhere."""
    conversation = made(sdk, "Look it up.")
    call: Any = {"type": "function_call", "call_id": "call_1", "name": "look_up", "arguments": '{"x": "a"}'}
    result: Any = {"type": "function_call_output", "call_id": "call_1", "output": "found"}
    sdk.conversations.items.create(conversation, items=[call, result, message("It is found.", "assistant")])
    create(sdk, CHAT, input="And?", conversation=conversation, tools=TOOLS)
    assert sent(provider) == ["Look it up.", "found", "It is found.", "And?"]
    calls = [each for part in provider.requests()[-1].conversation for each in part.calls]
    assert [each.name for each in calls] == [ToolCall("look_up").name]
