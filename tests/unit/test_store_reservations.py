"""Ids that are given out before their turn is stored."""

from __future__ import annotations

import asyncio

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.results import Miss, NotStored
from litellm.responses.litellm_completion_transformation.redis_session_patch.store import (
    RESERVATION_TTL_SECONDS,
    Reservation,
)

from .support.stores import SESSION, chain_of, follow, inputs_of, load, reserve, say


async def test_a_reserved_id_reads_as_unknown_and_is_taken(store):
    await reserve(store, "x")
    assert await load(store, "x") is Miss.UNKNOWN
    assert await store.is_taken("x")


async def test_a_reserved_id_becomes_its_response(store):
    reservation = await reserve(store, "x")
    assert await say(store, "a", as_id="x", id_is_out=True, reservation=reservation) == "x"
    assert await inputs_of(store, "x") == ["a"]
    assert await inputs_of(store, await follow(store, "x", "b")) == ["a", "b"]


@pytest.mark.parametrize("holder", ["a response", "a reservation"])
async def test_a_taken_id_cannot_be_reserved(store, redis_client, holder):
    await (say(store, "a", as_id="x") if holder == "a response" else reserve(store, "x"))
    held = await redis_client.get(SESSION + "x")
    assert not await store.reserve(Reservation("x"))
    assert await redis_client.get(SESSION + "x") == held


async def test_of_simultaneous_reservations_of_one_id_one_holds(store):
    outcomes = await asyncio.gather(*(store.reserve(Reservation("x")) for _ in range(10)))
    assert sorted(outcomes) == [False] * 9 + [True]


async def test_reserving_again_after_a_lost_reply_holds(store):
    reservation = await reserve(store, "x")
    assert await store.reserve(reservation)
    assert await say(store, "a", as_id="x", id_is_out=True, reservation=reservation) == "x"


async def test_a_plain_response_does_not_take_a_reserved_id(store):
    reservation = await reserve(store, "x")
    other = await say(store, "other", as_id="x")
    assert other != "x"
    await say(store, "mine", as_id="x", id_is_out=True, reservation=reservation)
    assert await inputs_of(store, "x") == ["mine"]
    assert await inputs_of(store, other) == ["other"]


async def test_a_lost_reservation_that_nobody_took_is_stored_all_the_same(store, redis_client):
    reservation = await reserve(store, "x")
    await redis_client.delete(SESSION + "x")
    assert await say(store, "a", as_id="x", id_is_out=True, reservation=reservation) == "x"
    assert await inputs_of(store, "x") == ["a"]


@pytest.mark.parametrize("taker", ["a response", "a reservation"])
async def test_a_lost_reservation_that_somebody_took_is_not_stored(store, redis_client, taker):
    reservation = await reserve(store, "x")
    await redis_client.delete(SESSION + "x")
    theirs = await reserve(store, "x")
    if taker == "a response":
        await say(store, "theirs", as_id="x", id_is_out=True, reservation=theirs)
    held = await redis_client.get(SESSION + "x")
    with pytest.raises(NotStored):
        await say(store, "mine", as_id="x", id_is_out=True, reservation=reservation)
    assert await redis_client.get(SESSION + "x") == held


async def test_a_response_is_not_stored_twice_over_itself(store):
    reservation = await reserve(store, "x")
    await say(store, "first", as_id="x", id_is_out=True, reservation=reservation)
    with pytest.raises(NotStored):
        await say(store, "second", as_id="x", id_is_out=True, reservation=reservation)
    assert await inputs_of(store, "x") == ["first"]


async def test_a_released_id_is_free(store, redis_client):
    await store.release(await reserve(store, "x"))
    assert await redis_client.keys("*") == []
    await reserve(store, "x")


async def test_only_one_s_own_reservation_is_released(store, redis_client):
    mine = await reserve(store, "x")
    await redis_client.delete(SESSION + "x")
    theirs = await reserve(store, "x")
    await store.release(mine)
    assert await redis_client.get(SESSION + "x") == theirs.token


async def test_a_stored_response_is_not_released(store):
    reservation = await reserve(store, "x")
    await say(store, "a", as_id="x", id_is_out=True, reservation=reservation)
    await store.release(reservation)
    assert await inputs_of(store, "x") == ["a"]


async def test_a_reservation_goes_by_itself_in_time(store, redis_client):
    await reserve(store, "x")
    assert RESERVATION_TTL_SECONDS - 5 <= await redis_client.ttl(SESSION + "x") <= RESERVATION_TTL_SECONDS


async def test_a_stored_response_has_its_own_life_and_not_the_reservation_s(store, redis_client):
    reservation = await reserve(store, "x")
    await say(store, "a", as_id="x", id_is_out=True, reservation=reservation)
    assert await redis_client.ttl(SESSION + "x") > RESERVATION_TTL_SECONDS


async def test_a_follow_up_can_be_reserved(store):
    chain, reservation = await chain_of(store, await say(store, "a")), await reserve(store, "x")
    await say(store, "b", chain, as_id="x", id_is_out=True, reservation=reservation)
    assert await inputs_of(store, "x") == ["a", "b"]


def test_no_two_reservations_are_alike():
    assert len({Reservation("x").token for _ in range(100)}) == 100
