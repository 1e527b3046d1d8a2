"""Turns as bytes: what is checked when they are read."""

from __future__ import annotations

import json

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.values.turns import (
    FORMAT,
    JsonText,
    Turn,
    Unreadable,
    decode_turns,
    encode_turn,
    take_down,
)

TURN = encode_turn(Turn("q", ({"role": "assistant", "content": "a"},)), None)
GARBAGE = [b"", b"null", b"[]", b"{}", b'"text"', b"17", b"\xff\xfe", b"not json", TURN[:-3], b"[" * 100_000]


def altered(data: bytes, **fields: object) -> bytes:
    """The encoded turn with other fields; a field given as `...` is left out."""
    said, *rest = data.split(b"\n")
    changed = {**json.loads(said), **fields}
    changed = {name: value for name, value in changed.items() if value is not ...}
    return b"\n".join([json.dumps(changed).encode(), *rest])


def read_back(turn: Turn) -> Turn:
    (found,) = decode_turns(encode_turn(turn, None))
    return found


@pytest.mark.parametrize(
    "text",
    [
        *(each + b"\n\n" for each in GARBAGE),
        TURN[:-1],
        TURN[:-2],
        TURN + b"{}",
        TURN + TURN[:-1],
        TURN[:-1] + TURN,
        b"\n" + TURN,
        altered(TURN, v=1),
        altered(TURN, v=2),
        altered(TURN, v=...),
        TURN + altered(TURN, v=FORMAT + 1),
    ],
    ids=lambda text: text[:40].decode("latin-1"),
)
def test_what_are_no_turns_of_this_format_is_unreadable(text):
    with pytest.raises(Unreadable):
        decode_turns(text)


def user(content: object = "hello", **fields: object) -> dict:
    return {"role": "user", "content": content, **fields}


CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
CUSTOM = {"type": "custom_tool_call", "call_id": "c1", "name": "f", "input": "x"}
RESULT = {"type": "function_call_output", "call_id": "c1", "output": "42"}
IMAGE = {"type": "input_image", "image_url": "data:image/png;base64,AA=="}


@pytest.mark.parametrize(
    "item",
    [
        user(),
        user([{"type": "input_text", "text": "x"}, IMAGE]),
        user(type="message", id=None),
        CALL,
        CUSTOM,
        RESULT,
        {**RESULT, "output": [{"type": "input_text", "text": "42"}, IMAGE]},
        {**RESULT, "type": "custom_tool_call_output"},
        {
            "type": "reasoning",
            "id": "r1",
            "summary": [{"type": "summary_text", "text": "x"}],
            "encrypted_content": None,
        },
        {"type": "an item of tomorrow", "new": {"a": [1]}},
    ],
    ids=str,
)
def test_an_input_of_responses_items_is_a_turn_s(item):
    turn = encode_turn(Turn([item]), None)
    assert decode_turns(turn)[0].input == [item]


@pytest.mark.parametrize("item", [{**RESULT, "output": {"a": 1}}, {**RESULT, "call_id": None}, user(["x"])], ids=str)
def test_what_upstream_took_is_read_as_it_was_sent_whatever_its_form(item):
    for given in ([item], take_down([item])):
        assert read_back(Turn(given)).input == [item]
    again = encode_turn(read_back(Turn([item])), None)
    assert decode_turns(again) == (read_back(Turn([item])),)


FUNCTION = {"name": "f", "arguments": "{}"}
TOOL_CALL = {"id": "c1", "type": "function", "function": FUNCTION}
ANSWER = {"role": "assistant", "content": None, "tool_calls": [TOOL_CALL]}


@pytest.mark.parametrize(
    "message",
    [
        ANSWER,
        {**ANSWER, "content": "Wait.", "reasoning_content": "Hm.", "thinking_blocks": [{"thinking": "Hm."}]},
        {**ANSWER, "tool_calls": None, "provider_specific_fields": {"anything": [5]}},
        {"role": "assistant", "content": [{"type": "text", "text": "x"}], "new": 5},
        {"role": "tool", "tool_call_id": "c1", "content": "42"},
    ],
    ids=str,
)
def test_an_answer_comes_back(message):
    assert read_back(Turn("q", (message,))).answer == (message,)


@pytest.mark.parametrize(
    "fields",
    [
        {"answer": {}},
        {"input": ...},
        {"instructions": 7},
        {"instructions": False},
        {"instructions": True},
        {"maker": []},
        {"session": 1},
        {"answer": ["text"]},
        {"answer": [{"content": "no role"}]},
        {"answer": [{**ANSWER, "role": 7}]},
        {"answer": [{**ANSWER, "content": 7}]},
        {"answer": [{**ANSWER, "tool_calls": 7}]},
        {"answer": [{**ANSWER, "tool_calls": ["c1"]}]},
        {"answer": [{**ANSWER, "tool_calls": [{"id": "c1"}]}]},
    ],
    ids=str,
)
def test_a_field_of_another_type_is_unreadable(fields):
    with pytest.raises(Unreadable):
        decode_turns(altered(TURN, **fields))


def test_unknown_fields_are_ignored_and_missing_ones_have_defaults():
    assert decode_turns(altered(TURN, surprise=1)) == decode_turns(TURN)
    assert decode_turns(b'{"v":%d,"input":"q"}\n\n' % FORMAT) == (Turn("q"),)


@pytest.mark.parametrize("constant", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999", b"9" * 5_000])
def test_numbers_that_json_lacks_are_unreadable(constant):
    with pytest.raises(Unreadable):
        decode_turns(TURN.replace(b'"q"', b'[{"type":"x","n":' + constant + b"}]"))


def test_instructions_that_stay_are_said_once():
    turns = [
        Turn(text, instructions=said) for text, said in [("a", "x" * 500), ("b", "x" * 500), ("c", "y"), ("d", None)]
    ]
    turns += [Turn("e", instructions="y"), Turn("f", instructions="y"), Turn("g", instructions="")]
    befores = [None, *turns[:-1]]
    text = b"".join(encode_turn(turn, before) for turn, before in zip(turns, befores, strict=True))
    assert text.count(b"x" * 500) == 1 and decode_turns(text) == tuple(turns)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_json_lacks_is_not_written(number):
    for write in (take_down, lambda value: encode_turn(Turn("q", ({"role": "user", "x": value},)), None)):
        with pytest.raises(ValueError):
            write(number)


def test_an_error_about_a_stored_value_does_not_quote_it():
    for secret in (
        b'{"v":1,"input":"a secret"}\n\n',
        b'{"v":3,"input":"","maker":["a secret"]}\n\n',
        b'{"a secret\n\n',
    ):
        with pytest.raises(Unreadable) as caught:
            decode_turns(secret)
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize("said", ["text", [user()], [{"type": "x", "n": 1.0}]], ids=str)
def test_an_input_is_had_as_a_value_also_where_it_was_taken_down(said):
    assert Turn(said).items == said == Turn(take_down(said)).items


def test_an_input_is_taken_down_as_it_is_now():
    said = [user("before")]
    taken = take_down(said)
    said[0]["content"] = "after"
    assert taken == JsonText('[{"role":"user","content":"before"}]')
    assert read_back(Turn(taken)).input == [user("before")]


@pytest.mark.parametrize("by", [7, "a", {}, True], ids=repr)
def test_owners_that_nobody_wrote_are_unreadable(by):
    with pytest.raises(Unreadable):
        decode_turns(altered(TURN, by=by))
