"""What one use of a conversation takes out. That all is taken out, and nothing else, test_store_model.py shows."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.values.ids import Place
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.results import Miss
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.turns import Chain

from .support.clients import Interposed
from .support.passing_time import pass_time
from .support.stores import (
    ALICE,
    TTL_SECONDS,
    chain_of,
    follow,
    inputs_of,
    keys_of,
    load,
    say,
    store_on,
    talk,
    turn_of,
)

AT_ONCE = 100  # turns, so that one tenant's conversation does not hold Redis for others


def turns_in(client: Any, place: Place) -> int:
    turns, tree, _ = keys_of(place)
    stored = sum(name.isdigit() for name in client.hkeys(turns))
    assert stored == client.zcard(tree)
    return stored


def hang_on(client: Any, place: Place, turns: list[tuple[int, int]], ended: list[int]) -> None:
    """Adds ``turns``, each with the one before it, whose responses have ended; those in ``ended`` are the last ones."""
    for number, before in turns:
        client.hset(keys_of(place)[0], str(number), b"1 1 1 1 \nP")
        client.zadd(keys_of(place)[1], {str(number): before})
    for number in ended:
        client.zadd(keys_of(place)[2], {str(number): 5})


BRANCHES = [(number, 0) for number in range(1_001, 1_251)]
LINE = [(number, number - 1 if number > 1_001 else 0) for number in range(1_001, 1_251)]


@pytest.mark.parametrize(("turns", "ended"), [(BRANCHES, 250), (LINE, 1)], ids=["branches", "line"])
@pytest.mark.parametrize("use", ["read", "store"])
async def test_one_use_takes_out_a_hundred_turns_and_the_next_ones_the_others(redis_client, store, turns, ended, use):
    first = await say(store, "a")
    hang_on(redis_client, first, turns, [number for number, _ in turns[-ended:]])
    left = []
    for _ in range(3):
        pass_time(redis_client, 1)  # Else there is no life to renew.
        await (load(store, first) if use == "read" else follow(store, first, "b"))
        left.append(redis_client.hlen(keys_of(first)[0]))
    fresh = [number + 1 for number in range(3)] if use == "store" else [0] * 3
    about = 1 + 2  # the first turn; whose it is, and who took part
    uses = {"read": 1, "store": 2}[use]  # A follow-up reads before it stores.
    expected = [max(0, 250 - AT_ONCE * uses * (number + 1)) for number in range(3)]
    assert left == [about + new + rest for new, rest in zip(fresh, expected, strict=True)]
    assert await inputs_of(store, first) == ["a"]


@pytest.mark.parametrize("others", ["never lived", "have ended"])
async def test_a_deletion_takes_out_a_hundred_turns_a_command_until_its_mark_alone_is_there(
    redis_client, store, others
):
    """Of a history that is written anew, the last response alone lives."""
    last = await say(store, "last", Chain(tuple(map(turn_of, map(str, range(249))))))
    turns, tree, lives = keys_of(last)
    if others == "have ended":
        redis_client.zadd(lives, {turn: 5 for turn in redis_client.zrange(tree, 0, -1) if turn != last.turn.encode()})
    left = [250]
    watching = Interposed(redis_client, after=lambda name: left.append(redis_client.zcard(tree)))
    assert await store_on(watching).delete(last, ALICE) is None
    assert left[-1] == 0 and all(before - after <= AT_ONCE for before, after in pairwise(left))
    assert redis_client.keys("*") == [turns.encode()]
    assert set(redis_client.hkeys(turns)) == {b"about", f"x{last.turn}".encode()}


async def test_when_nobody_comes_back_redis_itself_removes_everything(redis_client, store):
    first = await say(store, "a")
    await follow(store, first, "b")
    pass_time(redis_client, TTL_SECONDS + 61)
    assert redis_client.keys("*") == []


async def test_of_many_follow_ups_of_one_response_over_lifetimes_what_is_live_stays(redis_client, store):
    base = await say(store, "base")
    for _ in range(6):
        chain = await chain_of(store, base)
        for _ in range(25):
            await say(store, "follow-up", chain)
        pass_time(redis_client, TTL_SECONDS // 2 + 50)  # After two of them a life and its grace are over.
        assert turns_in(redis_client, base) <= 1 + 3 * 25
    assert await inputs_of(store, base) == ["base"]


async def test_when_the_last_response_is_deleted_no_text_stays(redis_client, store):
    places = await talk(store, "abc")
    for place in places:
        assert await store.delete(place, ALICE) is None
        assert await load(store, place) is Miss.DELETED
    fields = redis_client.hgetall(keys_of(places[0])[0])
    assert set(fields) == {b"about", *(f"x{place.turn}".encode() for place in places)}
    assert redis_client.exists(*keys_of(places[0])) == 1
