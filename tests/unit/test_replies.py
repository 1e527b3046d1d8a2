"""A reply inside its turn: it is read again as it was, and nothing in it is said twice."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litellm.responses.litellm_completion_transformation.redis_session_patch.conversation import (
    Turn,
    Unreadable,
    decode_turns,
    dump_json,
    encode_turn,
)

LONG = "It was a dark and stormy night. " * 100
TOOLS = [{"type": "function", "name": "look_up", "parameters": {"type": "object", "description": LONG}}]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def response(text: str = LONG, **fields: Any) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": []}
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_700_000_000,
        "status": "completed",
        "instructions": "Be kind.",
        "tools": TOOLS,
        "metadata": {},
        "output": [{"id": "msg_1", "type": "message", "role": "assistant", "content": [part]}],
        "usage": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
        **fields,
    }


def turn_of(reply: dict[str, Any] | None, said: str = LONG, instructions: str | None = "Be kind.") -> Turn:
    return Turn("hello", ({"role": "assistant", "content": said},), instructions, reply=reply)


def again(*turns: Turn) -> dict[str, Any] | None:
    """The reply of the last one, as it is read."""
    text = b"".join(map(encode_turn, turns, (None, *turns)))
    return decode_turns(text)[-1].reply


def test_a_reply_is_read_as_it_was() -> None:
    assert again(turn_of(response())) == response()


def test_a_turn_without_a_reply_has_none() -> None:
    assert again(turn_of(None)) is None
    assert again(turn_of(response()), turn_of(None)) is None
    assert again(turn_of(None), turn_of(response())) == response()


def test_a_long_text_of_the_turn_is_said_once() -> None:
    turn = turn_of(response(instructions=LONG[:-1]), instructions=LONG[:-1])
    assert encode_turn(turn, None).count(b"stormy") == 2 * 100, "in the answer, and in the instructions"
    assert again(turn) == turn.reply


def test_a_text_that_the_answer_does_not_have_is_kept() -> None:
    turn = turn_of(response(text=f"{LONG}!"))
    assert f"{LONG}!".encode() in encode_turn(turn, None)
    assert again(turn) == turn.reply


def test_tools_are_said_once_in_a_conversation() -> None:
    first, second = turn_of(response()), turn_of(response())
    assert b"look_up" in encode_turn(first, None)
    assert b"look_up" not in encode_turn(second, first)
    assert again(first, second) == response()


@pytest.mark.parametrize(
    "changed",
    [
        {"tools": []},
        {"tools": None},
        {"metadata": {"a": "b"}},
        {"temperature": 1},
        {"temperature": 1.0},
        {"temperature": True},
        {"instructions": None},
        {"instructions": "Be brief."},
    ],
    ids=str,
)
def test_what_changed_in_a_conversation_is_said_again(changed: dict[str, Any]) -> None:
    for before, after in (({"temperature": 1}, changed), (changed, {"temperature": 1})):
        reply = response(**after)
        got = again(turn_of(response(**before)), turn_of(reply))
        assert got is not None
        assert repr({name: got[name] for name in reply}) == repr(reply)


def test_a_field_that_a_later_reply_lacks_does_not_come_back() -> None:
    assert again(turn_of(response(store=True)), turn_of(response())) == response()


FIELDS = st.dictionaries(st.sampled_from(["tools", "metadata", "error", "usage", "status", "x"]), JSON)


@given(st.lists(st.tuples(FIELDS, JSON), min_size=1, max_size=3))
def test_any_reply_survives(replies: list[tuple[dict[str, Any], Any]]) -> None:
    turns = [turn_of(response(**fields, output=[{"type": "message", "content": item}])) for fields, item in replies]
    assert again(*turns) == turns[-1].reply


@pytest.mark.parametrize(
    "fields",
    [
        {"response": []},
        {"response": 7},
        {"response": {"output": ["text"]}},
        {"response": {"output": 7}},
        {"response": {"output": []}, "same": [[["output", 0], ["instructions"]]]},
        {"response": {"output": []}, "same": [[["output"], ["nowhere"]]]},
        {"response": {"output": []}, "same": [[[], ["instructions"]]]},
        {"response": {"output": []}, "same": [[["output", 0]]]},
        {"response": {}, "same": 7},
        {"response": {}, "gone": 7},
    ],
    ids=repr,
)
def test_what_cannot_have_been_stored_is_unreadable(fields: dict[str, Any]) -> None:
    first = encode_turn(turn_of(response()), None)
    with pytest.raises(Unreadable):
        decode_turns(first + f'{{"v":2,"input":"x","answer":[],{dump_json(fields)[1:]},'.encode())
