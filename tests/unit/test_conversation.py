"""Turns and records as bytes: what is checked when they are read."""

from __future__ import annotations

import json

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch import conversation as conv
from litellm.responses.litellm_completion_transformation.redis_session_patch.conversation import Record, Turn
from litellm.responses.litellm_completion_transformation.redis_session_patch.owner import ANYBODY, NOBODY, Owner

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
CUSTOM = {"type": "custom_tool_call", "call_id": "c1", "name": "f", "input": "x"}
RESULT = {"type": "function_call_output", "call_id": "c1", "output": "42"}
IMAGE = {"type": "input_image", "image_url": "data:image/png;base64,AA=="}
NO_TEXTS = [5, 1.5, True, [], {}, [5], {"a": 1}]


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
    turn = conv.encode_turn(Turn([item]), None)
    assert b'"odd"' not in turn
    assert conv.decode_turns(turn)[0].input == [item]


@pytest.mark.parametrize(
    "item",
    [
        "text",
        None,
        7,
        [],
        {},
        {"content": "x"},
        user(role="nobody"),
        user(role=["user"]),
        user(type=None),
        user(type=["message"]),
        {"type": ""},
        {"type": 7},
        *(user(each) for each in [5, 1.5, True, {}, {"a": 1}, None, [5], [None], [[]], ["x"], [{}]]),
        *(user([{"type": "input_text", "text": each}]) for each in NO_TEXTS),
        user([{"type": "input_image", "image_url": 5}]),
        user([{"type": "input_text"}]),
        user([{**RESULT, "call_id": None}]),
        user([{"type": ["input_text"], "text": "x"}]),
        {**CALL, "call_id": "", "id": "c1"},
        *({**CALL, name: each} for name in ("call_id", "name", "arguments") for each in [*NO_TEXTS, None]),
        {**CALL, "name": ""},
        {**CUSTOM, "input": {"a": 1}},
        *({**RESULT, "call_id": each} for each in [*NO_TEXTS, "", None]),
        *({**RESULT, "output": each} for each in [5, True, {"a": 1}, None, [{}], ["x"], [None]]),
        {"type": "reasoning", "summary": [5]},
        {"type": "reasoning", "encrypted_content": 5},
        {"type": "an item of tomorrow", "role": "user", "content": 5},
    ],
    ids=str,
)
def test_an_input_that_no_client_sent_is_unreadable(item):
    with pytest.raises(conv.Unreadable):
        conv.decode_turns(altered(TURN, input=[item]))


@pytest.mark.parametrize("given", [None, 7, {"role": "user"}, True, {}, ...])
def test_an_input_is_a_text_or_a_list(given):
    with pytest.raises(conv.Unreadable):
        conv.decode_turns(altered(TURN, input=given))


@pytest.mark.parametrize("item", [{**RESULT, "output": {"a": 1}}, {**RESULT, "call_id": None}, user(["x"])], ids=str)
def test_what_upstream_took_is_read_as_it_was_sent_whatever_its_form(item):
    for given in ([item], conv.take_down([item])):
        assert read_back(Turn(given)).input == [item]
    again = conv.encode_turn(read_back(Turn([item])), None)
    assert conv.decode_turns(again) == (read_back(Turn([item])),)


FUNCTION = {"name": "f", "arguments": "{}"}
TOOL_CALL = {"id": "c1", "type": "function", "function": FUNCTION}
ANSWER = {"role": "assistant", "content": None, "tool_calls": [TOOL_CALL]}


