"""What lives is what a live response reaches: a branch that nobody uses dies alone."""

from __future__ import annotations

import asyncio

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch import scripts
from litellm.responses.litellm_completion_transformation.redis_session_patch.results import NotStored

from .support.clients import Halved
from .support.inside import conversation_of, pass_time, responses, turns_in_all
from .support.stores import TTL_SECONDS, chain_of, follow, inputs_of, say, store_on, talk

HALF = TTL_SECONDS // 2 + 50  # After two of them a life and its grace are over.


async def test_a_branch_that_nobody_uses_dies_alone(redis_client, store):
    first = await say(store, "a")
    unused = await follow(store, await follow(store, first, "b"), "c")
    used = await follow(store, first, "x")
    for _ in range(2):
        await pass_time(redis_client, HALF)
        assert await inputs_of(store, used) == ["a", "x"]
    assert await turns_in_all(redis_client) == 2
    assert unused not in await responses(redis_client)


async def test_a_turn_stays_as_long_as_one_after_it_lives(redis_client, store):
    last = (await talk(store, "abcd"))[-1]
    for _ in range(4):
        await pass_time(redis_client, HALF)
        assert await inputs_of(store, last) == list("abcd")
    assert await responses(redis_client) == {last}
    assert await turns_in_all(redis_client) == 4


async def test_800_follow_ups_of_one_response_over_several_lifetimes_leave_what_is_live(redis_client, store):
    """Four lifetimes, of which each has 200."""
    base = await say(store, "base")
    for _ in range(8):
        for _ in range(4):
            chain = await chain_of(store, base)
            await asyncio.gather(*(say(store, "follow-up", chain) for _ in range(25)))
        await pass_time(redis_client, HALF)
        # A use takes out up to a hundred.
        assert await turns_in_all(redis_client) <= 1 + 300
    assert await inputs_of(store, base) == ["base"]
    await asyncio.gather(*(say(store, "follow-up", chain) for _ in range(3)))
    live = len(await responses(redis_client))
    assert live <= 1 + 200 and await turns_in_all(redis_client) <= live + 100


@pytest.mark.parametrize("use", ["read", "write"])
async def test_the_next_use_of_a_conversation_takes_out_what_has_ended(redis_client, store, use):
    first = await say(store, "a")
    chain = await chain_of(store, first)
    for _ in range(30):
        await say(store, "b", chain)
    await pass_time(redis_client, HALF)
    await chain_of(store, first)
    await pass_time(redis_client, HALF)
    await (inputs_of(store, first) if use == "read" else say(store, "c", chain))
    assert await turns_in_all(redis_client) == (1 if use == "read" else 2)


async def test_when_nobody_comes_back_redis_itself_removes_everything(redis_client, store):
    first = await say(store, "a")
    await follow(store, first, "b")
    await pass_time(redis_client, 2 * HALF)
    assert await redis_client.keys("*") == []


async def test_a_turn_whose_record_was_never_written_does_not_outlive_its_own_life(redis_client, store):
    first = await say(store, "a")

    with pytest.raises(asyncio.CancelledError):
        await say(store_on(Halved(redis_client, asyncio.CancelledError())), "lost", await chain_of(store, first))
    assert await turns_in_all(redis_client) == 2
    assert await inputs_of(store, await follow(store, first, "b")) == ["a", "b"]
    for _ in range(2):
        await pass_time(redis_client, HALF)
        await chain_of(store, first)
    assert await turns_in_all(redis_client) == 1


async def test_a_turn_whose_id_was_taken_does_not_outlive_its_own_life(redis_client, store):
    first = await say(store, "a")
    await say(store, "other", as_id="taken")
    with pytest.raises(NotStored):
        await follow(store, first, "b", as_id="taken", id_is_out=True)
    for _ in range(2):
        await pass_time(redis_client, HALF)
        await chain_of(store, first)
    assert await turns_in_all(redis_client) == 1


async def test_a_conversation_of_1_500_turns_goes_at_once(redis_client):
    """All of it hangs on its last response; taking it out must neither fail nor be left half done."""
    store = store_on(redis_client)
    chain = await chain_of(store, await say(store, "a"))
    await say(store, "b", chain)
    conversation = await conversation_of(redis_client, (await responses(redis_client)).pop())
    turns = [str(number) for number in range(1_000_001, 1_001_501)]
    await redis_client.hset(conversation.turns, mapping=dict.fromkeys(turns, b"x"))
    await redis_client.zadd(conversation.tree, dict(zip(turns, ["0", *turns[:-1]], strict=True)))
    await redis_client.zadd(conversation.lives, {turns[-1]: 5})
    await say(store, "c", chain)
    assert await turns_in_all(redis_client) == 2 + 1


async def test_ending_a_response_takes_out_what_only_it_needed(redis_client, store):
    ids = await talk(store, "abc")
    sibling = await follow(store, ids[0], "x")
    conversation = await conversation_of(redis_client, ids[-1])

    async def end(turn: str) -> None:
        await redis_client.eval(scripts.END, 3, *conversation.keys, turn, TTL_SECONDS)

    await end(conversation.path[1])  # A turn follows it.
    assert await inputs_of(store, ids[-1]) == list("abc")
    await end(conversation.path[2])
    assert await turns_in_all(redis_client) == 2  # The first, and its other follow-up.
    assert await inputs_of(store, sibling) == ["a", "x"]


@pytest.mark.parametrize("how", ["ended", "erased"])
async def test_what_is_still_under_way_does_not_bring_a_deleted_response_back(redis_client, store, how):
    last = (await talk(store, "ab"))[-1]
    chain, conversation = await chain_of(store, last), await conversation_of(redis_client, last)
    script, turns = (scripts.END, conversation.path[1:]) if how == "ended" else (scripts.ERASE, ())
    await redis_client.eval(script, 3, *conversation.keys, *turns, TTL_SECONDS)
    with pytest.raises(NotStored, match="deleted meanwhile"):
        await say(store, "c", chain, as_id="c")
    assert not await store.is_taken("c")
    assert await turns_in_all(redis_client) == (1 if how == "ended" else 0)


async def test_ending_the_last_response_leaves_no_turn_and_a_note_that_goes_by_itself(redis_client, store):
    conversation = await conversation_of(redis_client, await say(store, "a"))
    await redis_client.eval(scripts.END, 3, *conversation.keys, conversation.path[0], TTL_SECONDS)
    assert await redis_client.exists(*conversation.keys) == 1
    assert await redis_client.hkeys(conversation.turns) == [b"x" + conversation.path[0].encode()]
    assert await redis_client.ttl(conversation.turns) > 0
