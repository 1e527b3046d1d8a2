"""What limits do: over one nothing is moved; the turn is not stored, with a message that names the setting."""

from __future__ import annotations

from dataclasses import replace

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.scripts import GRACE_SECONDS
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.results import Miss, NotStored
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.turns import (
    Chain,
    Turn,
    encode_turn,
)

from .support.clients import Watching
from .support.passing_time import pass_time
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
    noise_of,
    say,
    store_on,
    talk,
    turn_of,
)


def size_of(text: str) -> int:
    return len(encode_turn(turn_of(text), None))


async def test_a_chain_at_its_limit_is_not_continued_and_stays_readable(redis_client):
    store = store_on(redis_client, max_turns=3)
    places, before = await talk(store, "abc"), redis_client.dbsize()
    with pytest.raises(NotStored, match=r"4 turns.*REDIS_SESSION_PATCH_MAX_TURNS=3"):
        await follow(store, places[-1], "d")
    assert redis_client.dbsize() == before
    assert await inputs_of(store, places[-1]) == list("abc")


async def test_a_conversation_of_as_many_branches_is_full_and_what_follows_begins_another(redis_client):
    store = store_on(redis_client, max_turns=3)
    first = await say(store, "a")
    assert not (await chain_of(store, await follow(store, first, "b"))).is_full
    last = await follow(store, first, "c")
    assert (await chain_of(store, first)).is_full
    new = await follow(store, first, "d")
    assert new.conversation != last.conversation == first.conversation
    assert await inputs_of(store, new) == ["a", "d"]
    assert [await inputs_of(store, each) for each in (first, last)] == [["a"], ["a", "c"]]
    assert not (await chain_of(store, new)).is_full


async def test_a_turn_over_its_limit_is_not_stored_at_all(redis_client):
    size, watching = size_of("x" * 100), Watching(redis_client)
    store = store_on(watching, max_turn_bytes=size - 1)
    with pytest.raises(NotStored, match=rf"{size} bytes.*REDIS_SESSION_PATCH_MAX_TURN_BYTES={size - 1}") as caught:
        await say(store, "x" * 100)
    assert "xxx" not in str(caught.value) and watching.names == []


async def test_a_turn_exactly_at_its_limit_is_stored(redis_client):
    store = store_on(redis_client, max_turn_bytes=size_of("x" * 100))
    assert await inputs_of(store, await say(store, "x" * 100)) == ["x" * 100]


async def test_the_limit_on_a_turn_is_not_for_its_conversation(redis_client):
    store = store_on(redis_client, max_turn_bytes=5_000)
    places = await talk(store, map(noise_of, range(20)))
    assert len((await chain_of(store, places[-1])).turns) == 20


async def test_a_conversation_over_its_limit_of_bytes_is_not_continued_and_stays_readable(redis_client):
    """By its text, which may be much more than what it is packed to."""
    watching = Watching(redis_client)
    store = store_on(watching, max_conversation_bytes=13_000)
    last = (await talk(store, map(noise_of, range(3))))[-1]
    chain, before = await chain_of(store, last), len(watching.names)
    assert 12_000 < chain.tip.size <= 13_000 and chain.tip.bytes < 5_000
    with pytest.raises(NotStored, match=r"bytes.*REDIS_SESSION_PATCH_MAX_CONVERSATION_BYTES=13000"):
        await say(store, noise_of(3), chain)
    assert len(watching.names) == before
    assert len(await inputs_of(store, last)) == 3


async def test_the_bytes_are_those_of_the_response_and_not_of_its_siblings(redis_client):
    store = store_on(redis_client, max_conversation_bytes=13_000)
    first = await say(store, noise_of(0))
    assert len({await follow(store, first, noise_of(number)) for number in range(1, 6)}) == 5


@pytest.mark.parametrize("limit", [{"max_turns": 2}, {"max_conversation_bytes": 100}])
async def test_a_conversation_that_is_too_large_for_this_proxy_is_not_moved(redis_client, store, limit):
    last = (await talk(store, "abc"))[-1]
    replies: list[object] = []
    watching = Watching(redis_client)
    watching.changed = lambda name, result: replies.append(result) or result
    assert await load(store_on(watching, **limit), last) is Miss.TOO_LARGE
    assert replies == [[b"too_large"]]


async def test_a_history_that_is_written_anew_has_the_same_limits(redis_client):
    chain = Chain(tuple(map(turn_of, "abc")))
    with pytest.raises(NotStored, match="4 turns"):
        await say(store_on(redis_client, max_turns=3), "d", chain)
    with pytest.raises(NotStored, match="MAX_CONVERSATION_BYTES"):
        await say(store_on(redis_client, max_conversation_bytes=100), "d", chain)
    assert redis_client.keys("*") == []


async def test_an_owner_s_conversations_take_no_more_than_they_may(redis_client):
    """About two turns."""
    store = store_on(redis_client, max_owner_bytes=3_000)
    first = await say(store, noise_of(1))
    last = await follow(store, first, noise_of(2))
    for refused in (say(store, noise_of(3)), follow(store, last, noise_of(3))):
        with pytest.raises(NotStored, match="REDIS_SESSION_PATCH_MAX_OWNER_BYTES=3000"):
            await refused
    assert await inputs_of(store, last) == [noise_of(1), noise_of(2)]
    counted = redis_client.hgetall(f"{PREFIX}{{{ALICE.identity}}}:sizes")
    stored = sum(len(value) for name, value in redis_client.hgetall(keys_of(first)[0]).items() if name.isdigit())
    assert {name.decode(): int(size) for name, size in counted.items()} == {first.conversation: stored, "all": stored}
    assert isinstance(await load(store, await say(store, noise_of(3), owner=BOB), BOB), Chain)


async def test_an_owner_has_room_again_for_what_has_ended_alone(redis_client):
    store = store_on(redis_client, max_owner_bytes=3_000)
    await say(store, noise_of(1))
    pass_time(redis_client, 500)
    await say(store, noise_of(2))
    pass_time(redis_client, TTL_SECONDS + GRACE_SECONDS - 499)
    await say(store, noise_of(3))
    with pytest.raises(NotStored):
        await say(store, noise_of(4))
    pass_time(redis_client, TTL_SECONDS + GRACE_SECONDS + 1)
    assert redis_client.keys("*") == []


@pytest.mark.parametrize("most", [1, 3_000])
async def test_what_counts_an_owner_s_bytes_expires(redis_client, most):
    store = store_on(redis_client, max_owner_bytes=most)
    with pytest.raises(NotStored):
        for number in range(3):
            await say(store, noise_of(number))
    keys = redis_client.keys("*")
    assert keys and all(redis_client.ttl(key) > 0 for key in keys)


def too_deep() -> list:
    deep: list = []
    for _ in range(5_000):
        deep = [deep]
    return deep


UNREADABLE = {
    "a set": Turn({1, 2}),
    "an object": Turn([object()]),
    "no number": Turn([{"role": "user", "content": float("nan")}]),
    "too deep": Turn([{"role": "user", "content": too_deep()}]),
    "an answer of anything": Turn("q", ({"role": "assistant", "content": object()},)),
}


@pytest.mark.parametrize("turn", UNREADABLE.values(), ids=UNREADABLE)
async def test_what_could_not_be_read_again_is_not_stored(redis_client, store, turn):
    with pytest.raises(NotStored, match="cannot be stored"):
        await say(store, replace(turn, session_id="trace"))
    assert redis_client.keys("*") == []
