"""All or nothing: whatever is missing, foreign, altered or cut short makes a miss, never another history."""

from __future__ import annotations

from typing import Any

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.results import Miss

from .support.clients import Interposed
from .support.inside import conversation_of
from .support.stores import SESSION, Chain, chain_of, follow, inputs_of, load, say, store_on, talk

EACH = pytest.mark.parametrize("index", [0, 1, 2])
INPUTS = ["a" * 200, "b" * 200, "c" * 200]


async def talked(client: Any) -> tuple[str, Any]:
    """The last response of three, and its conversation."""
    last = (await talk(store_on(client), INPUTS))[-1]
    return last, await conversation_of(client, last)


async def test_without_its_record_a_response_is_unknown(redis_client, store):
    first, second = await talk(store, "ab")
    await redis_client.delete(SESSION + second)
    assert await load(store, second) is Miss.UNKNOWN
    assert await inputs_of(store, first) == ["a"]


@pytest.mark.parametrize("name", ["turns", "tree"])
async def test_without_a_key_that_holds_its_turns_every_response_is_incomplete(redis_client, store, name):
    ids = await talk(store, "abc")
    await redis_client.delete(getattr(await conversation_of(redis_client, ids[0]), name))
    assert [await load(store, each) for each in ids] == [Miss.INCOMPLETE] * 3


async def test_without_the_ends_of_lives_a_conversation_is_served_and_they_begin_anew(redis_client, store):
    last, conversation = await talked(redis_client)
    await redis_client.delete(conversation.lives)
    assert await inputs_of(store, last) == INPUTS
    assert await redis_client.zrange(conversation.lives, 0, -1) == [conversation.path[-1].encode()]


@EACH
@pytest.mark.parametrize("name", ["turns", "tree"])
async def test_with_any_turn_gone_a_response_is_incomplete(redis_client, store, index, name):
    last, conversation = await talked(redis_client)
    remove = redis_client.hdel if name == "turns" else redis_client.zrem
    await remove(getattr(conversation, name), conversation.path[index])
    assert await load(store, last) is Miss.INCOMPLETE


@EACH
async def test_with_any_turn_cut_short_a_response_is_incomplete(redis_client, store, index):
    last, conversation = await talked(redis_client)
    value = await redis_client.hget(conversation.turns, conversation.path[index])
    await redis_client.hset(conversation.turns, conversation.path[index], value[:-1])
    assert await load(store, last) is Miss.INCOMPLETE


async def test_turns_in_each_other_s_place_are_no_history(redis_client, store):
    last, conversation = await talked(redis_client)
    first, second = [await redis_client.hget(conversation.turns, turn) for turn in conversation.path[:2]]
    await redis_client.hset(conversation.turns, mapping={conversation.path[0]: second, conversation.path[1]: first})
    assert await load(store, last) is Miss.UNREADABLE


@EACH
async def test_the_turn_of_another_conversation_in_the_place_of_one_is_no_history(redis_client, store, index):
    last, conversation = await talked(redis_client)
    other = await conversation_of(redis_client, (await talk(store, ["x" * 200, "y" * 200, "z" * 200]))[-1])
    value = await redis_client.hget(other.turns, other.path[index])
    await redis_client.hset(conversation.turns, conversation.path[index], value)
    assert await load(store, last) in (Miss.UNREADABLE, Miss.INCOMPLETE)


@EACH
async def test_a_tree_that_leads_elsewhere_is_no_history(redis_client, store, index):
    last, conversation = await talked(redis_client)
    stranger = (await conversation_of(redis_client, await say(store, "x"))).path[0]
    await redis_client.zadd(conversation.tree, {conversation.path[index]: stranger})
    assert await load(store, last) is Miss.INCOMPLETE


@pytest.mark.parametrize("before", [0, 1, 2])
async def test_a_tree_that_is_shorter_longer_or_round_is_no_history(redis_client, store, before):
    last, conversation = await talked(redis_client)
    await redis_client.zadd(conversation.tree, {conversation.path[0]: conversation.path[before]})
    assert await load(store, last) is Miss.INCOMPLETE
    await redis_client.zadd(conversation.tree, {conversation.path[0]: 0, conversation.path[2]: 0})
    assert await load(store, last) is Miss.INCOMPLETE


