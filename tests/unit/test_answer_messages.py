"""A provider's answer as the chat messages that are stored: nothing lost that a follow-up may need."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from litellm.types.utils import ChatCompletionMessageToolCall, Choices, Function, Message

from litellm.responses.litellm_completion_transformation.redis_session_patch.request.history import answer_messages

CALL = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"at": "☀"}'}}


def call(**fields: Any) -> ChatCompletionMessageToolCall:
    function = Function(name="look", arguments='{"at": "☀"}')
    return ChatCompletionMessageToolCall(**{"id": "call_1", "type": "function", "function": function, **fields})


def messages_of(*messages: Message) -> tuple[dict[str, Any], ...]:
    return answer_messages([Choices(index=index, message=message) for index, message in enumerate(messages)])


def message_of(**fields: Any) -> dict[str, Any]:
    (message,) = messages_of(Message(role="assistant", **fields))
    return message


def test_a_text_is_its_text():
    assert message_of(content="Hello \x00 \U0001f600") == {"role": "assistant", "content": "Hello \x00 \U0001f600"}


def test_a_long_text_is_not_cut():
    assert message_of(content="x" * 100_000)["content"] == "x" * 100_000


def test_an_empty_text_stays_a_message():
    assert message_of(content="") == {"role": "assistant", "content": ""}
    assert message_of(content=None) == {"role": "assistant", "content": None}


@pytest.mark.parametrize("content", [None, ""])
def test_tool_calls_without_text_are_kept_as_they_came(content):
    assert message_of(content=content, tool_calls=[call()]) == {
        "role": "assistant",
        "content": content,
        "tool_calls": [CALL],
    }


def test_parallel_calls_and_text_are_kept_in_order():
    message = message_of(content="One moment.", tool_calls=[call(id=f"call_{number}") for number in range(3)])
    assert message["content"] == "One moment."
    assert [kept["id"] for kept in message["tool_calls"]] == ["call_0", "call_1", "call_2"]


def test_thinking_blocks_keep_their_signatures():
    blocks = [
        {"type": "thinking", "thinking": "hm", "signature": "sig=="},
        {"type": "redacted_thinking", "data": "secret=="},
    ]
    assert message_of(content="42", thinking_blocks=blocks, reasoning_content="hm")["thinking_blocks"] == blocks


def test_provider_fields_of_the_message_are_kept():
    message = message_of(content="42", provider_specific_fields={"thought_signatures": ["s1"], "nothing": None})
    assert message["provider_specific_fields"] == {"thought_signatures": ["s1"]}


def test_a_provider_field_that_says_a_field_once_more_is_left_out():
    blocks = [{"type": "thinking", "thinking": "hm", "signature": "sig"}]
    message = message_of(
        content="42", thinking_blocks=blocks, provider_specific_fields={"thinking_blocks": blocks, "x": 1}
    )
    assert message["provider_specific_fields"] == {"x": 1}
    assert message["thinking_blocks"] == blocks


def test_the_signature_of_a_call_is_kept():
    signed = call(provider_specific_fields={"thought_signature": "s1"})
    (kept,) = message_of(content=None, tool_calls=[signed])["tool_calls"]
    assert kept["provider_specific_fields"] == {"thought_signature": "s1"}


def test_fields_that_say_nothing_are_left_out():
    message = message_of(content="42", tool_calls=None, function_call=None, annotations=[], provider_specific_fields={})
    assert message == {"role": "assistant", "content": "42"}


def test_several_choices_are_several_messages():
    assert [message["content"] for message in messages_of(Message(content="a"), Message(content="b"))] == ["a", "b"]


def test_choices_without_a_message_are_no_messages():
    assert answer_messages([SimpleNamespace(delta="x"), SimpleNamespace(message=None)]) == ()


def test_a_message_that_is_a_plain_object_is_taken_too():
    assert answer_messages([SimpleNamespace(message={"content": "a", "refusal": None})]) == (
        {"role": "assistant", "content": "a"},
    )


def test_messages_are_plain_json():
    message = message_of(content=None, tool_calls=[call()], thinking_blocks=[{"type": "thinking", "thinking": "hm"}])
    assert json.loads(json.dumps(message)) == message
