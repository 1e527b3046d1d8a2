"""Whatever is said and answered comes back whole: as from a client that sends the whole conversation itself."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from lab.answers import Answer
from lab.asking import Asker
from lab.exchange import Exchange
from lab.lines import Manner

from .checks import check_is_unknown

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
# It has no bytes in UTF-8, so upstream can neither send it on nor hand it out.
LONE_SURROGATE = "a\ud800b"
PDF = base64.b64encode(b"%PDF-1.4 a file of the client").decode()
IMAGE = {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}", "detail": "auto"}
FILE = {"type": "input_file", "filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}


def text_part(text: str) -> dict[str, str]:
    return {"type": "input_text", "text": text}


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


INPUTS = {
    "a string": "Hello.",
    "a list": [user("Hello.")],
    "several messages": [user("One."), {"type": "message", **user([text_part("Two."), text_part("Three.")])}],
    "other roles": [
        {"role": "developer", "content": "Be brief."},
        user("One."),
        {"role": "assistant", "content": "Yes?"},
        user("Two."),
    ],
    "an image": [user([text_part("Look."), IMAGE])],
    "a file": [user([text_part("Read."), FILE])],
    "scripts and emoji": "Ärger 数据 עברית हिन्दी 𝔘 e\u0301 🙂 👩‍👩‍👧 \u2028\x85\ufeff\u202e",
    "control characters": "a\x00b\x1f\x7f\tc",
    "a lone surrogate": LONE_SURROGATE,
}
TOOLS = [{"type": "function", "name": "look_up", "parameters": {"type": "object", "properties": {}}}]
CALL = {"type": "function_call", "call_id": "call_1", "name": "look_up", "arguments": "{}"}
RESULT = {"type": "function_call_output", "call_id": "call_1", "output": "found"}
# What the API does not have, and upstream takes.
ODD_INPUTS = {
    "a part of no kind": [user([{"text": "One."}])],
    "no content": [user("One."), {"role": "assistant", "content": None}],
    "a result of no call": [user("One."), {**RESULT, "call_id": None}],
    "a result that is an object": [user("One."), CALL, {**RESULT, "output": {"found": [1]}}],
    "a call by another name of its id": [user("One."), {**CALL, "call_id": None, "id": "call_1"}, RESULT],
    "a kind of null": [{"type": None, **user("One.")}],
}
ANSWERS = {
    "nothing": Answer(""),
    "scripts and emoji": Answer("Ärger 数据 🙂 👩‍👩‍👧 \u2028 \x00"),
}


@pytest.fixture
def asker(asker: Asker, manner: Manner) -> Asker:
    return asker.with_manner(manner.model, manner.stream)


def items_of(said: Any) -> list[dict[str, Any]]:
    return [user(said)] if isinstance(said, str) else said


def check_is_as_told_whole(asker: Asker, said: Any, first: Exchange, **params: Any) -> None:
    """The follow-up of ``first``, and what a client with no memory sends for it, are one to the provider."""
    follow_up = asker.ask("And then?", first, **params)
    whole = asker.ask([*items_of(said), *first.reply.output, user("And then?")], **params)
    assert (follow_up.status, follow_up.conversation) == (whole.status, whole.conversation)
    if whole.request is not None:
        sent, expected = (json.dumps(each.request.body) for each in (follow_up, whole))
        assert [sent.count(data) for data in (PIXEL, PDF)] == [expected.count(data) for data in (PIXEL, PDF)]


@pytest.mark.parametrize("said", INPUTS.values(), ids=INPUTS)
def test_every_input_comes_back(said: Any, asker: Asker) -> None:
    first = asker.ask(said)
    if said == LONE_SURROGATE and first.status != 200:
        assert first.request is None
        return
    check_is_as_told_whole(asker, said, first)


@pytest.mark.parametrize("said", ODD_INPUTS.values(), ids=ODD_INPUTS)
def test_an_input_of_an_odd_form_is_in_the_history_what_it_was(said: Any, asker: Asker) -> None:
    first = asker.ask(said, tools=TOOLS)  # for Claude takes no calls without
    if first.status == 200:
        check_is_as_told_whole(asker, said, first, tools=TOOLS)
    else:  # for upstream has nothing to make of it for this provider
        assert asker.manner.model != "chat-model" and first.request is None


def test_arguments_that_are_an_object_are_one_in_the_history(asker: Asker) -> None:
    first = asker.ask([user("One."), {**CALL, "arguments": {"a": 1}}, RESULT], tools=TOOLS)
    if first.status != 200:
        assert asker.manner.model != "chat-model" and first.request is None
        return
    follow_up = asker.ask("And then?", first, tools=TOOLS)
    assert follow_up.status == 200 and not follow_up.was_refused
    (call,) = [call for message in follow_up.conversation for call in message.calls]
    assert json.loads(call.arguments) in ({"a": 1}, {"invalid_json": "{'a': 1}"})  # Older releases make Python's text.


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_after_every_answer_the_conversation_goes_on(answer: Answer, asker: Asker) -> None:
    first = asker.ask("Hello.", answer=answer)
    assert first.status == 200
    check_is_as_told_whole(asker, "Hello.", first)


def test_after_a_refusal_the_conversation_goes_on(asker: Asker) -> None:
    first = asker.ask("Hello.", answer=Answer("I will not.", finish="refusal"))
    follow_up = asker.ask("And then?", first)
    assert follow_up.status == 200
    lost = ["Hello.", "And then?"]  # LiteLLM drops some, from its client too.
    assert follow_up.said == ["Hello.", "I will not.", "And then?"] or (follow_up.said == lost and not first.reply.text)


def test_an_answer_that_upstream_cannot_hand_out_is_no_turn(asker: Asker) -> None:
    first = asker.ask("Hello.", answer=Answer(LONE_SURROGATE))
    assert first.status == 500 or (first.reply.events and "completed" not in first.reply.ids)
    for response_id in {given for given in first.reply.ids.values() if given}:
        check_is_unknown(asker, response_id)


def test_instructions_are_replaced_by_new_ones(asker: Asker) -> None:
    first = asker.ask("one", instructions="be brief")
    second = asker.ask("two", first, instructions="be kind")
    assert second.said == ["be kind", "one", first.reply.text, "two"]


def test_without_new_instructions_the_last_ones_hold(asker: Asker) -> None:
    first = asker.ask("one", instructions="be brief")
    second = asker.ask("two", first, instructions="be kind")
    third = asker.ask("three", second)
    assert third.said == ["be kind", "one", first.reply.text, "two", second.reply.text, "three"]
