"""A bridged response can be got, listed and deleted, as OpenAI's own can; with OpenAI's own client."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import openai
import pytest
from openai.types.responses import Response
from redis import Redis

from lab.answers import Answer, ToolCall
from lab.asking import Asker, asking_on_socket
from lab.exchange import texts_of
from lab.lines import Manner
from lab.provider import Provider
from lab.proxy import MODELS, Proxy
from lab.stored import TURNS, end_lives, lives_key

from .checks import check_remembers, marker, redis_holds
from .raw import openai_client
from .test_unknown_ids import OPENAI_S_FIELDS

TOOLS: Any = [
    {"type": "function", "name": "look_up", "parameters": {"type": "object", "properties": {"x": {"type": "string"}}}}
]
ANSWERS = {
    "text": Answer("Hello to you."),
    "long": Answer("A long answer. " * 3_000),
    "call": Answer("I look.", (ToolCall("look_up", '{"x": "a"}'),)),
    "thought": Answer("So it is.", thinking="Is it so? " * 100, signature="c2lnbmVk" * 40),
    "cut": Answer("It was a dark and", finish="length"),
}
MEGABYTES_12 = 12_000_000
# Every way in which the same route can be written.
PREFIXES = ("/v1", "", "/openai/v1")


@pytest.fixture
def sdk(proxy: Proxy, provider: Provider) -> Iterator[openai.OpenAI]:
    with openai_client(proxy) as client:
        yield client


def create(sdk: openai.OpenAI, manner: Manner, **params: Any) -> Response:
    """The response, of a stream as its terminal event has it."""
    if not manner.stream:
        return sdk.responses.create(model=manner.model, **params)
    with sdk.responses.create(model=manner.model, stream=True, **params) as events:
        *_, last = events
    assert last.type in ("response.completed", "response.incomplete")
    return last.response


def check_is_retrieved(sdk: openai.OpenAI, response: Response) -> None:
    assert sdk.responses.retrieve(response.id).model_dump() == response.model_dump()


def talk(sdk: openai.OpenAI, manner: Manner, *said: str) -> list[Response]:
    responses: list[Response] = []
    for text in said:
        previous = responses[-1].id if responses else openai.omit
        responses.append(create(sdk, manner, input=text, previous_response_id=previous))
    return responses


def input_of(sdk: openai.OpenAI, response_id: str, **params: Any) -> list[dict[str, Any]]:
    """All pages of it."""
    return [item.to_dict() for item in sdk.responses.input_items.list(response_id, **params)]


def texts_in(items: list[dict[str, Any]]) -> list[str]:
    return [part["text"] for item in items if item["type"] == "message" for part in item["content"]]


def refused(act: Callable[[], Any]) -> tuple[int, dict[str, Any]]:
    with pytest.raises(openai.APIStatusError) as caught:
        act()
    return caught.value.status_code, caught.value.response.json()


def check_is_not_found(sdk: openai.OpenAI, response_id: str) -> None:
    body = {
        "error": {
            "message": f"Response with id '{response_id}' not found.",
            "type": "invalid_request_error",
            "param": None,
            "code": None,
        }
    }
    for act in (
        lambda: sdk.responses.retrieve(response_id),
        lambda: input_of(sdk, response_id),
        lambda: sdk.responses.cancel(response_id),
        lambda: sdk.responses.delete(response_id),
    ):
        assert refused(act) == (404, body)


@pytest.mark.parametrize("kind", ANSWERS)
def test_a_response_is_retrieved_as_its_client_got_it(
    kind: str, manner: Manner, sdk: openai.OpenAI, provider: Provider
) -> None:
    provider.script(ANSWERS[kind])
    first = create(
        sdk,
        manner,
        input="hello",
        instructions="Be kind.",
        metadata={"colour": "blue"},
        tools=TOOLS,
        max_output_tokens=5_000,
        temperature=0.5,
    )
    assert first.status == ("incomplete" if kind == "cut" else "completed")
    check_is_retrieved(sdk, first)
    if kind != "call":
        second = create(sdk, manner, input="And?", previous_response_id=first.id, tools=TOOLS)
        check_is_retrieved(sdk, second)
        assert second.previous_response_id == first.id
    check_is_retrieved(sdk, first)


def test_a_response_names_the_one_that_it_follows(manner: Manner, asker: Asker) -> None:
    asker = asker.with_manner(manner.model, manner.stream)
    first = asker.ask("hello")
    second = asker.ask("And?", first)
    named = [event["response"]["previous_response_id"] for event in second.reply.events if "response" in event]
    assert named == [first.id] * len(named)
    assert second.reply.body["previous_response_id"] == first.id
    assert first.reply.body.get("previous_response_id") is None


def test_what_a_response_was_made_from_is_listed_in_both_orders(
    manner: Manner, sdk: openai.OpenAI, provider: Provider
) -> None:
    *_, last = talk(sdk, manner, "one", "two", "three")
    was_sent = texts_of(provider.requests()[-1].conversation)
    listed = input_of(sdk, last.id, order="asc")
    assert texts_in(listed) == was_sent
    assert [item["role"] for item in listed] == ["user", "assistant"] * 2 + ["user"]
    ids = [item["id"] for item in listed]
    assert len(set(ids)) == 5
    for limit in (1, 2, 5, 100):
        assert input_of(sdk, last.id, limit=limit, order="asc") == listed
        assert input_of(sdk, last.id, limit=limit) == listed[::-1]
    page = sdk.responses.input_items.list(last.id, order="asc", after=ids[0], limit=3)
    assert [item.id for item in page.data] == ids[1:4]
    body = page.to_dict()
    assert (body["object"], body["first_id"], body["last_id"], body["has_more"]) == ("list", ids[1], ids[3], True)
    page = sdk.responses.input_items.list(last.id, order="asc", limit=2, extra_query={"before": ids[3]})
    assert ([item.id for item in page.data], page.has_more) == (ids[1:3], True)


def test_calls_and_results_are_listed_as_items(manner: Manner, sdk: openai.OpenAI, provider: Provider) -> None:
    provider.script(ANSWERS["call"])
    first = create(sdk, manner, input="Look it up.", tools=TOOLS)
    (call,) = [item for item in first.output if item.type == "function_call"]
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "found"}
    second = create(sdk, manner, input=[result], previous_response_id=first.id, tools=TOOLS)
    asked, *answered, told = input_of(sdk, second.id, order="asc")
    assert (asked["role"], texts_in([asked])) == ("user", ["Look it up."])
    assert [item["id"] for item in answered] == [item.id for item in first.output]
    assert {name: told[name] for name in result} == result
    assert told["id"]


@pytest.mark.parametrize(
    ("param", "value"),
    [
        ("limit", "0"),
        ("limit", "101"),
        ("limit", "ten"),
        ("order", "upwards"),
        ("after", "msg_nobody"),
        ("before", "msg_nobody"),
        ("include", "everything"),
    ],
)
def test_a_bad_value_is_named(param: str, value: str, sdk: openai.OpenAI) -> None:
    (response,) = talk(sdk, Manner("chat-model"), "hello")
    status, body = refused(lambda: input_of(sdk, response.id, extra_query={param: value}))
    assert (status, body["error"]["type"], body["error"]["param"]) == (400, "invalid_request_error", param)
    assert param in body["error"]["message"] or value in body["error"]["message"]


def test_what_may_be_included_is_there_anyway(sdk: openai.OpenAI) -> None:
    (response,) = talk(sdk, Manner("chat-model"), "hello")
    include: Any = ["message.output_text.logprobs", "reasoning.encrypted_content"]
    assert sdk.responses.retrieve(response.id, include=include).model_dump() == response.model_dump()
    assert input_of(sdk, response.id, include=include) == input_of(sdk, response.id)
    status, body = refused(lambda: sdk.responses.retrieve(response.id, include=["everything"]))
    assert (status, body["error"]["param"]) == (400, "include")


def test_a_response_that_is_done_is_not_streamed_again(sdk: openai.OpenAI) -> None:
    (response,) = talk(sdk, Manner("chat-model"), "hello")
    status, body = refused(lambda: sdk.responses.retrieve(response.id, stream=True))
    assert (status, body["error"]["param"]) == (400, "stream")


def test_only_a_background_response_can_be_cancelled(manner: Manner, sdk: openai.OpenAI) -> None:
    (response,) = talk(sdk, manner, "hello")
    status, body = refused(lambda: sdk.responses.cancel(response.id))
    assert (status, body["error"]["message"]) == (400, "Cannot cancel a synchronous response.")
    check_is_retrieved(sdk, response)


def test_a_deleted_response_is_gone_and_later_ones_are_whole(
    manner: Manner, sdk: openai.OpenAI, proxy: Proxy, provider: Provider, asker: Asker, redis: Redis
) -> None:
    secret = marker()
    first, second = talk(sdk, manner, secret, "And?")
    listed = input_of(sdk, second.id)
    raw = httpx.delete(f"{proxy.url}/v1/responses/{first.id}", headers={"authorization": f"Bearer {proxy.key}"})
    assert (raw.status_code, raw.json()) == (200, {"id": first.id, "object": "response", "deleted": True})
    check_is_not_found(sdk, first.id)
    check_is_retrieved(sdk, second)
    assert input_of(sdk, second.id) == listed
    asker = asker.with_manner(manner.model, manner.stream)
    third = asker.ask("Still?", second.id)
    assert third.said == [secret, first.output_text, "And?", second.output_text, "Still?"]
    asked = len(provider.requests())
    status, body = refused(lambda: create(sdk, manner, input="And now?", previous_response_id=first.id))
    error = body["error"]
    assert (status, {name: error[name] for name in OPENAI_S_FIELDS}) == (400, OPENAI_S_FIELDS)
    assert len(provider.requests()) == asked
    sdk.responses.delete(second.id)
    assert redis_holds(redis, secret), "a living response needs it"
    sdk.responses.delete(third.id)
    assert not redis_holds(redis, secret), "no living response needs it"


def test_what_is_not_there_is_not_found(manner: Manner, sdk: openai.OpenAI, redis: Redis) -> None:
    before = set(redis.scan_iter(TURNS))
    expired = create(sdk, manner, input="hello")
    (key,) = set(redis.scan_iter(TURNS)) - before
    end_lives(redis, key)
    unstored = create(sdk, manner, input="hello", store=False)
    for response_id in ("resp_invalid123", "resp_", "chatcmpl-nobody", expired.id, unstored.id):
        check_is_not_found(sdk, response_id)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_every_address_of_the_routes_knows_the_response(prefix: str, proxy: Proxy, sdk: openai.OpenAI) -> None:
    (response,) = talk(sdk, Manner("chat-model"), "hello")
    with openai.OpenAI(base_url=f"{proxy.url}{prefix}", api_key=proxy.key, max_retries=0) as client:
        check_is_retrieved(client, response)
        assert texts_in(input_of(client, response.id)) == ["hello"]
        assert refused(lambda: client.responses.cancel(response.id))[0] == 400
        client.responses.delete(response.id)
        check_is_not_found(client, response.id)


def test_a_conversation_that_moved_to_another_model_has_all_its_responses(sdk: openai.OpenAI) -> None:
    responses: list[Response] = []
    for model in (*MODELS, MODELS[0]):
        previous = responses[-1].id if responses else openai.omit
        for stream in (False, True):
            manner = Manner(model, stream)
            responses.append(create(sdk, manner, input=f"hello {model}", previous_response_id=previous))
            previous = responses[-1].id
    for response in responses:
        check_is_retrieved(sdk, response)
    said = [text for each in responses[:-1] for text in (f"hello {MODELS[0]}", each.output_text)]
    assert texts_in(input_of(sdk, responses[-1].id, order="asc"))[1::2] == said[1::2]


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_a_turn_of_twelve_megabytes_is_whole(stream: bool, sdk: openai.OpenAI, provider: Provider) -> None:
    text = "0123456789ab" * (MEGABYTES_12 // 12)
    response = create(sdk, Manner("chat-model", stream), input=text)
    check_is_retrieved(sdk, response)
    (item,) = input_of(sdk, response.id)
    assert item["content"] == [{"type": "input_text", "text": text}]


def test_unusual_characters_survive(asker: Asker, proxy: Proxy) -> None:
    said = "\x00 and \u2028 and 🙂"
    first = asker.ask(said)
    address = f"{proxy.url}/v1/responses/{first.id}/input_items"
    (item,) = httpx.get(address, headers={"authorization": f"Bearer {proxy.key}"}).json()["data"]
    assert texts_in([item]) == [said]


def test_a_response_of_a_websocket_is_retrieved(proxy: Proxy, provider: Provider, sdk: openai.OpenAI) -> None:
    with asking_on_socket(proxy, provider, "chat-model") as ws:
        first = ws.ask("one")
        second = ws.ask("two", first)
    assert second.reply.body["previous_response_id"] == first.id
    for turn in (first, second):
        got = sdk.responses.retrieve(turn.id).to_dict()
        given = turn.reply.body
        assert {name: got.get(name) for name in given} == given
    assert texts_in(input_of(sdk, second.id, order="asc")) == ["one", first.reply.text, "two"]


def test_a_response_that_was_looked_at_lives_on(sdk: openai.OpenAI, asker: Asker, redis: Redis) -> None:
    before = set(redis.scan_iter(TURNS))
    first = asker.ask("hello")
    (key,) = set(redis.scan_iter(TURNS)) - before
    for look in (lambda: sdk.responses.retrieve(first.id), lambda: input_of(sdk, first.id)):
        (turn,) = redis.zrange(lives_key(key), 0, -1)
        soon = redis.time()[0] + 1_000
        redis.zadd(lives_key(key), {turn: soon})
        redis.expire(key, 1_000)
        look()
        assert redis.zscore(lives_key(key), turn) > soon and redis.ttl(key) > 1_000
    check_remembers(asker, first, ["hello"])
