"""Ids that are given out before their turn is stored. On the real Redis: its scripts decide."""

from __future__ import annotations

import asyncio

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.store import (
    RESERVATION_TTL_SECONDS,
    Miss,
    Skipped,
)

from .support.stores import SESSION, chain_of, follow, inputs_of, load, say, store_on


@pytest.fixture
def store(redis_client):
    return store_on(redis_client)


async def test_a_reserved_id_reads_as_unknown(store):
    reservation = await store.reserve("x")
    assert reservation.response_id == "x"
    assert await load(store, "x") is Miss.UNKNOWN


async def test_a_reserved_id_becomes_its_response(store):
    reservation = await store.reserve("x")
    assert await say(store, "a", as_id="x", id_is_out=True, reservation=reservation) == "x"
    assert await inputs_of(store, "x") == ["a"]
    assert await inputs_of(store, await follow(store, "x", "b")) == ["a", "b"]


async def test_reserving_a_taken_id_gives_another(store):
    await say(store, "a", as_id="x")
    first, second = await store.reserve("x"), await store.reserve("x")
    assert len({"x", first.response_id, second.response_id}) == 3
    assert await inputs_of(store, "x") == ["a"]


async def test_simultaneous_reservations_of_one_id_differ(store):
    reservations = await asyncio.gather(*(store.reserve("x") for _ in range(10)))
    assert len({each.response_id for each in reservations}) == 10


async def test_a_plain_response_does_not_take_a_reserved_id(store):
    reservation = await store.reserve("x")
    other = await say(store, "other", as_id="x")
    assert other != "x"
    await say(store, "mine", as_id="x", id_is_out=True, reservation=reservation)
    assert await inputs_of(store, "x") == ["mine"]
    assert await inputs_of(store, other) == ["other"]


async def test_a_lost_reservation_that_nobody_took_is_stored_all_the_same(store, redis_client):
    reservation = await store.reserve("x")
    await redis_client.delete(SESSION + "x")
    assert await say(store, "a", as_id="x", id_is_out=True, reservation=reservation) == "x"
    assert await inputs_of(store, "x") == ["a"]


@pytest.mark.parametrize("taker", ["a response", "a reservation"])
async def test_a_lost_reservation_that_somebody_took_is_skipped(store, redis_client, taker):
    reservation = await store.reserve("x")
    await redis_client.delete(SESSION + "x")
    theirs = await store.reserve("x")
    if taker == "a response":
        await say(store, "theirs", as_id="x", id_is_out=True, reservation=theirs)
    held = await redis_client.get(SESSION + "x")
    with pytest.raises(Skipped):
        await say(store, "mine", as_id="x", id_is_out=True, reservation=reservation)
    assert await redis_client.get(SESSION + "x") == held


async def test_a_response_is_not_stored_twice_over_itself(store):
    reservation = await store.reserve("x")
    await say(store, "first", as_id="x", id_is_out=True, reservation=reservation)
    with pytest.raises(Skipped):
        await say(store, "second", as_id="x", id_is_out=True, reservation=reservation)
    assert await inputs_of(store, "x") == ["first"]


async def test_a_released_id_is_free(store, redis_client):
    await store.release(await store.reserve("x"))
    assert await redis_client.keys("*") == []
    assert (await store.reserve("x")).response_id == "x"


async def test_only_one_s_own_reservation_is_released(store, redis_client):
    mine = await store.reserve("x")
    await redis_client.delete(SESSION + "x")
    theirs = await store.reserve("x")
    await store.release(mine)
    assert await redis_client.get(SESSION + "x") == theirs.token


async def test_a_stored_response_is_not_released(store):
    reservation = await store.reserve("x")
    await say(store, "a", as_id="x", id_is_out=True, reservation=reservation)
    await store.release(reservation)
    assert await inputs_of(store, "x") == ["a"]


async def test_a_reservation_goes_by_itself_in_time(store, redis_client):
    await store.reserve("x")
    assert RESERVATION_TTL_SECONDS - 5 <= await redis_client.ttl(SESSION + "x") <= RESERVATION_TTL_SECONDS


async def test_a_stored_response_has_its_own_life_and_not_the_reservation_s(store, redis_client):
    reservation = await store.reserve("x")
    await say(store, "a", as_id="x", id_is_out=True, reservation=reservation)
    assert await redis_client.ttl(SESSION + "x") > RESERVATION_TTL_SECONDS


async def test_a_follow_up_can_be_reserved(store):
    first = await say(store, "a")
    chain, reservation = await chain_of(store, first), await store.reserve("x")
    await say(store, "b", chain, as_id="x", id_is_out=True, reservation=reservation)
    assert await inputs_of(store, "x") == ["a", "b"]
