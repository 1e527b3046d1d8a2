"""Turns and records as bytes: what is checked when they are read."""

from __future__ import annotations

import json

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch import conversation as conv
from litellm.responses.litellm_completion_transformation.redis_session_patch.conversation import Record, Turn
from litellm.responses.litellm_completion_transformation.redis_session_patch.owner import Owner

from .support.stores import ALICE

TURN = conv.encode_turn(Turn("q", ({"role": "assistant", "content": "a"},)), None)
RECORD = conv.encode_record(Record("c", "17", 3, 100, 200, 5, 1_700_000_000, ALICE))
GARBAGE = [b"", b"null", b"[]", b'"text"', b"17", b"\xff\xfe", b"not json", TURN[:-2], RECORD[:-1], b"[" * 100_000]


def altered(data: bytes, **fields: object) -> bytes:
    """The encoded value with other fields; a field given as `...` is left out."""
    end = b"," if data.endswith(b",") else b""
    changed = {**json.loads(data.removesuffix(b",")), **fields}
    return json.dumps({name: value for name, value in changed.items() if value is not ...}).encode() + end


def read_back(turn: Turn) -> Turn:
    (found,) = conv.decode_turns(conv.encode_turn(turn, None))
    return found


@pytest.mark.parametrize(
    "text",
    [
        *(each + b"," for each in GARBAGE[1:]),
        b"{},",
        RECORD + b",",
        TURN + b"7,",
        TURN[:-1] + TURN,
        altered(TURN, v=1),
        altered(TURN, v=...),
        TURN + altered(TURN, v=3),
    ],
    ids=lambda text: text[:40].decode("latin-1"),
)
def test_what_are_no_turns_of_this_format_is_unreadable(text):
    with pytest.raises(conv.Unreadable):
        conv.decode_turns(text)


@pytest.mark.parametrize("data", [*GARBAGE, b"{}", TURN[:-1], altered(RECORD, v=1), altered(RECORD, v=...)])
def test_what_is_no_record_of_this_format_is_unreadable(data):
    with pytest.raises(conv.Unreadable):
        conv.decode_record(data)


def user(content: object = "hello", **fields: object) -> dict:
    return {"role": "user", "content": content, **fields}


CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
RESULT = {"type": "function_call_output", "call_id": "c1", "output": "42"}


@pytest.mark.parametrize(
    "item",
    [
        user(),
        user([{"type": "input_text", "text": "x"}]),
        user(type="message"),
        CALL,
        {**CALL, "call_id": None, "id": "c1"},
        {**CALL, "type": "custom_tool_call", "input": "x"},
        RESULT,
        {**RESULT, "type": "custom_tool_call_output"},
        {"type": "reasoning", "summary": []},
        {"type": "an item of tomorrow"},
    ],
)
def test_an_input_of_responses_items_is_a_turn_s(item):
    assert read_back(Turn([item])).input == [item]


@pytest.mark.parametrize(
    "item",
    [
        "text",
        None,
        7,
        [],
        {},
        {"content": "x"},
        {"role": "nobody", "content": "x"},
        {"type": ""},
        {"type": 7},
        {"role": ["user"], "type": None},
        {**CALL, "call_id": ["c1"]},
        {**CALL, "call_id": "", "id": None},
        {**CALL, "name": None},
        {**CALL, "name": {"a": 1}},
        {**RESULT, "call_id": 7},
        {**RESULT, "call_id": None},
    ],
    ids=str,
)
def test_an_input_that_no_client_sent_is_unreadable(item):
    with pytest.raises(conv.Unreadable):
        read_back(Turn([item]))


@pytest.mark.parametrize("given", [None, 7, {"role": "user"}, True])
def test_an_input_is_a_text_or_a_list(given):
    with pytest.raises(conv.Unreadable):
        read_back(Turn(given))


