"""Compactions: what they hold, who can read them, what of a conversation they stand for, how a stream shows one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.doors.compaction import StreamedCompaction
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.compacting import (
    begin_compacted,
    parted,
    summed_up,
    turns_of_items,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.exchange import Exchange
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.compactions import (
    Seal,
    newest,
    sealed_text,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.ids import (
    Place,
    new_conversation,
    new_turn,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.results import (
    Miss,
    NotStored,
    Unreadable,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.turns import NO_TURNS, Turn

from .support.stores import ALICE, BOB

MOST_BYTES = 1_000_000


def seal(*keys: bytes, secret: str | None = "sk-secret", is_open: bool = False) -> Seal:
    return Seal(keys, secret, is_open=is_open, most_bytes=MOST_BYTES)


SEAL = seal()
CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
RESULT = {"type": "function_call_output", "call_id": "c1", "output": "42"}


def said(text: str, role: str = "user") -> dict[str, Any]:
    return {"type": "message", "role": role, "content": text}


def turn(text: str, *items: dict[str, Any]) -> Turn:
    return Turn([*items, said(text)], ({"role": "assistant", "content": f"You said: {text}"},), by=(ALICE.tag,))


def item_of(*turns: Turn, owner: Any = ALICE) -> dict[str, Any]:
    return {"type": "compaction", "encrypted_content": SEAL.close(turns, owner)}


@pytest.mark.parametrize("keys", [(), (b"k" * 32,), (b"n" * 32, b"k" * 32)])
def test_a_compaction_is_read_by_its_owner_at_any_proxy_of_the_installation(keys):
    made = seal(*keys[-1:]).close([turn("one"), turn("two")], ALICE)
    assert "one" not in made
    assert [each.items for each in seal(*keys).open(made, ALICE)] == [[said("one")], [said("two")]]
    for other, owner in ((seal(*keys), BOB), (seal(secret="sk-other"), ALICE)):
        with pytest.raises(Unreadable):
            other.open(made, owner)


def test_what_is_not_sealed_is_read_where_there_is_no_secret_alone():
    nobodys = seal(secret=None, is_open=True)
    made = nobodys.close([turn("one")], ALICE)
    assert len(nobodys.open(made, ALICE)) == 1
    for other in (SEAL, seal(secret=None)):
        with pytest.raises(Unreadable):
            other.open(made, ALICE)
    with pytest.raises(NotStored, match="needs a secret"):
        seal(secret=None).close([turn("one")], ALICE)


def test_a_compaction_is_of_a_bounded_size():
    with pytest.raises(NotStored, match="over 1000000"):
        SEAL.close([turn("x" * MOST_BYTES)], ALICE)
    large = Seal((), "sk-secret", is_open=False, most_bytes=10 * MOST_BYTES).close([turn("x" * MOST_BYTES)], ALICE)
    with pytest.raises(Unreadable):
        SEAL.open(large, ALICE)


@pytest.mark.parametrize("change", [lambda text: text[:-9], lambda text: text + "A", lambda text: text[:25]])
def test_what_was_altered_is_not_read(change):
    with pytest.raises(Unreadable):
        SEAL.open(change(SEAL.close([turn("one")], ALICE)), ALICE)


def test_others_compactions_are_none_of_ours():
    ours = item_of(turn("one"))
    others = [{"type": "compaction", "encrypted_content": text} for text in ('{"type": "compaction"}', "gAAAA", 5)]
    assert [sealed_text(each) for each in (*others, said("x"), "x", None)] == [None] * 6
    assert newest([ours, *others, ours, said("x")]) == 4 and newest(others) is None and newest("x") is None


def test_a_client_s_items_are_turns_each_from_what_a_user_says_on():
    items = [said("rules", "system"), said("a"), said("b"), said("c", "assistant"), said("d"), CALL, RESULT, said("e")]
    groups = [[each.get("content", each["type"]) for each in part.items] for part in turns_of_items(items, ())]
    assert groups == [["rules"], ["a", "b", "c"], ["d", "function_call", "function_call_output"], ["e"]]
    assert turns_of_items([], ()) == []
    loop = turns_of_items([said("a"), CALL, RESULT, said("b", "assistant"), CALL, CALL, RESULT, RESULT, CALL], ())
    assert [len(part.items) for part in loop] == [3, 5, 1]


@pytest.mark.parametrize(
    ("turns", "most", "count"),
    [
        ([], 100, 0),
        ([turn("x" * 50)], 10, 1),
        ([turn("x" * 50)], 1_000, 1),
        ([turn("x" * 50)] * 4, 1_000, 1),
        ([turn("x" * 50)] * 4, 200, 3),
        ([turn("x" * 50)] * 4, 10, 4),
        ([turn("a"), Turn([said("b")], ({"role": "assistant", "tool_calls": [{"id": "c1"}]},)), turn("c")], 1, 1),
        ([Turn([CALL]), turn("b"), turn("c")], 1, 3),
        ([turn("a"), Turn([{"type": "mcp_approval_request", "id": "m1"}])], 1, 1),
        (
            [turn("a"), Turn([said("b")], ({"role": "assistant", "tool_calls": [{"id": "c1"}]},)), turn("c", RESULT)],
            1,
            3,
        ),
        ([Turn([said("b"), CALL])], 1, 0),
        ([turn("a"), Turn([said("b"), CALL]), Turn([RESULT])], 1, 3),
    ],
)
def test_the_newest_turns_stay_and_those_with_calls_that_wait(turns, most, count):
    assert parted(turns, most) == count


def test_a_compaction_says_the_summary_and_keeps_instructions_and_the_newest_turns():
    rules, tools = said("Be brief.", "developer"), {"type": "additional_tools", "tools": []}
    turns = [turn("one", rules, tools), turn("x" * 50), turn("two")]
    first, kept = SEAL.open(SEAL.close(summed_up(turns, "All of it.", 100), ALICE), ALICE)
    *instructing, summary = first.items
    assert instructing == [rules, tools] and summary["role"] == "user" and summary["content"].endswith("All of it.")
    assert first.by == (ALICE.tag,)
    assert (kept.items, kept.answer) == (turns[2].items, turns[2].answer)


async def begun(runtime: Any, caller: Any, client_input: Any) -> tuple[Exchange, dict[str, Any]]:
    exchange, data = Exchange(caller), {"input": client_input}
    await exchange.take(data)
    await begin_compacted(runtime, exchange, data)
    return exchange, data


async def test_what_stands_before_the_newest_compaction_is_not_sent(runtime):
    runtime.seal = SEAL
    rules = said("Be brief.", "developer")
    old, item = item_of(turn("old")), item_of(turn("one"), turn("two"))
    exchange, data = await begun(runtime, ALICE, [old, rules, said("gone"), item, said("new")])
    assert data["input"] == [rules, said("new")]
    assert [each.items for each in exchange.turns] == [[said("one")], [said("two")]]
    assert exchange.is_after_ours and exchange.chain == NO_TURNS
    assert json.loads(exchange.said_to_be_stored.text) == [item, rules, said("new")]


async def test_what_cannot_be_read_is_refused(runtime):
    runtime.seal = SEAL
    exchange, _ = await begun(runtime, BOB, [item_of(turn("hers")), said("new")])
    assert exchange.refused == "invalid_compaction"
    exchange, data = await begun(runtime, ALICE, [{"type": "compaction", "encrypted_content": "gAAAA"}, said("new")])
    assert exchange.refused is None and len(data["input"]) == 2


async def test_a_response_s_compaction_is_made_once(runtime):
    place, store = Place(new_conversation(), new_turn()), runtime.store
    assert await store.compaction(place, ALICE) is Miss.UNKNOWN
    await store.append(place, [turn("one")], NO_TURNS, ALICE)
    assert await store.compaction(place, BOB, "his") is Miss.DENIED
    assert await store.compaction(place, ALICE) == ""
    assert await store.compaction(place, ALICE, "first") == "first"
    assert await store.compaction(place, ALICE, "second") == "first"
    assert await store.compaction(place, ALICE) == "first"
    await store.delete(place, ALICE)
    assert await store.compaction(place, ALICE) is Miss.DELETED


CREATED, WORKING = {"type": "response.created", "response": {}}, {"type": "response.in_progress", "response": {}}
ADDED = {"type": "response.output_item.added", "output_index": 0, "item": {"type": "message"}}
DELTA = {"type": "response.output_text.delta", "output_index": 0, "delta": "x"}
DONE = {"type": "response.completed", "response": {"output": [{"type": "message"}]}}
ITEM = {"type": "compaction", "id": "cmp_1"}


async def test_in_a_stream_the_compaction_comes_first():
    exchange = Exchange(ALICE)
    exchange.made = ITEM
    change, events = StreamedCompaction(exchange), []
    for number, event in enumerate((CREATED, WORKING, ADDED, DELTA, DONE)):
        events += await change.events({**event, "sequence_number": number})
    assert [event["type"].removeprefix("response.") for event in events] == [
        *("created", "in_progress", "output_item.added", "output_item.done"),
        *("output_item.added", "output_text.delta", "completed"),
    ]
    assert [event["sequence_number"] for event in events] == list(range(7))
    assert [event.get("output_index") for event in events] == [None, None, 0, 0, 1, 1, None]
    assert events[2]["item"] == ITEM and events[-1]["response"]["output"] == [ITEM, {"type": "message"}]


async def test_events_are_cut_as_they_come():
    exchange = Exchange(ALICE)
    exchange.made = ITEM
    change = StreamedCompaction(exchange)
    chunk = f"event: x\ndata: {json.dumps(DONE)}\n\n"
    changed = await change.chunk(chunk.encode())
    data = [json.loads(line[5:]) for line in changed.decode().split("\n") if line.startswith("data:")]
    assert [each["type"] for each in data][-1] == "response.completed" and len(data) == 3
    assert await change.chunk("data: [DONE]\n\n") == "data: [DONE]\n\n"
