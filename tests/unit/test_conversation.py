"""Turns and records as bytes: what is checked when they are read."""

from __future__ import annotations

import json

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch import conversation as conv
from litellm.responses.litellm_completion_transformation.redis_session_patch.conversation import Record, Turn

from .support.stores import ALICE

TURN = conv.encode_turn(Turn("q", ({"role": "assistant", "content": "a"},)))
RECORD, SEALED = conv.encode_record(Record("c", "17", 3, 100, 1_700_000_000, ALICE, "trace"))
GARBAGE = [b"", b"null", b"[]", b'"text"', b"17", b"\xff\xfe", b"not json", TURN[:-1], RECORD[:-1], b"[" * 100_000]


def altered(data: bytes, **fields: object) -> bytes:
    """The encoded value with other fields; a field given as `...` is left out."""
    changed = {**json.loads(data), **fields}
    return json.dumps({name: value for name, value in changed.items() if value is not ...}).encode()


@pytest.mark.parametrize("data", [*GARBAGE, b"{}", RECORD, SEALED, altered(TURN, v=1), altered(TURN, v=...)])
def test_what_is_no_turn_of_this_format_is_unreadable(data):
    with pytest.raises(conv.Unreadable):
        conv.decode_turn(data)


@pytest.mark.parametrize("data", [*GARBAGE, b"{}", TURN, altered(RECORD, v=1), altered(RECORD, v=...)])
def test_what_is_no_record_of_this_format_is_unreadable(data):
    with pytest.raises(conv.Unreadable):
        conv.decode_record(data, SEALED)


@pytest.mark.parametrize("sealed", [*GARBAGE, altered(SEALED, session=7)])
def test_what_is_no_sealed_part_of_a_record_is_unreadable(sealed):
    with pytest.raises(conv.Unreadable):
        conv.decode_record(RECORD, sealed)


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
    assert conv.decode_turn(conv.encode_turn(Turn([item]))).input == [item]


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
        {"role": ["user"]} | {"type": None},
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
        conv.decode_turn(conv.encode_turn(Turn([item])))


@pytest.mark.parametrize("given", [None, 7, {"role": "user"}, True])
def test_an_input_is_a_text_or_a_list(given):
    with pytest.raises(conv.Unreadable):
        conv.decode_turn(conv.encode_turn(Turn(given)))


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
        conv.decode_turn(conv.encode_turn(Turn("q", (message,))))


@pytest.mark.parametrize(
    "fields", [{"answer": None}, {"answer": {}}, {"instructions": 7}, {"maker": []}, {"answer": "x"}], ids=str
)
def test_a_field_of_another_type_is_unreadable(fields):
    with pytest.raises(conv.Unreadable):
        conv.decode_turn(altered(TURN, **fields))


def test_unknown_fields_are_ignored_and_missing_ones_have_defaults():
    assert conv.decode_turn(altered(TURN, surprise=1)) == conv.decode_turn(TURN)
    bare = altered(TURN, answer=..., instructions=..., maker=...)
    assert conv.decode_turn(bare) == Turn("q")
    expected = conv.decode_record(RECORD, SEALED)
    assert conv.decode_record(altered(RECORD, surprise=1), altered(SEALED, surprise=1)) == expected
    assert conv.decode_record(RECORD, b"{}").session_id is None


@pytest.mark.parametrize("constant", [b"NaN", b"Infinity", b"-Infinity"])
def test_numbers_that_json_lacks_are_unreadable(constant):
    with pytest.raises(conv.Unreadable):
        conv.decode_turn(TURN.replace(b'"q"', b'[{"type":"x","n":' + constant + b"}]"))


def test_an_error_about_a_stored_value_does_not_quote_it():
    for secret in (b'{"v":1,"input":"a secret"}', b'{"v":2,"input":["a secret"]}', b'{"a secret'):
        with pytest.raises(conv.Unreadable) as caught:
            conv.decode_turn(secret)
        assert "secret" not in str(caught.value)


def test_new_ids_differ_and_can_be_read_again():
    ids = {conv.new_turn_id() for _ in range(1_000)}
    assert len(ids) == 1_000 == len({conv.new_conversation() for _ in range(1_000)})
    for turn in ids:
        assert turn != conv.NO_TURN and float(turn) == int(turn)  # Redis keeps it as a score.
        record = Record(conv.new_conversation(), turn, 1, 1, 0, ALICE)
        assert conv.decode_record(*conv.encode_record(record)) == record
