"""The time to live counts from the last use, is only ever made longer, and covers all that a response needs."""

from __future__ import annotations

import time
from typing import Any

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.values.ids import Place
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.results import Miss, NotStored

from .support.erasures import erase_all_of
from .support.passing_time import now_at, pass_time
from .support.stores import ALICE, BOB, TTL_SECONDS, chain_of, follow, inputs_of, keys_of, load, say, store_on, talk

SLACK = 10  # Seconds that a slow machine may take.
GRACE = 60  # Seconds by which README lets turns outlive their response.


def is_about(actual: float, expected: int) -> bool:
    return expected - SLACK <= actual <= expected


def life_of(client: Any, place: Place) -> float:
    """Seconds that a response still lives."""
    return client.zscore(keys_of(place)[2], place.turn) - now_at(client)


def lives_of_keys(client: Any, place: Place) -> list[int]:
    return [client.ttl(key) for key in keys_of(place)]


async def test_a_response_lives_as_long_as_configured_and_its_turns_a_minute_longer(redis_client, store):
    """So no response leads to expired turns."""
    place = await say(store, "a")
    assert is_about(life_of(redis_client, place), TTL_SECONDS)
    turns, tree, lives = keys_of(place)
    with redis_client.pipeline() as asked:
        asked.time().zscore(lives, place.turn).pttl(turns).pttl(tree).pttl(lives)
        (seconds, microseconds), ends, *left = asked.execute()
    for milliseconds in left:
        longer = seconds + (microseconds + 1_000 * milliseconds) / 1_000_000 - ends
        assert GRACE - 0.01 < longer < GRACE + 1.01  # A life ends with a whole second.


async def test_a_use_renews_a_response_and_the_keys_but_not_what_came_after(redis_client, store):
    first, second = await talk(store, "ab")
    pass_time(redis_client, 500)
    await chain_of(store, first)
    assert is_about(life_of(redis_client, first), TTL_SECONDS)
    assert is_about(life_of(redis_client, second), TTL_SECONDS - 500)
    assert all(is_about(left, TTL_SECONDS + GRACE) for left in lives_of_keys(redis_client, first))


async def test_neither_a_stranger_s_request_nor_a_deletion_renews_a_response(redis_client, store):
    first, second = await talk(store, "ab")
    pass_time(redis_client, 500)
    await load(store, first, BOB)
    await store.delete(second, ALICE)
    assert is_about(life_of(redis_client, first), TTL_SECONDS - 500)


async def test_a_use_at_the_last_moment_keeps_all_turns_for_a_whole_life(redis_client, store):
    places = await talk(store, "abc")
    for _ in range(3):
        pass_time(redis_client, TTL_SECONDS - SLACK)
        assert await inputs_of(store, places[-1]) == list("abc")


async def test_a_second_after_its_end_a_response_is_unknown_though_its_turns_are_there(redis_client, store):
    place = await say(store, "a")
    pass_time(redis_client, TTL_SECONDS + 1)
    assert redis_client.exists(*keys_of(place)) == 3
    assert await load(store, place) is Miss.UNKNOWN


async def test_a_proxy_with_a_shorter_setting_never_shortens_a_life(redis_client, store):
    strict = store_on(redis_client, ttl_seconds=20)
    first = await say(store, "a")
    second = await follow(strict, first, "b")
    await load(strict, first)
    assert is_about(life_of(redis_client, first), TTL_SECONDS)
    assert is_about(life_of(redis_client, second), 20)
    pass_time(redis_client, 500)
    assert await load(store, second) is Miss.UNKNOWN
    assert await inputs_of(store, first) == ["a"]


async def test_a_proxy_with_a_longer_setting_gives_the_longer_life(redis_client, store):
    first = await say(store_on(redis_client, ttl_seconds=20), "a")
    await load(store, first)
    assert is_about(life_of(redis_client, first), TTL_SECONDS)


@pytest.mark.parametrize("left_seconds", [5, 5_000])
@pytest.mark.parametrize("script", ["END", "ERASE"])
async def test_the_mark_of_a_deleted_response_lives_as_long_as_its_turns_could(
    redis_client, store, script, left_seconds
):
    """A full Redis may evict first what ends first."""
    place = await say(store, "a")
    redis_client.expire(keys_of(place)[0], left_seconds)
    await (store.delete(place, ALICE) if script == "END" else erase_all_of(redis_client))
    left = redis_client.ttl(keys_of(place)[0])
    assert is_about(left, max(TTL_SECONDS + GRACE, left_seconds))


def make_older(client: Any, place: Place, seconds: int) -> None:
    """The conversation, as if it had begun so much earlier."""
    whose, began = client.hget(keys_of(place)[0], "about").split()
    client.hset(keys_of(place)[0], "about", b"%s %d" % (whose, int(began) - seconds))


async def test_a_conversation_ends_its_longest_life_after_its_first_turn_however_often_it_is_used(redis_client):
    store = store_on(redis_client, max_age_seconds=3_000)
    places = await talk(store, "abc")
    make_older(redis_client, places[0], 3_000 - SLACK)
    chain = await chain_of(store, places[-1])
    assert [turn.items for turn in chain.turns] == list("abc")
    make_older(redis_client, places[0], SLACK)
    assert await load(store, places[-1]) is Miss.UNKNOWN
    with pytest.raises(NotStored, match="REDIS_SESSION_PATCH_MAX_AGE"):
        await say(store, "d", chain)


async def test_near_the_end_of_its_longest_life_a_response_lives_no_longer(redis_client):
    store = store_on(redis_client, max_age_seconds=3_000)
    first = await say(store, "a")
    make_older(redis_client, first, 2_900)
    assert is_about(life_of(redis_client, await follow(store, first, "b")), 100)


async def test_a_conversation_begins_by_redis_clock(redis_client, monkeypatch):
    """A worker's own may be hours behind."""
    monkeypatch.setattr(time, "time", lambda: 0.0)
    store, before = store_on(redis_client, max_age_seconds=3_000), now_at(redis_client)
    assert before <= (await chain_of(store, await say(store, "a"))).tip.started <= now_at(redis_client)


async def test_a_conversation_that_is_written_anew_is_no_younger(redis_client, store):
    chain = await chain_of(store, first := await say(store, "a"))
    make_older(redis_client, first, 2_000)
    old = await chain_of(store, first)
    assert old.tip.started == chain.tip.started - 2_000
    redis_client.flushall()
    second = await say(store, "b", old)
    assert (await chain_of(store, second)).tip.started == old.tip.started
