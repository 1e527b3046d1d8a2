"""Conversation objects in Redis: added to and listed in part, with deletions that earlier responses do not see."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from redis import Redis

from lab.monitor import monitored
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis import conversation_store
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.conversation_store import (
    HOLD_SECONDS,
    NOTHING_LEFT,
    ConversationStore,
    Head,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.scripts import OBJECT
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.ids import (
    Place,
    item_id_at,
    new_conversation,
    new_turn,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.results import (
    Locked,
    Miss,
    Moved,
    NotStored,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.turns import Chain, Turn

from .support.clients import Twice, script_name
from .support.inside import turns_in_all
from .support.stores import ALICE, BOB, PREFIX, TTL_SECONDS, conversation_keys, inputs_of, say, store_on

KEY = b"k" * 32


def said(text: str) -> Turn:
    return Turn([{"role": "user", "content": text}], by=(ALICE.tag,))


def answered(text: str) -> Turn:
    reply = {"output": [{"id": "msg_any", "type": "message", "role": "assistant", "content": []}]}
    return Turn(text, ({"role": "assistant", "content": f"You said: {text}"},), reply=reply, by=(ALICE.tag,))


async def made(store: ConversationStore, *texts: str, metadata: dict[str, str] | None = None) -> str:
    name = new_conversation()
    await store.make(name, metadata or {}, [said(text) for text in texts], ALICE)
    return name


async def looked(store: ConversationStore, name: str) -> Head:
    head = await store.look(name, ALICE)
    assert isinstance(head, Head), head
    return head


async def added(store: ConversationStore, name: str, *texts: str) -> Place:
    """Where the last of the items is."""
    place = Place(name, new_turn())
    await store.go_on(await looked(store, name), [said(text) for text in texts], ALICE, at=place)
    return place


async def answered_in(store: ConversationStore, name: str, text: str) -> Place:
    """One request and its answer."""
    place = Place(name, new_turn())
    chain = await store.talk(place, ALICE)
    assert isinstance(chain, Chain), chain
    head = Head(name, {}, b"", 0, chain.tip)
    await store.go_on(head, [answered(text)], ALICE, at=place, is_living=True)
    return place


async def deleted_from(store: ConversationStore, name: str, place: Place, kind: str = "message") -> None:
    """The only item of the turn."""
    gone = item_id_at(kind, place, 0, is_input=True)
    turn = Place(name, new_turn())
    marks = {f"d{place.turn}": NOTHING_LEFT, f"d{turn.turn}": NOTHING_LEFT}
    await store.go_on(await looked(store, name), [Turn([], gone=(gone,))], ALICE, at=turn, fields=marks)


async def texts_in(store: ConversationStore, name: str, most: int = 100, begin: str = "", **options: Any) -> list[str]:
    found = await store.list_turns(name, ALICE, most, begin, **options)
    assert found is not None and not isinstance(found, Miss), found
    return [
        listed.turn.items if isinstance(listed.turn.items, str) else listed.turn.items[0]["content"]
        for listed in found.turns
    ]


async def history_of(store: ConversationStore, name: str) -> list[Any]:
    place = Place(name, new_turn())
    chain = await store.talk(place, ALICE)
    assert isinstance(chain, Chain), chain
    await store.hold(place, 0)
    return [turn.items for turn in chain.turns]


@pytest.fixture(params=["plain", "encrypted"])
def store(request: pytest.FixtureRequest, redis_client: Redis) -> ConversationStore:
    return store_on(redis_client, encryption_keys=(KEY,) if request.param == "encrypted" else ())


async def test_an_empty_one_has_its_metadata_and_no_turns(store):
    name = await made(store, metadata={"colour": "blue \ud800"})
    head = await looked(store, name)
    assert (head.metadata, head.tip) == ({"colour": "blue \ud800"}, None)
    assert await texts_in(store, name) == [] and await history_of(store, name) == []


async def test_what_is_added_is_listed_in_both_orders_and_is_the_history(store):
    name = await made(store, "a", "b")
    await added(store, name, "c")
    await answered_in(store, name, "d")
    await added(store, name, "e")
    assert await texts_in(store, name, order="asc") == ["a", "b", "c", "d", "e"]
    assert await texts_in(store, name) == ["e", "d", "c", "b", "a"]
    assert len(await history_of(store, name)) == 5


async def test_a_listing_begins_where_it_is_told_to_and_says_whether_there_may_be_more(store):
    name = await made(store, *"abcdefg")
    found = await store.list_turns(name, ALICE, 100, order="asc")
    third = found.turns[2].place.turn
    assert await texts_in(store, name, 2, third, order="asc") == ["c", "d"]
    assert await texts_in(store, name, 2, third, order="asc", is_first_given=False) == ["d", "e"]
    assert await texts_in(store, name, 2, third) == ["c", "b"]
    assert await texts_in(store, name, 9, third, is_first_given=False) == ["b", "a"]
    assert (await store.list_turns(name, ALICE, 2)).is_cut and not (await store.list_turns(name, ALICE, 8)).is_cut
    for order in ("asc", "desc"):
        assert await store.list_turns(name, ALICE, 2, "12345", order=order) is None


async def test_large_turns_come_one_at_a_time(store, monkeypatch):
    text = "x" * 400_000
    name = await made(store)
    for number in range(6):
        await added(store, name, f"{number}{text[:: number + 1]}")
    monkeypatch.setattr(conversation_store, "LARGE_BYTES", 700)
    got: list[str] = []
    begin, is_first_given = "", True
    while True:
        found = await store.list_turns(name, ALICE, 100, begin, is_first_given=is_first_given, order="asc")
        got += [listed.turn.items[0]["content"][0] for listed in found.turns]
        if not found.is_cut:
            break
        begin, is_first_given = found.turns[-1].place.turn, False
    assert got == list("012345")


async def test_a_deleted_item_is_in_no_later_history_and_in_each_earlier_one(store):
    name = await made(store, "a")
    place = await added(store, name, "secret")
    before = await answered_in(store, name, "b")
    await deleted_from(store, name, place)
    after = await answered_in(store, name, "c")
    assert await texts_in(store, name, order="asc") == ["a", "b", "c"]
    kept, gone, none = [{"role": "user", "content": "a"}], [{"role": "user", "content": "secret"}], []
    assert await inputs_of(store, before) == [kept, gone, "b"]
    assert await inputs_of(store, after) == [kept, none, "b", none, "c"]
    branch = await say(store, "branch", await store.read(before, ALICE))
    assert await inputs_of(store, branch) == [kept, gone, "b", "branch"]
    assert await history_of(store, name) == [kept, none, "b", none, "c"]


async def test_a_response_in_it_is_followed_up_without_it(store, redis_client):
    name = await made(store, "a")
    response = await answered_in(store, name, "b")
    await added(store, name, "c")
    branch = await say(store, "d", await store.read(response, ALICE))
    assert branch.conversation == name
    assert (await inputs_of(store, branch))[1:] == ["b", "d"]
    assert await texts_in(store, name, order="asc") == ["a", "b", "c"]


@pytest.mark.parametrize("act", ["look", "list", "talk", "add"])
async def test_nobody_else_has_it_and_an_unknown_one_is_not_there(store, act):
    name = await made(store, "a")
    head = await looked(store, name)

    async def result(owner: Any, name: str) -> Any:
        if act == "look":
            return await store.look(name, owner)
        if act == "list":
            return await store.list_turns(name, owner, 5)
        if act == "talk":
            return await store.talk(Place(name, "7"), owner)
        with pytest.raises(NotStored):
            await store.go_on(Head(name, {}, b"", 0, head.tip), [said("b")], owner)
        return None

    assert await result(BOB, name) in (Miss.DENIED, None)
    assert await result(ALICE, "n0t-st0red-") in (Miss.UNKNOWN, None)
    assert await texts_in(store, name) == ["a"]


async def test_a_deleted_one_goes_with_all_that_only_it_needed(store, redis_client):
    name = await made(store, "a")
    response = await answered_in(store, name, "b")
    await added(store, name, "c", "d")
    assert await store.delete(Place(name, OBJECT), ALICE) is None
    assert await store.look(name, ALICE) is Miss.DELETED
    assert turns_in_all(redis_client) == 2  # the response, and what it follows
    assert (await inputs_of(store, response))[1] == "b"
    await store.delete(response, ALICE)
    assert turns_in_all(redis_client) == 0


async def test_a_response_that_is_deleted_stays_in_it(store):
    name = await made(store, "a")
    response = await answered_in(store, name, "b")
    await store.delete(response, ALICE)
    assert await store.read(response, ALICE) is Miss.DELETED
    assert await texts_in(store, name, order="asc") == ["a", "b"] and len(await history_of(store, name)) == 2


async def test_its_life_is_renewed_by_every_use_and_keeps_its_turns(store, redis_client):
    name = await made(store, "a")
    response = await answered_in(store, name, "b")
    turns, _, lives = conversation_keys(PREFIX, name)
    for use in (store.look(name, ALICE), history_of(store, name), added(store, name, "c"), texts_in(store, name)):
        soon = redis_client.time()[0] + 5
        redis_client.zadd(lives, {OBJECT: soon, response.turn: soon})
        redis_client.expire(turns, 5)
        await use
        assert redis_client.zscore(lives, OBJECT) > soon and redis_client.ttl(turns) > TTL_SECONDS
    redis_client.zadd(lives, {response.turn: 1})
    assert (await inputs_of(store, response))[1] == "b", "a response lives as long as its conversation"
    redis_client.zadd(lives, {OBJECT: 1})
    assert await store.look(name, ALICE) is Miss.UNKNOWN


async def test_while_a_request_is_under_way_another_and_an_addition_are_refused(store, redis_client):
    name, first = await made(store, "a"), Place(new_conversation(), new_turn())
    first = Place(name, first.turn)
    assert isinstance(await store.talk(first, ALICE), Chain)
    assert isinstance(await store.talk(first, ALICE), Chain), "its own is none of the others"
    head = await looked(store, name)
    with pytest.raises(Locked):
        await store.talk(Place(name, new_turn()), ALICE)
    with pytest.raises(Locked):
        await store.go_on(head, [said("b")], ALICE)
    await store.describe(head, {"a": "b"}, ALICE)
    await store.hold(Place(name, "5"), 0)
    with pytest.raises(Locked):
        await store.talk(Place(name, new_turn()), ALICE)
    await store.hold(first, 0)
    await added(store, name, "b")
    assert await texts_in(store, name, order="asc") == ["a", "b"]


async def test_a_hold_that_nobody_renews_ends(store, redis_client):
    name = await made(store, "a")
    lost, second = Place(name, new_turn()), Place(name, new_turn())
    chain = await store.talk(lost, ALICE)
    held = redis_client.hget(conversation_keys(PREFIX, name)[0], "held").split()
    assert int(held[1]) - redis_client.time()[0] in range(HOLD_SECONDS - 2, HOLD_SECONDS + 1)
    redis_client.hset(conversation_keys(PREFIX, name)[0], "held", b"%b 1" % held[0])
    assert isinstance(await store.talk(second, ALICE), Chain)
    with pytest.raises(Locked):
        await store.go_on(Head(name, {}, b"", 0, chain.tip), [answered("late")], ALICE, at=lost)
    await store.go_on(Head(name, {}, b"", 0, chain.tip), [answered("in time")], ALICE, at=second)
    with pytest.raises(Moved):
        await store.go_on(Head(name, {}, b"", 0, chain.tip), [answered("late")], ALICE, at=lost)
    assert await texts_in(store, name) == ["in time", "a"]


async def test_what_was_read_before_somebody_else_s_addition_is_not_gone_on_from(store):
    name = await made(store, "a")
    head = await looked(store, name)
    await added(store, name, "b")
    with pytest.raises(Moved):
        await store.go_on(head, [said("c")], ALICE)
    await store.describe(head, {"x": "1"}, ALICE)
    with pytest.raises(Moved):
        await store.describe(head, {"x": "2"}, ALICE)
    assert (await looked(store, name)).metadata == {"x": "1"}


async def test_fifty_additions_at_once_are_all_there_once(store):
    name = await made(store)

    async def add(text: str) -> None:
        while True:
            try:
                await added(store, name, text)
                return
            except Moved:
                await asyncio.sleep(0)

    await asyncio.gather(*(add(str(number)) for number in range(50)))
    assert sorted(map(int, await texts_in(store, name))) == list(range(50))


async def test_each_command_may_be_sent_again_after_a_lost_answer(redis_client):
    store = store_on(Twice(redis_client, "add", "talk", "hold", "list"))
    name = await made(store, "a")
    await added(store, name, "b")
    await answered_in(store, name, "c")
    await store.describe(await looked(store, name), {}, ALICE)
    assert await texts_in(store, name, order="asc") == ["a", "b", "c"]


async def test_what_is_sent_again_when_others_have_gone_on_is_there_once(store):
    name, place = await made(store, "a"), Place("", new_turn())
    head, place = await looked(store, name), Place(name, place.turn)
    await store.go_on(head, [said("b")], ALICE, at=place)
    await added(store, name, "c")
    await store.go_on(head, [said("b")], ALICE, at=place)
    await store.go_on(await looked(store, name), [said("b")], ALICE, at=place)
    assert await texts_in(store, name, order="asc") == ["a", "b", "c"]


async def test_what_is_stored_again_with_a_round_before_it_is_there_once(redis_client):
    """Up to 1.85 a stream says after each round of tools that it has ended."""
    store = store_on(Twice(redis_client, "add"))
    name = await made(store, "a")
    head, place = await looked(store, name), Place(name, new_turn())
    await store.go_on(head, [answered("b")], ALICE, at=place)
    await store.go_on(head, [answered("b"), answered("c")], ALICE, at=place)
    await added(store, name, "d")
    assert await texts_in(store, name, order="asc") == ["a", "b", "c", "d"]
    await store.go_on(head, [answered("b"), answered("c")], ALICE, at=place)
    assert await texts_in(store, name, order="asc") == ["a", "b", "c", "d"]


async def test_a_tree_that_goes_in_circles_holds_up_nobody(store, redis_client):
    name = await made(store, "a")
    place = await added(store, name, "b")
    redis_client.zadd(conversation_keys(PREFIX, name)[1], {place.turn: place.turn})
    assert await store.list_turns(name, ALICE, 5, order="asc") is Miss.INCOMPLETE
    assert await store.talk(Place(name, "5"), ALICE) is Miss.INCOMPLETE


async def test_adding_to_a_thousand_items_costs_two_commands_and_not_their_bytes(store, redis_client, redis_server):
    name = await made(store)
    for number in range(50):
        await added(store, name, *(f"{number} {item}" for item in range(20)))
    place = Place(name, new_turn())
    with monitored(redis_server.host, redis_server.port) as seen:
        await store.go_on(await looked(store, name), [said("x" * 100)], ALICE, at=place)
    assert [script_name(command[1]) for command in seen.commands] == ["list", "add"]
    sent = sum(len(word) for command in seen.commands for word in command)
    assert sent < 1_500, sent
    assert redis_client.hlen(conversation_keys(PREFIX, name)[0]) == 1_001 + 3


async def test_a_full_conversation_takes_no_more(redis_client):
    store = store_on(redis_client, max_turns=2)
    name = await made(store, "a", "b")
    with pytest.raises(NotStored, match="TURNS"):
        await added(store, name, "c")
    assert await texts_in(store, name, order="asc") == ["a", "b"]


async def test_damage_is_a_miss(store, redis_client):
    name = await made(store, "a")
    turns, tree, _ = conversation_keys(PREFIX, name)
    redis_client.hset(turns, OBJECT, "Pnothing")
    assert await store.look(name, ALICE) is Miss.UNREADABLE
    redis_client.hdel(turns, OBJECT)
    assert await store.look(name, ALICE) is Miss.INCOMPLETE
    redis_client.zadd(tree, {OBJECT: 77})
    assert await store.talk(Place(name, "5"), ALICE) is Miss.INCOMPLETE


def claimed(redis_client: Redis) -> int:
    return int(redis_client.hget(f"{PREFIX}{{{ALICE.identity}}}:sizes", "all") or 0)


async def test_what_is_refused_takes_no_room_from_its_owner(redis_client):
    store = store_on(redis_client, max_owner_bytes=100_000)
    name = await made(store, "a")
    place, before = Place(name, new_turn()), claimed(redis_client)
    assert isinstance(await store.talk(place, ALICE), Chain) and before > 0
    for _ in range(5):
        with pytest.raises(Locked):
            await added(store, name, "x" * 1000)
    head = await looked(store, name)
    await store.hold(place, 0)
    await added(store, name, "b")
    with pytest.raises(Moved):
        await store.go_on(head, [said("c")], ALICE)
    assert before < claimed(redis_client) < before + 500


async def test_metadata_takes_room_and_gives_it_back(redis_client):
    store = store_on(redis_client, max_owner_bytes=100_000)
    name = await made(store, metadata={"a": "x" * 500})
    large = claimed(redis_client)
    await store.describe(await looked(store, name), {"a": "x"}, ALICE)
    assert large > 500 and claimed(redis_client) < 100


async def test_who_may_keep_no_more_can_delete(redis_client):
    store = store_on(redis_client, max_owner_bytes=1_000)
    name = await made(store, "x" * 100)
    place = await added(store, name, "y" * 100)
    with pytest.raises(NotStored):
        await added(store, name, *(f"{number} {'z' * 200}" for number in range(20)))
    gone, turn = item_id_at("message", place, 0, is_input=True), Place(name, new_turn())
    marks = {f"d{place.turn}": NOTHING_LEFT, f"d{turn.turn}": NOTHING_LEFT}
    head, full = await looked(store, name), claimed(redis_client)
    await store.go_on(head, [Turn([], gone=(gone,))], ALICE, at=turn, fields=marks, is_claimed=False)
    assert len(await history_of(store, name)) == 3 and claimed(redis_client) == full


async def test_it_is_read_while_a_request_is_under_way(store):
    name = await made(store, "a")
    place, reader = Place(name, new_turn()), Place(name, new_turn())
    assert isinstance(await store.talk(place, ALICE), Chain)
    assert isinstance(await store.talk(reader, ALICE, 0), Chain)
    with pytest.raises(Locked):
        await store.talk(Place(name, new_turn()), ALICE)


async def test_a_response_says_which_of_its_items_were_deleted(store):
    name = await made(store, "a")
    place = await answered_in(store, name, "b")
    found = await store.read(place, ALICE)
    assert isinstance(found, Chain) and found.deleted == ""
    await deleted_from(store, name, place)
    found = await store.read(place, ALICE)
    assert isinstance(found, Chain) and found.deleted == NOTHING_LEFT
