"""Turns without the items that were deleted from their conversation object."""

from __future__ import annotations

from typing import Any

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.values.deletions import (
    all_of,
    output_of,
    said_items,
    without_deleted,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.ids import (
    Place,
    item_id_at,
    item_place_of,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.turns import (
    Turn,
    decode_turns,
    encode_turn,
)

CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
OTHER_CALL = {**CALL, "id": "call_2"}


def place(turn: str) -> Place:
    return Place("c0nversat-_", turn)


def item(kind: str, number: int, turn: str = "1", **fields: Any) -> dict[str, Any]:
    return {"id": item_id_at(kind, place(turn), number, is_input=False), "type": kind, **fields}


def deleting(*ids: str) -> Turn:
    return Turn([], gone=ids)


def first_of(turn: Turn, *gone: str) -> Turn:
    return without_deleted((turn, deleting(*gone)), ("1", "2"))[0]


def test_turns_that_say_nothing_of_it_are_as_they_are():
    turns = (Turn("a"), Turn("b"))
    assert without_deleted(turns, ("1", "2")) == turns


@pytest.mark.parametrize(
    ("said", "number", "left"),
    [
        ("a", 0, []),
        ([{"role": "user", "content": "a"}, {"role": "user", "content": "b"}], 0, [{"role": "user", "content": "b"}]),
        (["no item", {"role": "user", "content": "a"}], 0, []),
        ([{"role": "user", "content": "a"}], 5, [{"role": "user", "content": "a"}]),
    ],
)
def test_an_item_of_the_input_goes(said, number, left):
    gone = item_id_at("message", place("1"), number, is_input=True)
    assert first_of(Turn(said), gone).items == left


@pytest.mark.parametrize("gone", ["msg_nobody", item_id_at("message", place("7"), 0, is_input=True)])
def test_what_is_no_item_of_these_turns_takes_nothing(gone):
    assert first_of(Turn("a"), gone) == Turn("a")


OUTPUT = [item("reasoning", 0), item("message", 1), item("function_call", 2, call_id="call_1")]
OUTPUT += [item("function_call", 3, call_id="call_2")]
ANSWER: dict[str, Any] = {
    "role": "assistant",
    "content": "text",
    "tool_calls": [CALL, OTHER_CALL],
    "reasoning_content": "so",
    "thinking_blocks": [{"signature": "s"}],
}
LEFT: dict[int, dict[str, Any]] = {
    0: {name: ANSWER[name] for name in ("role", "content", "tool_calls")},
    1: {**ANSWER, "content": None},
    2: {**ANSWER, "tool_calls": [OTHER_CALL]},
    3: {**ANSWER, "tool_calls": [CALL]},
}


@pytest.mark.parametrize("number", LEFT)
def test_an_item_of_the_output_goes_from_the_reply_and_from_the_answer(number):
    turn = first_of(Turn("a", (ANSWER,), reply={"output": OUTPUT, "status": "completed"}), OUTPUT[number]["id"])
    assert turn.answer == (LEFT[number],)
    assert turn.shown == {"output": [each for each in OUTPUT if each is not OUTPUT[number]], "status": "completed"}
    assert turn.items == "a"


def test_all_items_of_the_output_leave_an_answer_that_says_nothing():
    turn = first_of(Turn("a", (ANSWER,), reply={"output": OUTPUT}), *(each["id"] for each in OUTPUT))
    assert turn.answer == ({"role": "assistant", "content": None},) and turn.shown == {"output": []}


def test_of_several_choices_the_one_whose_message_was_deleted_goes():
    answers = tuple({"role": "assistant", "content": text} for text in "abc")
    output = [item("message", number) for number in range(3)]
    turn = first_of(Turn("a", answers, reply={"output": output}), output[1]["id"])
    assert [message["content"] for message in turn.answer] == ["a", None, "c"]


def test_a_deletion_survives_being_stored():
    turn = deleting("msg_1", "msg_2")
    assert decode_turns(encode_turn(turn, None)) == (turn,)


MESSAGE = {"type": "message", "role": "user", "content": "a"}


@pytest.mark.parametrize(("said", "items"), [({"a": 1}, []), (None, []), ("a", [MESSAGE])])
def test_an_input_as_items(said, items):
    assert said_items(said) == items


NATIVE = [{"id": "msg_of_the_provider", "type": "message"}, {"id": "rs_of_the_provider", "type": "reasoning"}]


def test_an_item_with_another_id_gets_one_that_says_where_it_is():
    known = output_of(Turn("a", reply={"output": [*OUTPUT, *NATIVE]}), place("1"))
    assert known[: len(OUTPUT)] == OUTPUT and len({each["id"] for each in known}) == len(known)
    places = [item_place_of(each["id"]) for each in known[len(OUTPUT) :]]
    assert all(each is not None and each.place == place("1") and not each.is_input for each in places)
    native = Turn("a", reply={"output": NATIVE}, account="one")
    assert first_of(native, output_of(native, place("1"))[0]["id"]).shown == {"output": NATIVE[1:]}


def test_all_of_an_input_and_all_of_an_answer_have_an_id_of_their_own():
    whole = Turn([MESSAGE, MESSAGE], (ANSWER,), reply={"output": OUTPUT})
    without_input, without_answer = (
        first_of(whole, all_of(place("1"), is_input=is_input)) for is_input in (True, False)
    )
    assert (without_input.items, without_input.answer) == ([], whole.answer)
    assert (without_answer.items, without_answer.answer, without_answer.reply) == (whole.items, (), None)