def calling(**fields: object) -> dict:
    return {**ANSWER, "tool_calls": [{**TOOL_CALL, **fields}]}


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
    "message",
    [
        "text",
        None,
        [],
        {},
        {"role": "nobody"},
        {"role": ["assistant"]},
        {"content": "x"},
        *({"role": "assistant", "content": each} for each in [7, True, {"a": 1}, [{}], ["x"], [None], [[]]]),
        *({**ANSWER, "tool_calls": each} for each in ["x", 5, {}, ["x"], [None], [{}], [{"function": "f"}]]),
        *(calling(id=each) for each in [*NO_TEXTS, None]),
        *(calling(function=each) for each in [5, None, {}, {"name": "f"}, {"arguments": "{}"}]),
        *(calling(function={**FUNCTION, "name": each}) for each in [*NO_TEXTS, ""]),
        *(calling(function={**FUNCTION, "arguments": each}) for each in NO_TEXTS),
        {**ANSWER, "reasoning_content": 5},
        {**ANSWER, "thinking_blocks": 5},
        {**ANSWER, "thinking_blocks": [{"thinking": 5}]},
        {**ANSWER, "provider_specific_fields": [5]},
        {"role": "tool", "tool_call_id": 5, "content": "42"},
    ],
    ids=str,
)
def test_an_answer_that_no_provider_gave_is_neither_read_nor_written(message):
    with pytest.raises(conv.Unreadable):
        conv.decode_turns(altered(TURN, answer=[message]))
    with pytest.raises(ValueError):
        conv.encode_turn(Turn("q", (message,)), None)


@pytest.mark.parametrize(
    "fields",
    [
        {"answer": None},
        {"answer": {}},
        {"instructions": 7},
        {"instructions": False},
        {"instructions": True},
        {"maker": []},
        {"session": 1},
        {"odd": 1, "input": 5},
    ],
    ids=str,
)
def test_a_field_of_another_type_is_unreadable(fields):
    with pytest.raises(conv.Unreadable):
        conv.decode_turns(altered(TURN, **fields))


def test_unknown_fields_are_ignored_and_missing_ones_have_defaults():
    assert conv.decode_turns(altered(TURN, surprise=1)) == conv.decode_turns(TURN)
    assert conv.decode_turns(b'{"v":2,"input":"q"},') == (Turn("q"),)
    assert conv.decode_record(altered(RECORD, surprise=1)) == conv.decode_record(RECORD)


@pytest.mark.parametrize("constant", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999", b"9" * 5_000])
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


def test_instructions_that_are_as_before_where_there_were_none_are_unreadable():
    with pytest.raises(conv.Unreadable):
        conv.decode_turns(TURN + altered(TURN, instructions=True))


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_json_lacks_is_not_written(number):
    for write in (conv.take_down, lambda value: conv.encode_turn(Turn("q", ({"role": "user", "x": value},)), None)):
        with pytest.raises(ValueError):
            write(number)


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
        (Owner("u", "t", "k", "e", "o"), Owner("u", "t")),
        (Owner("u", None, "k"), Owner("u")),
        (Owner(None, "t", "k"), Owner(None, "t")),
        (Owner(None, None, "k", "e", "o"), Owner(None, None, "k")),
        (Owner(end_user="e"), Owner(end_user="e")),
        (Owner(organization="o"), Owner(organization="o")),
        (Owner(end_user="e", organization="o"), Owner(end_user="e", organization="o")),
        (Owner(organization="o", claimed_end_user="c"), Owner(organization="o")),
        (Owner(claimed_end_user="c"), NOBODY),
        (ANYBODY, ANYBODY),
        (NOBODY, NOBODY),
    ],
)
def test_a_record_keeps_of_its_owner_what_decides_who_may_continue(owner, kept):
    found = conv.decode_record(conv.encode_record(Record("c", "1", 1, 1, 1, 0, 0, owner))).owner
    assert found == kept and found.identity == owner.identity


def test_an_owner_may_have_parts_that_only_a_later_version_knows():
    assert conv.decode_record(altered(RECORD, o=[None, None, None, "e", "o", "new"])).owner == Owner(
        end_user="e", organization="o"
    )


@pytest.mark.parametrize(
    "owner", [None, {}, "u", [], ["u"], [7, None], [None, None, None, "e", 7], ["u", ""], ["a.b", "t"]]
)
def test_a_record_of_no_owner_that_could_be_is_unreadable(owner):
    with pytest.raises(conv.Unreadable):
        conv.decode_record(altered(RECORD, o=owner))
