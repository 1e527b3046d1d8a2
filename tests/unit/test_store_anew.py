"""What Redis lost is written anew with the next turn, unless somebody in it was deleted or erased meanwhile."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import replace
from typing import Any

import pytest
from redis import Redis

from litellm.responses.litellm_completion_transformation.redis_session_patch.redis import scripts
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.store import erased_key, run_script
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.ids import (
    Place,
    new_conversation,
    new_turn,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.owner import Owner, digest_of
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.results import Miss, NotStored
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.turns import Chain

from .support.clients import Interposed, Watching
from .support.passing_time import now_at
from .support.stores import (
    ALICE,
    BOB,
    PREFIX,
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
from .support.waiting import until

CUSTOMER = replace(ALICE, claimed_end_user=digest_of("customer"))
PARTS = [
    ("user", ALICE.user),
    ("team", ALICE.team),
    ("key_hash", ALICE.key),
    ("end_user", digest_of("customer")),
]


def mark_erased(client: Redis, part: str, digest: str | None, seconds_ago: int = 0) -> None:
    client.set(erased_key(PREFIX, part, digest or ""), now_at(client) - seconds_ago, ex=TTL_SECONDS)


def people_of(client: Redis, place: Place) -> set[str]:
    return set(client.hget(keys_of(place)[0], "by").decode().split())


@pytest.fixture
async def chain(store) -> Chain:
    """A customer's turn and one of the same key without a customer."""
    first = await say(store, "a", owner=CUSTOMER)
    return await chain_of(store, await follow(store, first, "b"))


@pytest.mark.parametrize("lost", [(0,), (1,), (0, 1), (0, 1, 2)], ids=["turns", "tree", "both", "everything"])
async def test_a_turn_whose_history_is_lost_is_stored_with_it_and_with_everybody_in_it(
    redis_client, store, chain, lost
):
    redis_client.delete(*(keys_of(chain.tip.place)[number] for number in lost))
    child = await say(store, "c", chain)
    assert child.conversation == chain.tip.place.conversation
    assert await inputs_of(store, child) == ["a", "b", "c"]
    assert await inputs_of(store, await follow(store, child, "d")) == ["a", "b", "c", "d"]
    assert people_of(redis_client, child) == {ALICE.tag, CUSTOMER.tag}
    assert isinstance(await load(store, chain.tip.place), Miss)  # A part of it would pose as the whole.


async def test_what_the_database_gave_is_stored_with_everybody_in_it(redis_client, store):
    given = Chain((turn_of("a", CUSTOMER), replace(turn_of("b"), by=())))
    place = await say(store, "c", given)
    assert await inputs_of(store, place) == ["a", "b", "c"]
    assert people_of(redis_client, place) == {ALICE.tag, CUSTOMER.tag}


async def test_everybody_who_took_part_is_known_of_a_conversation_and_each_once(redis_client, store, chain):
    for owner in (ALICE, CUSTOMER, ALICE):
        await follow(store, chain.tip.place, "c", owner=owner)
    tags = redis_client.hget(keys_of(chain.tip.place)[0], "by").decode().split()
    assert sorted(tags) == sorted({ALICE.tag, CUSTOMER.tag})


@pytest.mark.parametrize(("part", "digest"), PARTS, ids=[part for part, _ in PARTS])
async def test_it_is_taken_back_once_one_of_its_people_was_erased(redis_client, store, chain, part, digest):
    redis_client.flushdb()
    mark_erased(redis_client, part, digest)
    with pytest.raises(NotStored, match="erased meanwhile"):
        await say(store, "c", chain)
    assert set(redis_client.hkeys(keys_of(chain.tip.place)[0])) == {b"x", b"about"}
    assert redis_client.exists(*keys_of(chain.tip.place)) == 1


async def test_nothing_is_written_anew_while_an_erasure_runs(redis_client, store, chain):
    """Nor after one that failed half-way, which is to be run again."""
    redis_client.flushdb()
    redis_client.set(erased_key(PREFIX, "user", ALICE.user or ""), "running")
    with pytest.raises(NotStored, match="erased meanwhile"):
        await say(store, "c", replace(chain, asked_at=time.monotonic()))