@pytest.mark.parametrize("garbage", [b"", b"P", b"P{}", b"P\x00\x00", b"P\x03\x00", b"E", b"Eshort", b"R", b"J{}"])
@EACH
async def test_with_any_turn_spoilt_a_response_is_no_history(redis_client, store, garbage, index):
    """Cut or filled up to its length, which is what shows it first."""
    last, conversation = await talked(redis_client)
    turn = conversation.path[index]
    assert await redis_client.hstrlen(conversation.turns, turn) >= len(garbage)
    spoilt = garbage.ljust(await redis_client.hstrlen(conversation.turns, turn), b"\xff")
    await redis_client.hset(conversation.turns, turn, spoilt)
    assert await load(store, last) is Miss.UNREADABLE
    await redis_client.hset(conversation.turns, turn, garbage)
    assert await load(store, last) is Miss.INCOMPLETE


@EACH
async def test_with_any_byte_of_a_turn_changed_it_is_never_another_history(redis_client, store, index):
    last, conversation = await talked(redis_client)
    turn, expected = conversation.path[index], await chain_of(store, last)
    value = await redis_client.hget(conversation.turns, turn)
    for position in range(len(value)):
        altered = value[:position] + bytes([value[position] ^ 1]) + value[position + 1 :]
        await redis_client.hset(conversation.turns, turn, altered)
        found = await load(store, last)
        assert found is Miss.UNREADABLE or (isinstance(found, Chain) and found.turns == expected.turns), position


@pytest.mark.parametrize("garbage", [b"", b"{", b"[]", b"\n", b"P\n", b"{}\nP", b"\xff" * 20, b'{"v":1}\nP', b"\n{}"])
async def test_a_spoilt_record_is_unreadable(redis_client, store, garbage):
    last, _ = await talked(redis_client)
    await redis_client.set(SESSION + last, garbage)
    assert await load(store, last) is Miss.UNREADABLE


async def test_a_record_cut_short_anywhere_is_never_a_history(redis_client, store):
    last, _ = await talked(redis_client)
    value = await redis_client.get(SESSION + last)
    assert value.endswith(b"}\nP")
    for length in range(len(value)):
        await redis_client.set(SESSION + last, value[:length])
        assert await load(store, last) is Miss.UNREADABLE, length


async def test_a_spoilt_turn_of_another_branch_does_no_harm(redis_client, store):
    first, second = await talk(store, "ab")
    sibling = await follow(store, first, "c")
    conversation = await conversation_of(redis_client, second)
    await redis_client.hset(conversation.turns, conversation.path[1], b"garbage")
    assert isinstance(await load(store, second), Miss)
    assert await inputs_of(store, sibling) == ["a", "c"]


@pytest.mark.parametrize("gone", ["everything", "turns", "tree", "the last turn"])
async def test_when_turns_vanish_after_the_read_the_follow_up_is_stored_with_its_ancestors(redis_client, store, gone):
    last, conversation = await talked(redis_client)
    chain = await chain_of(store, last)
    if gone == "the last turn":
        await redis_client.hdel(conversation.turns, conversation.path[-1])
    else:
        await redis_client.delete(*(conversation.keys if gone == "everything" else [getattr(conversation, gone)]))
    child = await say(store, "d", chain)
    assert await inputs_of(store, child) == [*INPUTS, "d"]
    assert await inputs_of(store, await follow(store, child, "e")) == [*INPUTS, "d", "e"]
    assert await load(store, last) is Miss.INCOMPLETE  # A part of it would pose as the whole.


async def test_turns_that_vanish_between_the_two_reads_are_a_miss(redis_client):
    last, conversation = await talked(redis_client)

    async def evict(name: str) -> None:
        if name == "read":
            await redis_client.delete(*conversation.keys)

    assert await load(store_on(Interposed(redis_client, evict)), last) is Miss.INCOMPLETE
    assert await redis_client.exists(*conversation.keys) == 0
