"""Long conversations: compacted by a route, by a request's own wish, and by an item of a client's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import openai
import pytest

from lab.answers import Answer, ToolCall
from lab.asking import asking_on_socket
from lab.custom_auth import bearer
from lab.exchange import texts_of
from lab.lines import Manner
from lab.native_models import NATIVE_PLAIN, native_entries
from lab.provider import Provider
from lab.proxies import ProxyPool
from lab.proxy import MODELS, Proxy, ProxyOptions, stand_in_models
from lab.trees import installed_release

from .raw import openai_client
from .test_stored_responses import TOOLS, create, refused
from .upstream import COMPACTS_CLAUDE

every_model = pytest.mark.parametrize("model", MODELS)
# From 1.109 on LiteLLM has Claude compact by itself.
every_compacted_model = pytest.mark.parametrize(
    "model", [model for model in MODELS if model != "claude-model" or not COMPACTS_CLAUDE]
)


@pytest.fixture
def sdk(proxy: Proxy, provider: Provider) -> Iterator[openai.OpenAI]:
    with openai_client(proxy) as client:
        yield client


def sent(provider: Provider, number: int = -1) -> list[str]:
    return texts_of(provider.requests()[number].conversation)


def said(text: str, role: str = "user") -> Any:
    return {"type": "message", "role": role, "content": text}


LONG = "word " * 9_000
WISH: Any = [{"type": "compaction", "compact_threshold": 5_000}]
# In the makers' own words.
TOO_LONG = {
    "gemini-model": "The input token count (2101) exceeds the maximum number of tokens allowed (2000).",
    "claude-model": "prompt is too long: 2101 tokens > 2000 maximum",
    "chat-model": "This model's maximum context length is 2000 tokens. However, you requested 2101 tokens.",
}


@every_model
def test_a_conversation_is_compacted_by_its_route(model: str, sdk: openai.OpenAI, provider: Provider) -> None:
    items = [said(LONG), said("It is long.", "assistant"), said("one"), said("1", "assistant"), said("two")]
    provider.script(Answer("The summary."))
    compacted = sdk.responses.compact(model=model, input=items)
    assert sent(provider)[:-1] == [each["content"] for each in items]
    assert compacted.object == "response.compaction"
    assert [item.type for item in compacted.output] == ["message", "message", "message", "compaction"]
    output: Any = [item.to_dict() for item in compacted.output]
    sdk.responses.create(model=model, input=[*output, said("three")])
    first, *rest = sent(provider)
    assert first.endswith("The summary.") and rest == ["one", "1", "two", "three"]


@every_model
def test_a_chain_is_compacted_by_its_route(model: str, sdk: openai.OpenAI, provider: Provider) -> None:
    first = sdk.responses.create(model=model, input=LONG)
    second = sdk.responses.create(model=model, input="one", previous_response_id=first.id)
    provider.script(Answer("The summary."))
    compacted = sdk.responses.compact(model=model, previous_response_id=second.id)
    assert sent(provider)[:-1] == [LONG, first.output_text, "one", second.output_text]
    output: Any = [item.to_dict() for item in compacted.output]
    third = sdk.responses.create(model=model, input=[*output, said("two")])
    summary, *rest = sent(provider)
    assert summary.endswith("The summary.") and rest == ["one", second.output_text, "two"]
    sdk.responses.create(model=model, input="three", previous_response_id=third.id)
    assert sent(provider) == [summary, *rest, third.output_text, "three"]


@pytest.mark.parametrize("stream", [False, True])
@every_compacted_model
def test_what_is_too_large_is_compacted_first(model: str, stream: bool, sdk: openai.OpenAI, provider: Provider) -> None:
    manner = Manner(model, stream)
    first = create(sdk, manner, input=LONG)
    second = create(sdk, manner, input="one", previous_response_id=first.id)
    provider.script(Answer("The summary."), Answer("Two it is."))
    wish: Any = [{"type": "compaction", "compact_threshold": 5_000}]
    third = create(sdk, manner, input="two", previous_response_id=second.id, context_management=wish)
    assert [item.type for item in third.output] == ["compaction", "message"]
    assert third.output_text == "Two it is."
    summary, *rest = sent(provider)
    assert summary.endswith("The summary.") and rest == ["one", second.output_text, "two"]
    create(sdk, manner, input="three", previous_response_id=third.id)
    assert sent(provider) == [summary, *rest, "Two it is.", "three"]


@pytest.mark.parametrize("stream", [False, True])
@every_model
def test_an_item_asks_for_a_compaction(model: str, stream: bool, sdk: openai.OpenAI, provider: Provider) -> None:
    manner = Manner(model, stream)
    first = create(sdk, manner, input=LONG)
    provider.script(Answer("The summary."))
    compacted = create(sdk, manner, input=[{"type": "compaction_trigger"}], previous_response_id=first.id)
    assert [item.type for item in compacted.output] == ["compaction"]
    create(sdk, manner, input="one", previous_response_id=compacted.id)
    summary, *rest = sent(provider)
    assert summary.endswith("The summary.") and rest == ["one"]


def test_over_a_websocket_an_item_asks_for_a_compaction(proxy: Proxy, provider: Provider) -> None:
    with asking_on_socket(proxy, provider, "chat-model") as socket:
        first = socket.ask(LONG)
        provider.script(Answer("The summary."))
        compacted = socket.ask([{"type": "compaction_trigger"}], first)
        assert [item["type"] for item in compacted.reply.body["output"]] == ["compaction"]
        summary, *rest = texts_of(socket.ask("one", compacted).requests[-1].conversation)
        assert summary.endswith("The summary.") and rest == ["one"]
        before = socket.ask(LONG)
        provider.script(Answer("The other summary."), Answer("Two."))
        last = socket.ask("two", before, context_management=[{"type": "compaction", "compact_threshold": 5_000}])
        assert [item["type"] for item in last.reply.body["output"]] == ["compaction", "message"]


@every_compacted_model
def test_calls_that_wait_for_a_result_stay_as_they_are(model: str, sdk: openai.OpenAI, provider: Provider) -> None:
    first = sdk.responses.create(model=model, input=LONG)
    provider.script(Answer("I look.", (ToolCall("look_up", '{"x": "a"}'),)))
    calling = sdk.responses.create(model=model, input=LONG, tools=TOOLS, previous_response_id=first.id)
    (call,) = (item for item in calling.output if item.type == "function_call")
    provider.script(Answer("The summary."), Answer("Found."))
    wish: Any = [{"type": "compaction", "compact_threshold": 5_000}]
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "found"}
    last = sdk.responses.create(
        model=model, input=[result], tools=TOOLS, previous_response_id=calling.id, context_management=wish
    )
    assert last.output_text == "Found."
    summary, *rest = sent(provider)
    assert summary.endswith("The summary.") and rest == [LONG, "I look.", "found"]
    asked = provider.requests()[-2]
    assert texts_of(asked.conversation)[:3] == [LONG, first.output_text, LONG]


def test_without_a_summary_the_conversation_stays_as_it_was(sdk: openai.OpenAI, provider: Provider) -> None:
    first = sdk.responses.create(model="chat-model", input=LONG)
    provider.script(Answer(status=400, error="no summary today"), Answer("Two it is."))
    wish: Any = [{"type": "compaction", "compact_threshold": 5_000}]
    raw = sdk.responses.with_raw_response.create(
        model="chat-model", input="two", previous_response_id=first.id, context_management=wish
    )
    assert raw.headers["x-litellm-session-compaction"].startswith("failed: ")
    assert "no summary today" in raw.headers["x-litellm-session-compaction"]
    assert raw.parse().output_text == "Two it is."
    assert sent(provider) == [LONG, first.output_text, "two"]
    provider.script(Answer(""))
    asks: Any = [{"type": "compaction_trigger"}]
    assert (
        refused(lambda: sdk.responses.create(model="chat-model", input=asks, previous_response_id=first.id))[0] == 502
    )
    provider.script(Answer(status=400, error="no summary today"))
    status, body = refused(lambda: sdk.responses.compact(model="chat-model", previous_response_id=first.id))
    assert status == 400 and "no summary today" in body["error"]["message"]


def test_in_a_conversation_object_what_is_too_large_is_compacted_first(sdk: openai.OpenAI, provider: Provider) -> None:
    conversation = sdk.conversations.create(items=[said(LONG)]).id
    wish: Any = [{"type": "compaction", "compact_threshold": 5_000}]
    provider.script(Answer("The summary."), Answer("One."))
    one = sdk.responses.create(model="chat-model", input="one", conversation=conversation, context_management=wish)
    assert [item.type for item in one.output] == ["compaction", "message"]
    summary, *rest = sent(provider)
    assert summary.endswith("The summary.") and rest == ["one"]
    sdk.responses.create(model="chat-model", input="two", conversation=conversation, context_management=wish)
    assert sent(provider) == [summary, "one", "One.", "two"]
    kinds = [item.type for item in sdk.conversations.items.list(conversation, order="asc")]
    assert kinds == ["message", "compaction", "message", "compaction", "message", "message", "message"]


def test_nobody_else_can_read_a_compaction(
    proxies: ProxyPool, identity_options: ProxyOptions, provider: Provider
) -> None:
    proxy = proxies.get(identity_options)
    alice, bob = bearer(key="k1", user="alice"), bearer(key="k2", user="bob")
    with openai_client(proxy, alice) as hers, openai_client(proxy, bob) as his:
        provider.script(Answer("The summary."))
        output: Any = [
            item.to_dict() for item in hers.responses.compact(model="chat-model", input=[said("mine")]).output
        ]
        assert hers.responses.create(model="chat-model", input=output).status == "completed"
        changed: Any = [{**output[-1], "encrypted_content": output[-1]["encrypted_content"][:-8] + "AAAAAAA="}]
        for client, items in ((his, output), (hers, changed)):
            status, body = refused(lambda: client.responses.create(model="chat-model", input=items))  # noqa: B023
            assert (status, body["error"]["code"]) == (400, "invalid_encrypted_content")


@pytest.mark.parametrize("stream", [False, True])
def test_with_truncation_the_oldest_turns_are_left_out(
    stream: bool, plain_options: ProxyOptions, provider: Provider
) -> None:
    small = {"model_info": {"max_input_tokens": 2_000}}
    models = tuple({**each, **small} for each in stand_in_models(plain_options.provider_url, installed_release()))
    with Proxy(replace(plain_options, models=models)) as proxy, openai_client(proxy) as sdk:
        for model in MODELS:
            manner, responses = Manner(model, stream), []
            for number in range(12):
                previous = responses[-1].id if responses else openai.omit
                params: Any = {"input": f"{number} {'word ' * 400}", "previous_response_id": previous}
                responses.append(create(sdk, manner, instructions="Be brief.", truncation="auto", **params))
            texts = sent(provider)
            assert "Be brief." in texts and texts[-1].startswith("11 ") and 4 <= len(texts) <= 10
            provider.script(Answer(status=400, error=TOO_LONG[model]))
            follow_up: Any = {"model": model, "input": "And?", "previous_response_id": responses[-1].id}
            assert code_of_refusal(sdk, stream=stream, **follow_up) == "context_length_exceeded"
            assert len(sent(provider)) == 1 + 25  # instructions are carried over


def code_of_refusal(sdk: openai.OpenAI, **params: Any) -> str:
    """Before a stream, or as its last event."""
    try:
        reply = sdk.responses.create(**params)
    except openai.BadRequestError as error:
        return str(error.response.json()["error"]["code"])
    try:
        *_, last = reply
    except openai.APIError as error:  # as older releases say it
        return str(error.code)
    assert last.type == "response.failed"
    return str(last.response.error.code)


def test_a_summary_that_was_cut_is_none(sdk: openai.OpenAI, provider: Provider) -> None:
    first = sdk.responses.create(model="chat-model", input=LONG)
    provider.script(Answer("The summary is tha", finish="length"), Answer("Two it is."))
    raw = sdk.responses.with_raw_response.create(
        model="chat-model", input="two", previous_response_id=first.id, context_management=WISH
    )
    assert raw.headers["x-litellm-session-compaction"].startswith("failed: ")
    assert sent(provider) == [LONG, first.output_text, "two"]


def test_what_follows_a_deleted_response_is_refused_and_not_compacted(sdk: openai.OpenAI, provider: Provider) -> None:
    first = sdk.responses.create(model="chat-model", input="one")
    sdk.responses.delete(first.id)
    items = [said(LONG), said("It is long.", "assistant"), said("two")]
    params: Any = {"model": "chat-model", "input": items, "context_management": WISH}
    status, body = refused(lambda: sdk.responses.create(previous_response_id=first.id, **params))
    assert (status, body["error"]["code"]) == (400, "previous_response_not_found")
    assert len(provider.requests()) == 1


def test_it_is_made_once_for_all_that_go_on_from_a_response(sdk: openai.OpenAI, provider: Provider) -> None:
    first = sdk.responses.create(model="chat-model", input=LONG)
    provider.script(Answer("The summary."))
    for text in ("two", "three"):
        sdk.responses.create(model="chat-model", input=text, previous_response_id=first.id, context_management=WISH)
        summary, *rest = sent(provider)
        assert summary.endswith("The summary.") and rest == [text]
    assert len(provider.requests()) == 4


def test_an_agent_s_loop_of_one_request_is_compacted(sdk: openai.OpenAI, provider: Provider) -> None:
    items: list[Any] = [said("Go.")]
    for number in range(20):
        called = {"call_id": f"call_{number}"}
        items += [
            {"type": "function_call", "name": "look_up", "arguments": "{}", **called},
            {"type": "function_call_output", "output": f"{number} {'word ' * 600}", **called},
        ]
    provider.script(Answer("The summary."), Answer("Done."))
    params: Any = {"input": items, "tools": TOOLS, "store": False, "context_management": WISH}
    reply = sdk.responses.create(model="chat-model", **params)
    assert [item.type for item in reply.output] == ["compaction", "message"]
    summary, *rest = sent(provider)
    assert summary.endswith("The summary.") and 1 <= len(rest) < 20 and rest[-1].startswith("19 ")


def test_a_model_s_own_words_are_no_refusal(sdk: openai.OpenAI, provider: Provider) -> None:
    provider.script(Answer("It says ContextWindowExceededError."))
    with sdk.responses.create(model="chat-model", input="Which error?", stream=True) as events:
        said_all = [event.to_dict() for event in events]
    assert said_all[-1]["response"]["output"][0]["content"][0]["text"] == "It says ContextWindowExceededError."
    assert not any("code" in event for event in said_all)


def test_deleted_items_are_not_sent_by_a_compaction(sdk: openai.OpenAI, provider: Provider) -> None:
    conversation = sdk.conversations.create(items=[said(LONG), said("It is long.", "assistant")]).id
    secret = sdk.conversations.items.create(conversation, items=[said("FORGET ME")]).data[0]
    provider.script(Answer("The summary."), Answer("One."))
    sdk.responses.create(model="chat-model", input="one", conversation=conversation, context_management=WISH)
    assert "FORGET ME" in sent(provider)
    sdk.conversations.items.delete(str(secret.id), conversation_id=conversation)
    sdk.responses.create(model="chat-model", input="two", conversation=conversation)
    assert not any("FORGET ME" in text for text in sent(provider))
    assert sent(provider)[-1] == "two"


@pytest.mark.parametrize("body", [{}, {"input": []}])
def test_nothing_is_not_compacted(body: dict[str, Any], sdk: openai.OpenAI, provider: Provider) -> None:
    status, reply = refused(lambda: sdk.responses.compact(model="chat-model", **body))
    assert status == 400 and "nothing to compact" in reply["error"]["message"]


def test_a_client_that_keeps_its_conversation_itself_puts_the_item_behind_its_question(
    sdk: openai.OpenAI, provider: Provider
) -> None:
    told: list[Any] = [said(LONG), said("It is long.", "assistant"), said("two")]
    provider.script(Answer("The summary."), Answer("Two it is."))
    reply = sdk.responses.create(model="chat-model", input=told, store=False, context_management=WISH)
    told += [*(item.to_dict() for item in reply.output), said("three")]
    sdk.responses.create(model="chat-model", input=told, store=False, context_management=WISH)
    summary, *rest = sent(provider)
    assert summary.endswith("The summary.") and rest == ["two", "Two it is.", "three"]


def test_what_a_failed_summary_says_breaks_no_reply(sdk: openai.OpenAI, provider: Provider) -> None:
    first = sdk.responses.create(model="chat-model", input=LONG)
    provider.script(Answer(status=400, error="<html>\r\n\t502 \x01ä Bad Gateway\r\n"), Answer("Two it is."))
    raw = sdk.responses.with_raw_response.create(
        model="chat-model", input="two", previous_response_id=first.id, context_management=WISH
    )
    assert "502" in raw.headers["x-litellm-session-compaction"]
    assert raw.parse().output_text == "Two it is."


@pytest.mark.parametrize("body", [{"input": "two"}, {}])
def test_what_is_not_known_is_not_compacted(body: dict[str, Any], sdk: openai.OpenAI, provider: Provider) -> None:
    unknown = f"resp_{'0' * 32}"
    status, reply = refused(lambda: sdk.responses.compact(model="chat-model", previous_response_id=unknown, **body))
    assert (status, reply["error"]["code"]) == (400, "previous_response_not_found")
    assert provider.requests() == []


def test_of_a_conversation_object_a_compaction_by_an_item_stands_for_nothing_after_a_deletion(
    sdk: openai.OpenAI, provider: Provider
) -> None:
    conversation = sdk.conversations.create(items=[said("hello"), said("hi", "assistant")]).id
    secret = sdk.conversations.items.create(conversation, items=[said("FORGET ME")]).data[0]
    provider.script(Answer("The summary. FORGET ME"))
    asks: Any = [{"type": "compaction_trigger"}]
    sdk.responses.create(model="chat-model", input=asks, conversation=conversation)
    sdk.conversations.items.delete(str(secret.id), conversation_id=conversation)
    sdk.responses.create(model="chat-model", input="two", conversation=conversation)
    assert sent(provider) == ["hello", "hi", "two"]


def test_behind_an_empty_answer_the_question_stays(sdk: openai.OpenAI, provider: Provider) -> None:
    first = sdk.responses.create(model="chat-model", input=LONG)
    provider.script(Answer("The summary."), Answer(None))
    params: Any = {"model": "chat-model", "context_management": WISH}
    second = sdk.responses.create(input="two", previous_response_id=first.id, **params)
    sdk.responses.create(input="three", previous_response_id=second.id, **params)
    summary, *rest = sent(provider)
    assert summary.endswith("The summary.") and rest == ["two", "three"]


def test_over_a_websocket_a_wish_for_a_compaction_is_no_error_where_none_is_needed(
    proxy: Proxy, provider: Provider
) -> None:
    with asking_on_socket(proxy, provider, "chat-model") as socket:
        assert socket.ask("one", context_management=WISH).reply.body["status"] == "completed"


def test_over_a_websocket_a_compaction_that_is_not_stored_stands_for_what_was_before(
    proxy: Proxy, provider: Provider
) -> None:
    with asking_on_socket(proxy, provider, "chat-model") as socket:
        first = socket.ask("one", store=False)
        provider.script(Answer("The summary."))
        compacted = socket.ask([{"type": "compaction_trigger"}], first, store=False)
        summary, *rest = texts_of(socket.ask("two", compacted, store=False).requests[-1].conversation)
        assert summary.endswith("The summary.") and rest == ["two"]


def test_a_group_of_both_kinds_of_models_gets_what_a_compaction_holds(
    plain_options: ProxyOptions, provider: Provider
) -> None:
    """A model with a Responses endpoint of its own writes summaries that nobody else can read."""
    (*_, chat), (native, *_) = (
        stand_in_models(plain_options.provider_url, installed_release()),
        native_entries(plain_options.provider_url, NATIVE_PLAIN),
    )
    mixed = [{**entry, "model_name": "mixed"} for entry in (chat, native)]
    with Proxy(replace(plain_options, models=(*mixed, chat))) as proxy, openai_client(proxy) as sdk:
        params: Any = {"model": "mixed", "store": False}
        told = [said(LONG), said("It is long.", "assistant"), said("two")]
        raw = sdk.responses.with_raw_response.create(input=told, context_management=WISH, **params)
        assert "COMPACTION_MODEL" in raw.headers["x-litellm-session-compaction"]
        status, body = refused(lambda: sdk.responses.compact(model="mixed", input=told))
        assert (status, body["error"]["code"]) == (400, "compaction_failed")
        assert len(provider.requests()) == 1
        provider.script(Answer("The summary."))
        output: Any = [item.to_dict() for item in sdk.responses.compact(model="chat-model", input=told).output]
        formats = set()
        for _ in range(30):
            sdk.responses.create(input=[*output, said("three")], **params)
            formats.add(provider.requests()[-1].format)
            summary, *rest = sent(provider)
            assert summary.endswith("The summary.") and rest == ["two", "three"]
            if len(formats) == 2:
                break
        assert formats == {"chat", "responses"}
    named = {**plain_options.environment, "REDIS_SESSION_PATCH_COMPACTION_MODEL": "chat-model"}
    options = replace(plain_options, models=(*mixed, chat), environment=named)
    with Proxy(options) as proxy, openai_client(proxy) as sdk:
        formats = set()
        for _ in range(30):
            provider.script(Answer("The summary."))
            reply = sdk.responses.create(input=told, context_management=WISH, temperature=0.5, **params)
            assert [item.type for item in reply.output] == ["compaction", "message"]
            assert "temperature" not in provider.requests()[-2].body
            formats.add(provider.requests()[-1].format)
            if len(formats) == 2:
                break
        assert formats == {"chat", "responses"}
        assert [item.type for item in sdk.responses.compact(model="mixed", input=told).output][-1] == "compaction"