@pytest.mark.parametrize(("asked_ago", "is_stored"), [(50, True), (61, False)])
async def test_an_erasure_before_the_history_was_asked_for_takes_nothing_back(
    redis_client, store, chain, asked_ago, is_stored
):
    redis_client.flushdb()
    mark_erased(redis_client, "user", ALICE.user, seconds_ago=60)
    old = replace(chain, asked_at=time.monotonic() - asked_ago)
    if is_stored:
        assert await inputs_of(store, await say(store, "c", old)) == ["a", "b", "c"]
    else:
        with pytest.raises(NotStored, match="erased meanwhile"):
            await say(store, "c", old)


async def test_the_erasure_of_somebody_else_takes_nothing_back(redis_client, store, chain):
    redis_client.flushdb()
    mark_erased(redis_client, "user", BOB.user)
    assert await inputs_of(store, await say(store, "c", chain)) == ["a", "b", "c"]


async def test_a_turn_that_follows_one_in_redis_asks_for_no_erasure(redis_client, store, chain):
    """The erasure found its conversation; and whoever was erased may go on anew."""
    mark_erased(redis_client, "user", ALICE.user)
    assert await inputs_of(store, await say(store, "c", chain)) == ["a", "b", "c"]


async def deleted(client: Redis, store: Any, place: Place) -> None:
    await store.delete(place, ALICE)


async def erased(client: Redis, store: Any, place: Place) -> None:
    run_script(client, scripts.ERASE, keys_of(place), TTL_SECONDS)


@pytest.mark.parametrize("end", [deleted, erased])
async def test_what_is_still_under_way_does_not_bring_back_what_was_ended_on_purpose(redis_client, store, chain, end):
    await end(redis_client, store, chain.tip.place)
    with pytest.raises(NotStored, match="deleted or erased meanwhile"):
        await say(store, "c", chain)
    assert await load(store, chain.tip.place) is Miss.DELETED


async def test_a_conversation_of_its_own_does_not_bring_back_a_deleted_response(redis_client, store, chain):
    """Where the one before has as many turns as it may."""
    await store.delete(chain.tip.place, ALICE)
    place = Place(new_conversation(), new_turn())
    with pytest.raises(NotStored, match="deleted or erased meanwhile"):
        await store.append(place, [turn_of("c")], chain, ALICE)
    assert await load(store, place) is Miss.DELETED
    assert set(redis_client.hkeys(keys_of(place)[0])) == {b"x", b"about"}


async def test_who_took_part_is_asked_for_though_the_client_has_left(redis_client, store, chain):
    redis_client.flushdb()
    mark_erased(redis_client, "user", ALICE.user)
    goes_on = threading.Event()
    waiting = Interposed(redis_client, after=lambda name: name != "append" or goes_on.wait(10))
    storing = asyncio.ensure_future(say(store_on(waiting), "c", chain))
    await until(lambda: redis_client.exists(keys_of(chain.tip.place)[1]) == 1)
    storing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await storing
    goes_on.set()
    await until(lambda: redis_client.exists(keys_of(chain.tip.place)[1]) == 0)


async def test_each_mark_is_asked_for_once_however_many_turns_have_it(redis_client, chain):
    redis_client.flushdb()
    watching = Watching(redis_client)
    await say(store_on(watching), "c", chain)
    assert watching.names.count("erased_ago") == len({part for part, _ in PARTS})


async def test_a_turn_stays_with_its_owner_when_its_conversation_s_name_is_another_s(redis_client, store):
    """A name of eight random bytes does not happen twice; whoever knows one must not write there."""
    theirs = (await talk(store, "ab"))[-1]
    mine = Chain((turn_of("x", BOB),))
    with pytest.raises(NotStored):
        await store.append(Place(theirs.conversation, "1"), [turn_of("y", BOB)], mine, BOB)
    assert await inputs_of(store, theirs) == ["a", "b"]
    assert isinstance(await load(store, theirs, Owner(key="k")), Miss)
