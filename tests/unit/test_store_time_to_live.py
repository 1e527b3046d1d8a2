"""The time to live counts from the last use, and turns outlive every response that needs them."""

from __future__ import annotations

from typing import Any

from litellm.responses.litellm_completion_transformation.redis_session_patch.store import TURNS_GRACE_SECONDS

from .support.stores import SESSION, TTL_SECONDS, TURNS, chain_of, follow, inputs_of, load, say, store_on, talk

SLACK = 10  # Seconds that a slow machine may take.


async def lives(client: Any, response_id: str) -> tuple[int, int]:
    """Seconds left of a response and of its turns, without renewing them."""
    (turns,) = await client.keys(TURNS + "*")
    return await client.ttl(SESSION + response_id), await client.ttl(turns)


async def age(client: Any, seconds: int) -> None:
    """Makes every key that many seconds older."""
    for key in await client.keys("*"):
        await client.expire(key, await client.ttl(key) - seconds)


def is_about(actual: int, expected: int) -> bool:
    return expected - SLACK <= actual <= expected


async def test_every_key_has_a_life(any_client):
    store = store_on(any_client)
    await talk(store, "abc")
    assert all([await any_client.ttl(key) > 0 for key in await any_client.keys("*")])


async def test_storing_gives_the_configured_life(any_client):
    response_id = await say(store_on(any_client), "a")
    session, turns = await lives(any_client, response_id)
    assert is_about(session, TTL_SECONDS) and is_about(turns, TTL_SECONDS + TURNS_GRACE_SECONDS)


async def test_a_follow_up_renews_the_response_and_its_turns(any_client):
    store = store_on(any_client)
    first, second = await talk(store, "ab")
    await age(any_client, 500)
    await chain_of(store, first)
    session, turns = await lives(any_client, first)
    assert is_about(session, TTL_SECONDS) and is_about(turns, TTL_SECONDS + TURNS_GRACE_SECONDS)
    assert await any_client.ttl(SESSION + second) <= TTL_SECONDS - 500  # A sibling's own life is not renewed.


async def test_storing_a_turn_renews_the_turns_before_it(any_client):
    store = store_on(any_client)
    chain = await chain_of(store, await say(store, "a"))
    await age(any_client, 500)
    second = await say(store, "b", chain)
    session, turns = await lives(any_client, second)
    assert is_about(session, TTL_SECONDS) and is_about(turns, TTL_SECONDS + TURNS_GRACE_SECONDS)


async def test_turns_outlive_the_responses_after_the_setting_was_lowered(any_client):
    generous, strict = store_on(any_client), store_on(any_client, ttl_seconds=20)
    first = await say(generous, "a")
    second = await follow(strict, first, "b")
    assert await any_client.ttl(SESSION + second) <= 20
    # The first response is still as old as the generous setting let it become, were it not read since.
    await any_client.expire(SESSION + first, TTL_SECONDS)
    await load(strict, second)
    session, turns = await lives(any_client, first)
    assert turns > session > 20


async def test_the_longer_life_is_passed_on_to_every_later_turn(any_client):
    first = await say(store_on(any_client), "a")
    strict = store_on(any_client, ttl_seconds=20)
    last = first
    for text in "bcd":
        last = await follow(strict, last, text)
    await any_client.expire(SESSION + first, TTL_SECONDS)
    await load(strict, last)
    session, turns = await lives(any_client, first)
    assert turns > session


async def test_after_the_setting_was_raised_turns_outlive_the_response_too(any_client):
    first = await say(store_on(any_client, ttl_seconds=20), "a")
    second = await follow(store_on(any_client), first, "b")
    session, turns = await lives(any_client, second)
    assert turns > session > 20


async def test_expired_responses_are_gone_and_fresh_ones_have_all_their_turns(any_client):
    store = store_on(any_client)
    first, second = await talk(store, "ab")
    await any_client.pexpire(SESSION + first, 1)
    while await any_client.exists(SESSION + first):
        pass
    assert (await load(store, first)).value == "unknown"
    assert await inputs_of(store, second) == ["a", "b"]
