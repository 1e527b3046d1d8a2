"""After whatever a model answered, a follow-up is one that its provider takes, and nothing that matters is missing.

The stand-ins refuse what real providers refuse (`lab/refusing`).
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from lab.answers import Answer, ToolCall
from lab.asking import Asker
from lab.chat_models import CHAT_MODELS, model_of
from lab.exchange import Exchange

CHATS = ("chat-model", *map(model_of, CHAT_MODELS))
MODELS = ("claude-model", "gemini-model", *CHATS)
STREAMS = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
LOOK_UP = {"type": "function", "name": "look_up", "parameters": {"type": "object", "properties": {}}}
TOOLS: dict[str, Any] = {"tools": [LOOK_UP]}


def taken(exchange: Exchange) -> list[str]:
    """What the provider was sent, which took it."""
    assert (exchange.status, exchange.was_refused) == (200, False), exchange.reply.body
    return exchange.said


def assistants(exchange: Exchange) -> list[dict[str, Any]]:
    assert exchange.request is not None
    return [message for message in exchange.request.body["messages"] if message["role"] == "assistant"]


def calls_sent(exchange: Exchange) -> list[tuple[str, str]]:
    """Each call that the provider was sent, and its result."""
    assert exchange.request is not None
    conversation = exchange.request.conversation_as(merge=False)
    calls = [call for message in conversation for call in message.calls]
    results = [result for message in conversation for result in message.results]
    return [(call.arguments, result.text) for call, result in zip(calls, results, strict=True)]


def result_of(exchange: Exchange, output: str, number: int = 0) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": exchange.reply.calls[number]["call_id"], "output": output}


SAYS_NOTHING = {
    "null": Answer(None),
    "empty": Answer(""),
    "blank": Answer("  \n"),
    "filtered": Answer(None, finish="content_filter"),
    "cut before the first word": Answer("", finish="length"),
}


@STREAMS
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("answer", SAYS_NOTHING.values(), ids=SAYS_NOTHING)
def test_an_answer_that_says_nothing_is_not_sent(answer: Answer, model: str, stream: bool, chats: Asker) -> None:
    asker = chats.with_manner(model, stream)
    second = asker.ask("and now?", asker.ask("hello", answer=answer))
    assert taken(second) == ["hello", "and now?"]
    assert taken(asker.ask("again", second)) == ["hello", "and now?", second.reply.text, "again"]


@STREAMS
@pytest.mark.parametrize("model", ["claude-model", "gemini-model", "chat-model"])
def test_reasoning_alone_is_not_sent(model: str, stream: bool, chats: Asker) -> None:
    asker = chats.with_manner(model, stream)
    first = asker.ask("hello", answer=Answer("", thinking="hm", finish="length"))
    assert taken(asker.ask("and now?", first)) == ["hello", "and now?"]


@STREAMS
@pytest.mark.parametrize("model", CHATS)
def test_a_refusal_is_sent_as_text(model: str, stream: bool, chats: Asker) -> None:
    asker = chats.with_manner(model, stream)
    first = asker.ask("hello", answer=Answer("I can not.", finish="refusal"))
    refusal = [] if stream else ["I can not."]  # LiteLLM drops it from a stream.
    assert taken(asker.ask("why?", first)) == ["hello", *refusal, "why?"]


OUTPUT_ONLY: dict[str, Any] = {
    "annotations": [
        {
            "type": "url_citation",
            "url_citation": {"url": "https://a.example", "title": "a", "start_index": 0, "end_index": 1},
        }
    ],
    "executed_tools": [{"type": "search", "arguments": "{}", "index": 0, "output": "x"}],
    "reasoning": "hm",
    "reasoning_content": "hm",
    "reasoning_details": [{"type": "reasoning.text", "text": "hm"}],
    "citations": ["https://a.example"],
    "some_field": {"a": 1},
}


@STREAMS
@pytest.mark.parametrize("model", CHATS)
@pytest.mark.parametrize("name", OUTPUT_ONLY)
def test_of_an_answer_only_what_is_input_is_sent(name: str, model: str, stream: bool, chats: Asker) -> None:
    asker = chats.with_manner(model, stream)
    first = asker.ask("hello", answer=Answer("4", extra={name: OUTPUT_ONLY[name]}))
    second = asker.ask("and now?", first)
    assert taken(second) == ["hello", "4", "and now?"]
    (message,) = assistants(second)
    own = {"reasoning_content"} if model in ("chat-model", "fireworks-model") else set()
    assert message.keys() <= {"role", "content"} | own


ODD_ARGUMENTS = {
    "empty": ("", "{}"),
    "cut": ('{"city": "Par', '{"invalid_json": "{\\"city\\": \\"Par"}'),
    "a list": ('["Paris"]', '{"invalid_json": "[\\"Paris\\"]"}'),
    "a text": ('"Paris"', '{"invalid_json": "\\"Paris\\""}'),
}


@pytest.mark.parametrize("model", ["claude-model", *CHATS])
@pytest.mark.parametrize("arguments, sent", ODD_ARGUMENTS.values(), ids=ODD_ARGUMENTS)
def test_arguments_that_are_no_object_are_sent_in_one(arguments: str, sent: str, model: str, chats: Asker) -> None:
    asker = chats.with_manner(model, model == "claude-model")
    first = asker.ask("look", answer=Answer(None, (ToolCall("look_up", arguments),)), **TOOLS)
    second = asker.ask([result_of(first, "42")], first, **TOOLS)
    taken(second)
    ((got, result),) = calls_sent(second)
    assert (json.loads(got), result) == (json.loads(sent), "42")


@STREAMS
@pytest.mark.parametrize("model", MODELS)
def test_a_call_that_nobody_answered_has_a_result_all_the_same(model: str, stream: bool, chats: Asker) -> None:
    asker = chats.with_manner(model, stream)
    first = asker.ask("look", answer=Answer("Let me see.", (ToolCall("look_up"),)), **TOOLS)
    second = asker.ask("never mind", first, **TOOLS)
    between = ["OK."] if model == "mistral-model" else []
    assert taken(second) == ["look", "Let me see.", "This call has no result.", *between, "never mind"]
    third = asker.ask([result_of(first, "42"), {"role": "user", "content": "late"}], second, **TOOLS)
    assert taken(third) == ["look", "Let me see.", "42", *between, "never mind", second.reply.text, "late"]


@pytest.mark.parametrize("model", MODELS)
def test_results_stand_behind_their_calls_wherever_the_client_says_them(model: str, chats: Asker) -> None:
    asker, both = chats.with_manner(model), (ToolCall("look_up", '{"a": 1}'), ToolCall("look_up", '{"a": 2}'))
    first = asker.ask("look", answer=Answer(None, both), **TOOLS)
    said = [
        {"role": "user", "content": "here"},
        result_of(first, "two", 1),
        result_of(first, "one"),
        result_of(first, "x"),
    ]
    second = asker.ask(said, first, **TOOLS)
    taken(second)
    assert calls_sent(second) == [('{"a": 1}', "one"), ('{"a": 2}', "two")]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("answered", [False, True], ids=["open", "answered"])
def test_a_call_that_the_client_says_again_is_sent_once(answered: bool, model: str, chats: Asker) -> None:
    asker = chats.with_manner(model)
    first = asker.ask("look", answer=Answer(None, (ToolCall("look_up", '{"a": 1}'),)), **TOOLS)
    (call,) = first.reply.calls
    again = [{key: call[key] for key in ("type", "call_id", "name", "arguments")}, result_of(first, "42")]
    last = asker.ask([result_of(first, "42")], first, **TOOLS) if answered else first
    second = asker.ask([*again, {"role": "user", "content": "so?"}], last, **TOOLS)
    taken(second)
    assert calls_sent(second) == [('{"a": 1}', "42")]


@pytest.mark.parametrize("model", MODELS)
def test_a_model_may_number_its_calls_anew_in_every_answer(model: str, chats: Asker) -> None:
    asker = chats.with_manner(model)
    last = asker.ask("look", answer=Answer(None, (ToolCall("look_up", '{"a": 1}', "look_up:0"),)), **TOOLS)
    again = Answer(None, (ToolCall("look_up", '{"a": 2}', "look_up:0"),))
    last = asker.ask([result_of(last, "one")], last, answer=again, **TOOLS)
    last = asker.ask([result_of(last, "two")], last, **TOOLS)
    taken(last)
    assert calls_sent(last) == [('{"a": 1}', "one"), ('{"a": 2}', "two")]


@pytest.mark.parametrize("after", MODELS)
@pytest.mark.parametrize("before", ["claude-model", "gemini-model", "chat-model"])
def test_a_conversation_goes_on_at_any_other_model(before: str, after: str, chats: Asker) -> None:
    asker = chats.with_manner(before)
    calling = Answer("Let me see.", (ToolCall("look_up", '{"a": 1}'),), thinking="hm")
    last = asker.ask("look", answer=calling, **TOOLS)
    last = asker.ask([result_of(last, "42")], last, answer=Answer("It is 42.", thinking="so"), **TOOLS)
    third = asker.with_manner(after).ask("and now?", last, **TOOLS)
    assert taken(third) == ["look", "Let me see.", "42", "It is 42.", "and now?"]
    assert calls_sent(third) == [('{"a": 1}', "42")]
