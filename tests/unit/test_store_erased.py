"""What was erased or deleted stays so: whatever is under way, and whatever Redis lost of it before."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from litellm.responses.litellm_completion_transformation.redis_session_patch import scripts
from litellm.responses.litellm_completion_transformation.redis_session_patch.conversation import Chain
from litellm.responses.litellm_completion_transformation.redis_session_patch.owner import digest_of
from litellm.responses.litellm_completion_transformation.redis_session_patch.results import NotStored
from litellm.responses.litellm_completion_transformation.redis_session_patch.store import (
    GRACE_SECONDS,
    Reservation,
    erased_key,
)

from .support.erasures import erase_all_of, failing_to_scan
from .support.inside import conversation_of, pass_time
from .support.recorded import PLAIN
from .support.stores import (
    ALICE,
    BOB,
    PREFIX,
    SESSION,
    TTL_SECONDS,
    chain_of,
    follow,
    inputs_of,
    load,
    say,
    store_on,
    turn_of,
)

CUSTOMER = replace(ALICE, end_user="cust0mer")
OTHER = replace(ALICE, end_user="0ther")
LIFE = TTL_SECONDS + GRACE_SECONDS
SLACK = 10  # Seconds that a slow machine may take.


async def people_of(client: Any) -> set[str]:
    """The owner tags of the one conversation that Redis holds."""
    (turns,) = await client.keys("*:turns")
    return {field[1:].decode() for field in await client.hkeys(turns) if field.startswith(b"o")}


async def lose(client: Any) -> None:
    """As an eviction of everything."""
    await client.delete(*await client.keys("*"))


async def test_a_conversation_that_redis_lost_is_written_anew_with_everybody_in_it(redis_client, store):
    first = await say(store, "a", owner=CUSTOMER)
    second = await follow(store, await follow(store, first, "b", owner=OTHER), "c", owner=OTHER)
    chain = await chain_of(store, second)
    assert [turn.by for turn in chain.turns] == [(CUSTOMER.tag,), (OTHER.tag,), (OTHER.tag,)]
    await lose(redis_client)
    last = await say(store, "d", chain, owner=ALICE)
    assert await people_of(redis_client) == {CUSTOMER.tag, OTHER.tag, ALICE.tag}
    chain = await chain_of(store, last)
    await lose(redis_client)
    await say(store, "e", chain, owner=ALICE)
    assert await people_of(redis_client) == {CUSTOMER.tag, OTHER.tag, ALICE.tag}


async def test_what_the_database_gave_is_written_with_everybody_in_it(redis_client, store):
    given = Chain((replace(turn_of("a"), by=(CUSTOMER.tag, BOB.tag)), replace(turn_of("b"), by=(OTHER.tag,))))
    await say(store, "c", given)
    assert await people_of(redis_client) == {CUSTOMER.tag, OTHER.tag, BOB.tag, ALICE.tag}


async def test_turns_from_before_they_said_whose_they_are_belong_to_the_record_s_owner(redis_client, store):
    await PLAIN.put_into(redis_client)
    chain = await chain_of(store, "chatcmpl-2")
    await lose(redis_client)
    await say(store, "on", chain, owner=CUSTOMER)
    assert await people_of(redis_client) == {chain.record.owner.tag, CUSTOMER.tag}


@pytest.mark.parametrize("left_seconds", [5, 5_000])
async def test_the_mark_of_a_deleted_response_lives_as_long_as_its_turns_could(redis_client, store, left_seconds):
    first = await say(store, "a")
    conversation = await conversation_of(redis_client, first)
    for key in (*conversation.keys, SESSION + first):
        await redis_client.expire(key, left_seconds)
    await store.delete(first, lambda owner: True)
    for key in (conversation.turns, SESSION + first):
        assert await redis_client.ttl(key) >= max(LIFE, left_seconds) - SLACK


async def test_the_mark_of_a_deleted_response_stays_when_its_whole_conversation_goes(redis_client, store):
    first = await say(store, "a")
    chain, second = await chain_of(store, first), await follow(store, first, "b")
    for response_id in (first, second):
        await store.delete(response_id, lambda owner: True)
    with pytest.raises(NotStored, match="deleted meanwhile"):
        await say(store, "c", chain)


@pytest.mark.parametrize("left_seconds", [5, 5_000])
async def test_the_mark_of_an_erased_conversation_lives_as_long_as_its_turns_could(redis_client, store, left_seconds):
    conversation = await conversation_of(redis_client, await say(store, "a"))
    await redis_client.expire(conversation.tree, left_seconds)
    for seconds in (LIFE, 1):  # Run again, it makes nothing shorter.
        await redis_client.eval(scripts.ERASE, 3, *conversation.keys, seconds)
        assert await redis_client.exists(*conversation.keys) == 1
        assert await redis_client.ttl(conversation.turns) >= max(LIFE, left_seconds) - SLACK


async def test_what_is_under_way_for_hours_does_not_bring_back_what_was_erased(redis_client):
    """For as long as a conversation may live: under `volatile-ttl` too, a full Redis then evicts no mark first."""
    store = store_on(redis_client, ttl_seconds=20_000)
    ended, erased = (
        await chain_of(store, await say(store, "a", as_id="x")),
        await chain_of(store, await say(store, "b")),
    )
    await store.delete("x", lambda owner: True)
    keys = [f"{PREFIX}{{{erased.record.conversation}}}:{name}" for name in ("turns", "tree", "lives")]
    await redis_client.eval(scripts.ERASE, 3, *keys, 20_000)
    await pass_time(redis_client, 19_000)
    for chain in (ended, erased):
        with pytest.raises(NotStored, match="deleted meanwhile"):
            await say(store, "c", chain)
    assert (await load(store, "x")).value == "deleted"


@pytest.mark.parametrize(
    ("part", "value"), [("user", "alice"), ("team", "red"), ("key_hash", "k1"), ("end_user", "customer")]
)
async def test_a_lost_conversation_is_not_written_anew_once_one_of_its_people_was_erased(
    redis_client, store, part, value
):
    customer = replace(ALICE, end_user=digest_of("customer"))
    chain = await chain_of(store, await follow(store, await say(store, "a", owner=customer), "b", owner=ALICE))
    await lose(redis_client)
    await erase_all_of(redis_client, part, value)
    with pytest.raises(NotStored, match="erased meanwhile"):
        await say(store, "c", chain, as_id="x", owner=BOB)
    assert not await store.is_taken("x")
    (turns,) = await redis_client.keys(f"{PREFIX}{{*")
    assert await redis_client.hkeys(turns) == [b"x"], "a mark"


async def test_a_stream_s_reserved_id_is_free_again_when_its_turn_was_taken_back(redis_client, store):
    chain, held = await chain_of(store, await say(store, "a")), Reservation("x")
    await lose(redis_client)
    await store.reserve(held)
    await erase_all_of(redis_client)
    with pytest.raises(NotStored, match="erased meanwhile"):
        await say(store, "b", chain, as_id="x", id_is_out=True, reservation=held)
    assert not await redis_client.exists(f"{SESSION}x")


async def test_who_was_erased_before_may_have_a_new_conversation_that_redis_loses(redis_client, store):
    await erase_all_of(redis_client)
    await pass_redis_time(redis_client, 60)
    chain = await chain_of(store, await say(store, "a"))
    await redis_client.delete(*await redis_client.keys(f"{PREFIX}{{*"))
    assert await inputs_of(store, await say(store, "b", chain)) == ["a", "b"]


async def test_a_history_that_was_asked_for_before_an_erasure_is_not_written_after_it(redis_client, store):
    await erase_all_of(redis_client)
    await pass_redis_time(redis_client, 60)
    turns = (replace(turn_of("a"), by=(ALICE.tag,)),)
    with pytest.raises(NotStored, match="erased meanwhile"):
        await say(store, "b", Chain(turns, asked_at=time.monotonic() - 61))
    assert await inputs_of(store, await say(store, "b", Chain(turns, asked_at=time.monotonic() - 50)))


async def pass_redis_time(client: Any, seconds: int) -> None:
    """Makes each mark of an erasure so much older."""
    for key in await client.keys(f"{PREFIX}erased:*"):
        await client.incrby(key, -seconds)


async def test_nothing_of_somebody_is_written_anew_while_their_erasure_runs(redis_client, store):
    """Nor after one that failed half-way, which is to be run again."""
    chain = await chain_of(store, await say(store, "a"))
    await lose(redis_client)
    with pytest.raises(RedisConnectionError):
        await erase_all_of(failing_to_scan(redis_client))
    with pytest.raises(NotStored, match="erased meanwhile"):
        await say(store, "b", replace(chain, asked_at=time.monotonic()))
    assert await redis_client.get(erased_key(PREFIX, "user", ALICE.user)) == b"running"