@pytest.mark.parametrize(
    "message",
    [
        "text",
        {},
        {"role": "nobody"},
        {"content": "x"},
        {"role": "assistant", "content": 7},
        {"role": "assistant", "content": {"a": 1}},
        {"role": "assistant", "tool_calls": "x"},
        {"role": "assistant", "tool_calls": None},
        {"role": "assistant", "tool_calls": ["x"]},
        {"role": "assistant", "tool_calls": [{"function": "f"}]},
    ],
    ids=str,
)
def test_an_answer_that_no_provider_gave_is_unreadable(message):
    with pytest.raises(conv.Unreadable):
        read_back(Turn("q", (message,)))


@pytest.mark.parametrize(
    "fields",
    [{"answer": None}, {"answer": {}}, {"instructions": 7}, {"instructions": False}, {"maker": []}, {"session": 1}],
    ids=str,
)
def test_a_field_of_another_type_is_unreadable(fields):
    with pytest.raises(conv.Unreadable):
        conv.decode_turns(altered(TURN, **fields))


def test_unknown_fields_are_ignored_and_missing_ones_have_defaults():
    assert conv.decode_turns(altered(TURN, surprise=1)) == conv.decode_turns(TURN)
    assert conv.decode_turns(b'{"v":2,"input":"q"},') == (Turn("q"),)
    assert conv.decode_record(altered(RECORD, surprise=1)) == conv.decode_record(RECORD)


@pytest.mark.parametrize("constant", [b"NaN", b"Infinity", b"-Infinity"])
def test_numbers_that_json_lacks_are_unreadable(constant):
    with pytest.raises(conv.Unreadable):
        conv.decode_turns(TURN.replace(b'"q"', b'[{"type":"x","n":' + constant + b"}]"))


def test_instructions_that_stay_are_said_once():
    turns = [
        Turn(text, instructions=said) for text, said in [("a", "x" * 500), ("b", "x" * 500), ("c", "y"), ("d", None)]
    ]
    turns += [Turn("e", instructions="y"), Turn("f", instructions="y"), Turn("g", instructions="")]
    befores = [None, *turns[:-1]]
    text = b"".join(conv.encode_turn(turn, before) for turn, before in zip(turns, befores, strict=True))
    assert text.count(b"x" * 500) == 1 and conv.decode_turns(text) == tuple(turns)


def test_a_first_turn_that_says_its_instructions_are_as_before_has_none():
    assert conv.decode_turns(altered(TURN, instructions=True))[0].instructions is None


def test_an_error_about_a_stored_value_does_not_quote_it():
    for secret in (b'{"v":1,"input":"a secret"},', b'{"v":2,"input":["a secret"]},', b'{"a secret,,'):
        with pytest.raises(conv.Unreadable) as caught:
            conv.decode_turns(secret)
        assert "secret" not in str(caught.value)


def test_new_ids_differ_and_can_be_read_again():
    ids = {conv.new_turn_id() for _ in range(1_000)}
    assert len(ids) == 1_000 == len({conv.new_conversation() for _ in range(1_000)})
    for turn in ids:
        assert turn != conv.NO_TURN and float(turn) == int(turn)  # Redis keeps it as a score.
        record = Record(conv.new_conversation(), turn, 1, 1, 1, 0, 0, Owner("u", "t"))
        assert conv.decode_record(conv.encode_record(record)) == record


@pytest.mark.parametrize(
    "owner, kept",
    [
        (Owner("u", "t", "k", "e"), Owner("u", "t")),
        (Owner("u", None, "k"), Owner("u")),
        (Owner(None, "t", "k"), Owner(None, "t")),
        (Owner(None, None, "k", "e"), Owner(None, None, "k")),
        (Owner(), Owner()),
    ],
)
def test_a_record_keeps_of_its_owner_what_decides_who_may_continue(owner, kept):
    assert conv.decode_record(conv.encode_record(Record("c", "1", 1, 1, 1, 0, 0, owner))).owner == kept
