"""A reply beside its turn: it is read again as it was, and what the turn or most replies say is not said again."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litellm.responses.litellm_completion_transformation.redis_session_patch.values.turns import (
    Turn,
    Unreadable,
    decode_turns,
    encode_turn,
)

from .support.recorded import MOSTLY

LONG = "It was a dark and stormy night. " * 100
TOOLS = [{"type": "function", "name": "look_up", "parameters": {"type": "object", "description": LONG}}]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.just(LONG),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def response(text: str = LONG, **fields: Any) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": []}
    return {
        **MOSTLY,
        "created_at": 1_700_000_000,
        "output": [{"id": "msg_1", "type": "message", "role": "assistant", "content": [part]}],
        "usage": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
        **fields,
    }


def turn_of(reply: dict[str, Any] | str | None, said: str = LONG, instructions: str | None = None) -> Turn:
    return Turn("hello", ({"role": "assistant", "content": said},), instructions, reply=reply)


def written(reply: dict[str, Any], **options: Any) -> str:
    """The line of the reply."""
    return encode_turn(turn_of(reply, **options), None).decode().split("\n")[1]


def again(turn: Turn) -> dict[str, Any] | None:
    """Its reply as it is read."""
    (found,) = decode_turns(encode_turn(turn, None))
    return found.shown


def same(value: Any, other: Any) -> bool:
    """Of the same types too, which == does not say of 1, 1.0 and True."""
    return json.dumps(value, sort_keys=True) == json.dumps(other, sort_keys=True)


def test_a_reply_is_read_as_it_was() -> None:
    assert again(turn_of(response())) == response()
    assert again(turn_of(response(tools=TOOLS, instructions="Be kind."))) == response(
        tools=TOOLS, instructions="Be kind."
    )


def test_each_turn_has_its_own_reply_or_none() -> None:
    turns = [turn_of(reply) for reply in (None, response("one"), None, response("two"))]
    text = b"".join(map(encode_turn, turns, (None, *turns)))
    assert [turn.shown for turn in decode_turns(text)] == [turn.reply for turn in turns]


def test_what_most_replies_say_is_not_written() -> None:
    assert written(MOSTLY) == '{"response":{}}'
    assert again(turn_of(MOSTLY)) == MOSTLY


@pytest.mark.parametrize("name", MOSTLY)
def test_what_a_reply_lacks_does_not_come_back(name: str) -> None:
    reply = {each: value for each, value in MOSTLY.items() if each != name}
    assert again(turn_of(reply)) == reply


@pytest.mark.parametrize("value", [None, 0, 0.0, 1, 1.0, False, True, "", "auto", [], {}, TOOLS], ids=str)
@pytest.mark.parametrize("name", ["error", "metadata", "parallel_tool_calls", "tool_choice", "tools"])
def test_what_is_other_than_in_most_replies_comes_back_with_its_type(name: str, value: Any) -> None:
    assert same(again(turn_of(response(**{name: value}))), response(**{name: value}))


def test_nobody_changes_another_one_s_reply() -> None:
    (found,) = decode_turns(encode_turn(turn_of(MOSTLY), None))
    first = found.shown
    assert first is not None
    first["tools"].append("changed")
    assert found.shown == MOSTLY


def test_a_long_text_of_the_turn_is_said_once() -> None:
    instructions = LONG[:-1]
    turn = turn_of(response(instructions=instructions), instructions=instructions)
    assert encode_turn(turn, None).count(b"stormy") == 2 * 100, "in the answer, and in the instructions"
    assert again(turn) == turn.reply


@pytest.mark.parametrize(("text", "said"), [(f"{LONG}!", LONG), ("Hi.", "Hi.")], ids=["other", "short"])
def test_a_text_that_the_turn_does_not_have_or_that_is_short_is_kept(text: str, said: str) -> None:
    assert text in written(response(text), said=said)
    assert again(turn_of(response(text), said=said)) == response(text)


FIELDS = st.dictionaries(st.sampled_from([*MOSTLY, "usage", "x"]), JSON)


@given(fields=FIELDS, item=JSON, lacking=st.sets(st.sampled_from(list(MOSTLY))))
def test_any_reply_survives(fields: dict[str, Any], item: Any, lacking: set[str]) -> None:
    reply = response(output=[{"type": "message", "content": item}])
    reply = {name: value for name, value in reply.items() if name not in lacking} | fields
    assert same(again(turn_of(reply, instructions=LONG)), reply)


def test_what_was_read_is_written_as_it_was_also_after_another_turn() -> None:
    """So a conversation that Redis has lost is written anew, without a look at its replies."""
    data = encode_turn(turn_of(response()), None)
    (found,) = decode_turns(data)
    assert encode_turn(found, None) == data
    assert decode_turns(encode_turn(Turn("before"), None) + encode_turn(found, Turn("before")))[1].shown == response()


UNREADABLE = [
    "not JSON",
    "[" * 100_000,
    "7",
    "[]",
    "{}",
    '{"response":NaN}',
    '{"response":[]}',
    '{"response":7}',
    '{"response":{"output":["text"]}}',
    '{"response":{"output":7}}',
    '{"response":{"output":[]},"same":[[["output",0],["instructions"]]]}',
    '{"response":{"output":[]},"same":[[["output"],["nowhere"]]]}',
    '{"response":{"output":[]},"same":[[["output"],["answer"]]]}',
    '{"response":{"output":[]},"same":[[[],["instructions"]]]}',
    '{"response":{"output":[]},"same":[[["output",0]]]}',
    '{"response":{},"same":7}',
    '{"response":{},"gone":7}',
    '{"response":{},"gone":["nothing"]}',
]


@pytest.mark.parametrize("line", UNREADABLE, ids=lambda line: line[:60])
def test_a_reply_that_cannot_have_been_stored_is_unreadable_and_its_turn_is_not(line: str) -> None:
    (found,) = decode_turns(encode_turn(turn_of(line, instructions="Be kind."), None))
    assert (found.input, found.instructions) == ("hello", "Be kind.")
    with pytest.raises(Unreadable) as caught:
        _ = found.shown
    assert str(caught.value) == "A stored response has invalid parts."
