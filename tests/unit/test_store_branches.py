"""Conversations come back whole, in order, and from their own branch."""

from __future__ import annotations

import asyncio
import random

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.results import Miss

from .support.inside import pass_time
from .support.stores import ALICE, BOB, Tree, chain_of, follow, inputs_of, load, say, store_on, talk


async def test_every_response_of_a_conversation_has_the_turns_up_to_it(store):
    inputs = [f"turn {number} \U0001f600" for number in range(12)]
    for end, response_id in enumerate(await talk(store, inputs), 1):
        chain = await chain_of(store, response_id)
        assert [turn.input for turn in chain.turns] == inputs[:end]
        assert [turn.answer[0]["content"] for turn in chain.turns] == [f"You said: {text}" for text in inputs[:end]]
        assert chain.record.turns == end and {turn.session_id for turn in chain.turns} == {"trace"}


async def test_a_record_of_a_long_conversation_is_no_bigger_than_that_of_a_short_one(redis_client, store):
    ids = await talk(store, map(str, range(60)))
    first, last = [await redis_client.strlen(f"litellm_patch:session:{each}") for each in (ids[0], ids[-1])]
    assert last - first < 10


@pytest.mark.parametrize(
    "text", ["\x00", "\ud83d", "\udc00 alone", "\u2028 עברית \U0001f468\u200d\U0001f469", "", "0", '{"a":1}', "\n"]
)
async def test_odd_characters_come_back(store, text):
    items = [{"role": "user", "content": text * 50}]
    response_id = await follow(store, await say(store, text), items)
    assert await inputs_of(store, response_id) == [text, items]


async def test_two_follow_ups_at_the_same_time_make_two_branches(store):
    first = await say(store, "a")
    chain = await chain_of(store, first)
    branches = await asyncio.gather(*(say(store, f"b{number}", chain) for number in range(20)))
    for number, branch in enumerate(branches):
        assert await inputs_of(store, branch) == ["a", f"b{number}"]
    grandchildren = await asyncio.gather(*(follow(store, branch, "c") for branch in branches))
    for number, grandchild in enumerate(grandchildren):
        assert await inputs_of(store, grandchild) == ["a", f"b{number}", "c"]


async def test_a_late_follow_up_sees_only_its_own_branch(store):
    ids = await talk(store, "abcde")
    late = await follow(store, ids[1], "late")
    later = await follow(store, late, "later")
    assert await inputs_of(store, later) == ["a", "b", "late", "later"]
    assert await inputs_of(store, ids[-1]) == list("abcde")


async def test_in_200_random_trees_every_response_has_exactly_its_ancestors(store):
    chance, checked = random.Random(20_240), 0
    for _ in range(10):
        trees = [Tree(store) for _ in range(20)]
        await asyncio.gather(*(tree.grow_randomly(chance.randint(1, 6), chance) for tree in trees))
        assert [node for tree in trees for node in await tree.wrong_nodes()] == []
        checked += sum(len(tree.nodes) for tree in trees)
    assert checked > 600


async def test_concurrent_writers_of_one_tree_keep_every_branch_apart(redis_client):
    chance, stores = random.Random(7), [store_on(redis_client) for _ in range(2)]
    trees = [Tree(store) for store in stores]
    root = await trees[0].grow(None)
    trees[1].nodes[root] = ["turn 0"]
    for _ in range(10):
        await asyncio.gather(*(tree.grow(chance.choice(list(tree.nodes))) for tree in trees for _ in range(4)))
    for tree in trees:
        assert await tree.wrong_nodes() == []


async def test_a_response_of_somebody_else_is_denied(store):
    mine = await say(store, "a secret", owner=ALICE)
    assert await load(store, mine, BOB) is Miss.DENIED
    assert await inputs_of(store, mine) == ["a secret"]


async def test_a_denied_reader_does_not_renew_the_conversation(redis_client, store):
    mine = await say(store, "a secret", owner=ALICE)
    await pass_time(redis_client, 500)
    lives = {key: await redis_client.ttl(key) for key in await redis_client.keys("*")}
    await load(store, mine, BOB)
    assert all([await redis_client.ttl(key) <= left for key, left in lives.items()])


@pytest.mark.parametrize("response_id", ["never stored", "", "chatcmpl-1:turns", "*", "ключ", "a\nb", "\x00"])
async def test_an_id_that_was_never_stored_is_unknown(store, response_id):
    await say(store, "a", as_id="chatcmpl-1")
    assert await load(store, response_id) is Miss.UNKNOWN


async def test_a_repeated_id_gets_another_and_both_are_readable(store):
    ids = [await say(store, f"turn {number}", as_id="chatcmpl-7") for number in range(4)]
    assert ids[0] == "chatcmpl-7" and len(set(ids)) == 4
    assert all(each.startswith("chatcmpl-7") for each in ids)
    assert [await inputs_of(store, each) for each in ids] == [[f"turn {number}"] for number in range(4)]


async def test_a_provider_that_always_says_the_same_id_can_be_continued(store):
    last = await say(store, "0", as_id="1")
    for number in range(1, 6):
        last = await follow(store, last, str(number), as_id="1")
    assert await inputs_of(store, last) == list("012345")


async def test_simultaneous_repeats_of_one_id_all_get_their_own(store):
    owners = [BOB if number % 2 else ALICE for number in range(10)]
    ids = await asyncio.gather(
        *(say(store, str(number), as_id="same", owner=owner) for number, owner in enumerate(owners))
    )
    assert len(set(ids)) == 10
    for number, (each, owner) in enumerate(zip(ids, owners, strict=True)):
        assert [turn.input for turn in (await load(store, each, owner)).turns] == [str(number)]


async def test_a_stored_id_is_taken_and_a_new_one_is_not(store):
    await say(store, "a", as_id="x")
    assert await store.is_taken("x") and not await store.is_taken("y")
