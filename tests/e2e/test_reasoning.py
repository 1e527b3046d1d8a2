"""Thoughts and their signatures come back to their own maker's model, where they were, and to no other."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from lab.answers import Answer, ToolCall
from lab.asking import Asker
from lab.exchange import Exchange

from .checks import marker

LOOK_UP = {"type": "function", "name": "look_up", "parameters": {"type": "object", "properties": {}}}
STREAMS = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
FORMS = [(False, True, False), (True, False, True)]


def signature() -> str:
    return base64.b64encode(marker().encode()).decode()


def claude_contents(exchange: Exchange) -> list[list[dict[str, Any]]]:
    """The assistant's messages as Claude gets them, block by block."""
    messages = exchange.request.body["messages"]
    return [
        [{name: value for name, value in block.items() if name != "cache_control"} for block in message["content"]]
        for message in messages
        if message["role"] == "assistant"
    ]


def gemini_parts(exchange: Exchange) -> list[dict[str, Any]]:
    """The model's parts as Gemini gets them, with one spelling of names."""
    contents = exchange.request.body["contents"]
    parts = [part for content in contents if content["role"] == "model" for part in content["parts"]]
    spelled = {"thought_signature": "thoughtSignature", "function_call": "functionCall"}
    return [{spelled.get(name, name): value for name, value in part.items()} for part in parts]


def thought_block(thought: str, signed: str) -> dict[str, str]:
    return {"type": "thinking", "thinking": thought, "signature": signed}


@pytest.mark.parametrize("forms", FORMS, ids=["plain-stream-plain", "stream-plain-stream"])
def test_claude_s_thoughts_come_back_where_they_were(forms: tuple[bool, ...], asker: Asker) -> None:
    last: Exchange | None = None
    expected = []
    for number, stream in enumerate(forms):
        thought, signed = f"thought {number}", signature()
        claude = asker.with_manner("claude-model", stream)
        last = claude.ask(f"turn {number}", last, answer=Answer(f"text {number}", thinking=thought, signature=signed))
        assert claude_contents(last) == expected
        expected.append([thought_block(thought, signed), {"type": "text", "text": f"text {number}"}])
    assert claude_contents(asker.with_manner("claude-model").ask("end", last)) == expected


@STREAMS
def test_claude_s_thoughts_stand_before_the_tool_call_they_led_to(stream: bool, asker: Asker) -> None:
    claude, signed = asker.with_manner("claude-model", stream), signature()
    call = ToolCall("look_up", '{"x": 1}', "toolu_1")
    first = claude.ask(
        "Look it up.", answer=Answer("I look.", (call,), thinking="I must look.", signature=signed), tools=[LOOK_UP]
    )
    result = [{"type": "function_call_output", "call_id": "toolu_1", "output": "found"}]
    second = claude.ask(result, first, tools=[LOOK_UP])
    third = claude.ask("And?", second, tools=[LOOK_UP])
    expected = [
        thought_block("I must look.", signed),
        {"type": "text", "text": "I look."},
        {"type": "tool_use", "id": "toolu_1", "name": "look_up", "input": {"x": 1}},
    ]
    assert claude_contents(second) == [expected]
    assert claude_contents(third) == [expected, [{"type": "text", "text": second.reply.text}]]


@pytest.mark.parametrize("forms", FORMS, ids=["plain-stream-plain", "stream-plain-stream"])
def test_gemini_s_signatures_come_back_on_the_call_they_were_on(forms: tuple[bool, ...], asker: Asker) -> None:
    signed = signature()
    calls = (ToolCall("look_up", '{"x": 1}'), ToolCall("look_up", '{"x": 2}'))
    first = asker.with_manner("gemini-model", forms[0]).ask(
        "Look them up.", answer=Answer("", calls, signature=signed), tools=[LOOK_UP]
    )
    results = [
        {"type": "function_call_output", "call_id": call["call_id"], "output": "found"} for call in first.reply.calls
    ]
    second = asker.with_manner("gemini-model", forms[1]).ask(results, first, tools=[LOOK_UP])
    third = asker.with_manner("gemini-model", forms[2]).ask("And?", second, tools=[LOOK_UP])
    for exchange in (second, third):
        one, other = [part for part in gemini_parts(exchange) if "functionCall" in part]
        assert (one["functionCall"]["args"], one.get("thoughtSignature")) == ({"x": 1}, signed)
        assert other["functionCall"]["args"] == {"x": 2}
        assert other.get("thoughtSignature") != signed


@STREAMS
def test_a_gemini_conversation_goes_on_with_claude_without_gemini_s_signatures(stream: bool, asker: Asker) -> None:
    signed = signature()
    gemini, claude = (asker.with_manner(model, stream) for model in ("gemini-model", "claude-model"))
    first = gemini.ask(
        "Look it up.", answer=Answer("", (ToolCall("look_up", '{"x": 1}'),), signature=signed), tools=[LOOK_UP]
    )
    (call,) = first.reply.calls
    result = [{"type": "function_call_output", "call_id": call["call_id"], "output": "found"}]
    second = claude.ask(
        result, first, answer=Answer("It is here.", thinking="So.", signature="claude's"), tools=[LOOK_UP]
    )
    assert signed not in json.dumps(second.request.body)
    assert "thinking" not in json.dumps(second.request.body["messages"])
    third = gemini.ask("And?", second, tools=[LOOK_UP])
    assert [part.get("thoughtSignature") for part in gemini_parts(third) if "functionCall" in part] == [signed]
    assert "claude's" not in json.dumps(third.request.body)
    fourth = claude.ask("Well?", third, tools=[LOOK_UP])
    assert signed not in json.dumps(fourth.request.body)
    blocks = [block for content in claude_contents(fourth) for block in content]
    assert [block for block in blocks if block["type"] == "thinking"] == [thought_block("So.", "claude's")]
    assert fourth.said == ["Look it up.", "found", "It is here.", "And?", third.reply.text, "Well?"]
