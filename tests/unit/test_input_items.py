"""The items that a response was made from: as OpenAI lists them, in pages, each with an id that it keeps."""

from __future__ import annotations

from typing import Any

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.api.stored_responses import (
    BadParameter,
    items_of,
    page,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.ids import (
    ItemPlace,
    Place,
    item_place_of,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.turns import (
    Chain,
    Tip,
    Turn,
    take_down,
)

OUTPUT = {"id": "msg_given", "type": "message", "role": "assistant", "status": "completed", "content": []}
ITEMS = [{"id": f"item_{number}"} for number in range(5)]


def chain(*turns: Turn, conversation: str = "c0nversat-_", last: str | None = None) -> Chain:
    """``last``: the number of the last turn, of which each branch has one of its own."""
    numbers = [str(number) for number in range(1, len(turns))] + [last or str(len(turns))]
    return Chain(turns, Tip(Place(conversation, numbers[-1]), len(turns), 0, 0, 0, 0), turn_ids=tuple(numbers))


def replied(said: Any, *output: dict[str, Any]) -> Turn:
    return Turn(said, reply={"output": list(output)})


class Query(dict[str, list[str]]):
    def get(self, key: str, default: Any = None) -> Any:
        return self[key][-1] if key in self else default

    def getlist(self, key: str) -> list[str]:
        return self.get_all(key)

    def get_all(self, key: str) -> list[str]:
        return dict.get(self, key, [])


def query(**given: str) -> Query:
    return Query({name: [value] for name, value in given.items()})


def test_a_text_is_a_message_of_the_user() -> None:
    (item,) = items_of(chain(Turn("hello")))
    assert item.pop("id").startswith("msg_")
    assert item == {
        "type": "message",
        "role": "user",
        "status": "completed",
        "content": [{"type": "input_text", "text": "hello"}],
    }


def test_an_input_that_was_taken_down_is_listed_as_its_value() -> None:
    for said in ("hello", [{"role": "user", "content": "hello"}]):
        assert items_of(chain(Turn(take_down(said)))) == items_of(chain(Turn(said)))


@pytest.mark.parametrize(
    "said, kinds",
    [
        ({"a": 1}, []),
        (5, []),
        ([5, None, {"role": "user", "content": "a"}], ["message"]),
        ([{"type": [1]}], ["message"]),
    ],
)
def test_of_an_input_in_an_odd_form_the_objects_are_listed(said: Any, kinds: list[str]) -> None:
    """Upstream takes some such."""
    assert [item["type"] for item in items_of(chain(Turn(said)))] == kinds


def test_an_id_that_a_client_did_not_give_says_where_its_item_is() -> None:
    """So it can be referred to."""
    given = [{"role": "user", "content": "b"}, {"type": "function_call_output", "call_id": "c1", "output": "42"}]
    ids = [item["id"] for item in items_of(chain(Turn("a"), Turn(given)))]
    turns = [Place("c0nversat-_", number) for number in ("1", "2")]
    assert [item_place_of(each) for each in ids] == [
        ItemPlace(turns[0], True, 0),
        ItemPlace(turns[1], True, 0),
        ItemPlace(turns[1], True, 1),
    ]


def test_earlier_answers_are_listed_as_given_and_the_own_one_is_not() -> None:
    first, answer, second = items_of(chain(replied("one", OUTPUT), replied("two", OUTPUT)))
    assert answer == OUTPUT
    assert [first["content"][0]["text"], second["content"][0]["text"]] == ["one", "two"]


def test_turns_out_of_the_database_are_listed_as_their_messages_say() -> None:
    call = {"id": "call_1", "function": {"name": "look_up", "arguments": "{}"}}
    messages = (
        {"role": "user", "content": "Look."},
        {"role": "assistant", "content": "I do.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "found"},
        {"role": "assistant", "content": "Found."},
    )
    *before, last = items_of(chain(Turn([], messages), replied("And?")))
    assert [item["type"] for item in before] == [
        "message",
        "message",
        "function_call",
        "function_call_output",
        "message",
    ]
    assert before[1]["content"] == [{"type": "output_text", "annotations": [], "text": "I do."}]
    assert {name: before[2][name] for name in ("call_id", "name", "arguments")} == {
        "call_id": "call_1",
        "name": "look_up",
        "arguments": "{}",
    }
    assert (before[3]["call_id"], before[3]["output"]) == ("call_1", "found")
    assert last["role"] == "user"


def test_ids_are_the_client_s_or_their_own_never_twice_and_always_the_same() -> None:
    sent = [{"type": "message", "role": "user", "content": "x", "id": "msg_mine"}, {"role": "user", "content": "x"}]
    turns = [Turn(sent), Turn([*sent, {"type": "reasoning", "summary": [], "id": None}])]
    ids = [item["id"] for item in items_of(chain(*turns))]
    assert ids[0] == "msg_mine"
    assert len(set(ids)) == len(ids)
    assert [each.partition("_")[0] for each in ids] == ["msg", "msg", "msg", "msg", "rs"]
    assert [item["id"] for item in items_of(chain(*turns))] == ids
    assert [item["id"] for item in items_of(chain(*turns, Turn("more")))][:5] == ids


def test_branches_and_conversations_share_no_ids_but_those_of_what_they_share() -> None:
    first, other = items_of(chain(Turn("x"), Turn("a"))), items_of(chain(Turn("x"), Turn("a"), last="3"))
    assert [one["id"] == two["id"] for one, two in zip(first, other, strict=True)] == [True, False]
    elsewhere = items_of(chain(Turn("x"), Turn("a"), conversation="d0nversat-_"))
    assert not {item["id"] for item in first} & {item["id"] for item in elsewhere}


def ids_of(found: dict[str, Any]) -> list[int]:
    return [int(item["id"].removeprefix("item_")) for item in found["data"]]


@pytest.mark.parametrize(
    ("asked", "ids", "has_more"),
    [
        ({}, [4, 3, 2, 1, 0], False),
        ({"order": "asc"}, [0, 1, 2, 3, 4], False),
        ({"limit": "2"}, [4, 3], True),
        ({"limit": "2", "after": "item_3"}, [2, 1], True),
        ({"limit": "2", "after": "item_2"}, [1, 0], False),
        ({"limit": "2", "order": "asc", "after": "item_2"}, [3, 4], False),
        ({"limit": "2", "order": "asc", "before": "item_3"}, [1, 2], True),
        ({"limit": "2", "order": "asc", "before": "item_2"}, [0, 1], False),
        ({"order": "asc", "after": "item_0", "before": "item_3"}, [1, 2], False),
        ({"order": "asc", "after": "item_3", "before": "item_1"}, [], False),
        ({"after": "item_0"}, [], False),
        (
            {"include": "reasoning.encrypted_content", "limit": "", "order": "", "after": "", "before": ""},
            [4, 3, 2, 1, 0],
            False,
        ),
    ],
    ids=str,
)
def test_a_page_is_what_is_asked_for(asked: dict[str, str], ids: list[int], has_more: bool) -> None:
    found = page(ITEMS, query(**asked))
    assert (found["object"], ids_of(found), found["has_more"]) == ("list", ids, has_more)
    ends = (f"item_{ids[0]}", f"item_{ids[-1]}") if ids else (None, None)
    assert (found["first_id"], found["last_id"]) == ends


def test_without_parameters_a_page_has_the_last_twenty() -> None:
    assert ids_of(page([{"id": f"item_{number}"} for number in range(50)], query())) == list(range(49, 29, -1))


@pytest.mark.parametrize(
    ("param", "value", "code"),
    [
        ("limit", "0", "integer_below_min_value"),
        ("limit", "-1", "integer_below_min_value"),
        ("limit", "101", "integer_above_max_value"),
        ("limit", "1.5", "invalid_type"),
        ("order", "up", "invalid_value"),
        ("include", "x", "invalid_value"),
        ("include[]", "reasoning.encrypted_content,x", "invalid_value"),
    ],
)
def test_a_bad_value_is_named(param: str, value: str, code: str) -> None:
    with pytest.raises(BadParameter) as caught:
        page(ITEMS, Query({param: [value]}))
    assert (caught.value.param, caught.value.code) == (param.removesuffix("[]"), code)


@pytest.mark.parametrize("param", ["after", "before"])
def test_a_place_that_no_item_has_is_refused(param: str) -> None:
    with pytest.raises(BadParameter) as caught:
        page(ITEMS, query(**{param: "nobody"}))
    assert caught.value.param == param
