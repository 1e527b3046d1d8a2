"""The time to live counts from the last use, is only ever made longer, and covers all that a response needs."""

from __future__ import annotations

from typing import Any

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.results import Miss, NotStored
from litellm.responses.litellm_completion_transformation.redis_session_patch.store import GRACE_SECONDS

from .support.clients import RoundTrips
from .support.inside import conversation_of, pass_time
from .support.stores import SESSION, TTL_SECONDS, chain_of, follow, inputs_of, load, say, store_on, talk

SLACK = 10  # Seconds that a slow machine may take.


async def lives(client: Any, response_id: str) -> tuple[int, int]:
    """Seconds left of a response, and of the key of the conversation that goes first; they are not renewed."""
    keys = await client.keys("litellm_patch:{*")
    assert len(keys) == 3
    return await client.ttl(SESSION + response_id), min([await client.ttl(key) for key in keys])


def is_about(actual: int, expected: int) -> bool:
    return expected - SLACK <= actual <= expected


def is_renewed(pair: tuple[int, int], seconds: int = TTL_SECONDS) -> bool:
    return is_about(pair[0], seconds) and is_about(pair[1], seconds + GRACE_SECONDS)


async def test_storing_gives_the_configured_life_to_every_key(redis_client, store):
    response_id = await say(store, "a")
    assert is_renewed(await lives(redis_client, response_id))
    assert len(await redis_client.keys("*")) == 4


async def test_a_follow_up_renews_the_response_and_its_turns_but_not_what_came_after(redis_client, store):
    first, second = await talk(store, "ab")
    await pass_time(redis_client, 500)
    await chain_of(store, first)
    assert is_renewed(await lives(redis_client, first))
    assert await redis_client.ttl(SESSION + second) <= TTL_SECONDS - 500


async def test_storing_a_turn_renews_the_turns_before_it(redis_client, store):
    chain = await chain_of(store, await say(store, "a"))
    await pass_time(redis_client, 500)
    assert is_renewed(await lives(redis_client, await say(store, "b", chain)))


async def test_a_follow_up_at_the_last_moment_keeps_all_its_turns_for_a_whole_life(redis_client, store):
    ids = await talk(store, "abc")
    for _ in range(5):
        await pass_time(redis_client, TTL_SECONDS - SLACK)
        assert await inputs_of(store, ids[-1]) == list("abc")


async def test_a_proxy_with_a_shorter_setting_never_shortens_a_life(redis_client):
    generous, strict = store_on(redis_client), store_on(redis_client, ttl_seconds=20)
    first = await say(generous, "a")
    second = await follow(strict, first, "b")
    await load(strict, first)
    await load(strict, second)
    assert is_renewed(await lives(redis_client, first))
    assert await redis_client.ttl(SESSION + second) <= 20
    await pass_time(redis_client, 500)
    assert await load(generous, second) is Miss.UNKNOWN
    assert await inputs_of(generous, first) == ["a"]


async def test_a_proxy_with_a_shorter_setting_does_not_have_turns_taken_out_early(redis_client):
    generous, strict = store_on(redis_client), store_on(redis_client, ttl_seconds=20)
    first = await say(generous, "a")
    read, other = await follow(generous, first, "read"), await follow(generous, first, "other")
    await load(strict, read)
    await pass_time(redis_client, 500)
    await load(generous, other)  # Whatever has ended goes now.
    assert await inputs_of(generous, read) == ["a", "read"]


async def test_a_proxy_with_a_longer_setting_gives_the_longer_life(redis_client):
    generous, strict = store_on(redis_client), store_on(redis_client, ttl_seconds=20)
    first = await say(strict, "a")
    await load(generous, first)
    assert is_renewed(await lives(redis_client, first))
    second = await follow(generous, await say(strict, "x"), "y")
    await pass_time(redis_client, 500)
    assert await inputs_of(strict, second) == ["x", "y"]


async def test_a_key_that_somebody_made_persistent_stays_so(redis_client, store):
    first = await say(store, "a")
    await redis_client.persist(SESSION + first)
    await load(store, first)
    assert await redis_client.ttl(SESSION + first) == -1


async def test_an_expired_response_is_unknown_and_a_fresh_one_has_all_its_turns(redis_client, store):
    first = await say(store, "a")
    await pass_time(redis_client, TTL_SECONDS // 2)
    second = await say(store, "b", await chain_of(store_on(redis_client, ttl_seconds=1), first))
    await pass_time(redis_client, TTL_SECONDS // 2 + SLACK)
    assert await load(store, first) is Miss.UNKNOWN
    assert await inputs_of(store, second) == ["a", "b"]


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


async def test_a_conversation_ends_its_longest_life_after_its_first_turn_however_often_it_is_used(redis_client):
    clock = Clock(1_000_000.5)
    store = store_on(redis_client, max_age_seconds=3_000, clock=clock)
    last = await say(store, "a")
    for text in "bc":
        clock.now += 900
        last = await follow(store, last, text)
    clock.now += 1_190  # 10 seconds before the end
    assert await inputs_of(store, last) == list("abc")
    chain = await chain_of(store, last)
    clock.now += 10
    trips = RoundTrips(redis_client)
    late = store_on(trips, max_age_seconds=3_000, clock=clock)
    assert await load(late, last) is Miss.UNKNOWN
    assert trips.names == ["get"]
    with pytest.raises(NotStored, match="REDIS_SESSION_PATCH_MAX_AGE"):
        await say(late, "d", chain)
    assert trips.names == ["get"]


async def test_near_the_end_of_its_longest_life_a_response_lives_no_longer(redis_client):
    clock = Clock(1_000_000)
    store = store_on(redis_client, max_age_seconds=3_000, clock=clock)
    chain = await chain_of(store, await say(store, "a"))
    clock.now += 2_900
    second = await say(store, "b", chain)
    assert is_about(await redis_client.ttl(SESSION + second), 100)
    assert (await conversation_of(redis_client, second)).path  # Others, without the setting, may still read it.


async def test_without_its_turns_in_redis_a_conversation_that_is_written_anew_is_no_younger(redis_client):
    clock = Clock(1_000_000)
    store = store_on(redis_client, max_age_seconds=3_000, clock=clock)
    chain = await chain_of(store, await say(store, "a"))
    clock.now += 2_000
    await redis_client.flushall()
    second = await say(store, "b", chain)
    assert (await chain_of(store, second)).record.started == 1_000_000
