"""What limits do: over one nothing is moved; the turn is not stored, with a message that names the setting."""

from __future__ import annotations

from dataclasses import replace

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch import conversation as conv
from litellm.responses.litellm_completion_transformation.redis_session_patch.results import Miss, NotStored

from .support.clients import RoundTrips
from .support.stores import ALICE, Moved, chain_of, follow, inputs_of, load, noise_of, say, store_on, talk, turn_of


async def test_a_chain_at_its_limit_is_not_continued_and_stays_readable(redis_client):
    store = store_on(redis_client, max_turns=3)
    ids = await talk(store, "abc")
    with pytest.raises(NotStored, match=r"4 turns.*REDIS_SESSION_PATCH_MAX_TURNS=3"):
        await follow(store, ids[-1], "d", as_id="fourth")
    assert await load(store, "fourth") is Miss.UNKNOWN
    assert await inputs_of(store, ids[-1]) == list("abc")


async def test_the_limit_counts_the_chain_and_not_its_siblings(redis_client):
    store = store_on(redis_client, max_turns=3)
    first, *_ = await talk(store, "abc")
    for text in "xyz":
        assert await inputs_of(store, await follow(store, first, text)) == ["a", text]


def size_of(text: str) -> int:
    return len(conv.encode_turn(replace(turn_of(text), by=(ALICE.tag,)), None))


async def test_a_turn_over_its_limit_is_not_stored_at_all(redis_client):
    size = size_of("x" * 100)
    trips = RoundTrips(redis_client)
    store = store_on(trips, max_turn_bytes=size - 1)
    with pytest.raises(NotStored, match=rf"{size} bytes.*REDIS_SESSION_PATCH_MAX_TURN_BYTES={size - 1}") as caught:
        await say(store, "x" * 100)
    assert "xxx" not in str(caught.value)
    assert trips.names == [] and await redis_client.keys("*") == []


async def test_a_turn_exactly_at_its_limit_is_stored(redis_client):
    store = store_on(redis_client, max_turn_bytes=size_of("x" * 100))
    assert await inputs_of(store, await say(store, "x" * 100)) == ["x" * 100]


async def test_the_limit_on_a_turn_is_not_for_its_conversation(redis_client):
    store = store_on(redis_client, max_turn_bytes=5_000)
    ids = await talk(store, map(noise_of, range(20)))
    assert len((await chain_of(store, ids[-1])).turns) == 20


async def test_a_conversation_over_its_limit_of_bytes_is_not_continued_and_stays_readable(redis_client):
    trips = RoundTrips(redis_client)
    store = store_on(trips, max_conversation_bytes=13_000)
    last = (await talk(store, map(noise_of, range(3))))[-1]
    chain, before = await chain_of(store, last), len(trips.names)
    assert 12_000 < chain.record.size <= 13_000 and chain.record.bytes < 4_000
    with pytest.raises(NotStored, match=r"bytes.*REDIS_SESSION_PATCH_MAX_CONVERSATION_BYTES=13000"):
        await say(store, noise_of(3), chain)
    assert len(trips.names) == before  # Nothing was moved for it.
    assert len(await inputs_of(store, last)) == 3


async def test_the_bytes_are_those_of_the_response_and_not_of_its_siblings(redis_client):
    store = store_on(redis_client, max_conversation_bytes=13_000)
    first = await say(store, noise_of(0))
    assert len({await follow(store, first, noise_of(number)) for number in range(1, 6)}) == 5


@pytest.mark.parametrize("limit", [{"max_turns": 2}, {"max_conversation_bytes": 100}])
async def test_a_conversation_that_is_too_large_for_this_proxy_is_not_moved(redis_client, limit):
    last = (await talk(store_on(redis_client), "abc"))[-1]
    trips, moved = RoundTrips(redis_client), Moved()
    assert await load(store_on(trips, **limit), last, budget=moved) is Miss.TOO_LARGE
    assert trips.names == ["get"] and moved.bytes == []


async def test_a_history_that_is_written_anew_has_the_same_limits(redis_client):
    chain = conv.Chain(tuple(map(turn_of, "abc")))
    with pytest.raises(NotStored, match="4 turns"):
        await say(store_on(redis_client, max_turns=3), "d", chain)
    with pytest.raises(NotStored, match="MAX_CONVERSATION_BYTES"):
        await say(store_on(redis_client, max_conversation_bytes=100), "d", chain)
    assert await redis_client.keys("*") == []


async def test_the_budget_learns_of_the_bytes_before_they_are_moved(redis_client):
    store, written, read = store_on(redis_client), Moved(), Moved()
    last = await say(store, noise_of(0), budget=written)
    chain = await load(store, last, budget=read)
    assert read.bytes == [chain.record.bytes]
    assert len(written.bytes) == 1 and 0 <= written.bytes[0] - chain.record.bytes < 20


async def test_the_record_s_bytes_are_those_in_redis(redis_client, store):
    last = (await talk(store, ["a", noise_of(0), "c" * 5_000]))[-1]
    (turns,) = await redis_client.keys("*:turns")
    sizes = [len(value) for name, value in (await redis_client.hgetall(turns)).items() if name.isdigit()]
    assert (await chain_of(store, last)).record.bytes == sum(sizes) > 1_000


async def test_an_id_that_is_out_and_taken_is_not_stored_under_another(redis_client, store):
    await say(store, "mine", as_id="taken")
    with pytest.raises(NotStored, match="already knows"):
        await say(store, "other", as_id="taken", id_is_out=True)
    assert await inputs_of(store, "taken") == ["mine"]
    assert len(await redis_client.keys("litellm_patch:session:*")) == 1


async def test_an_id_that_is_out_and_free_is_stored_as_it_is(store):
    assert await say(store, "a", as_id="free", id_is_out=True) == "free"
    assert await inputs_of(store, "free") == ["a"]


NO_JSON = [{1, 2}, [object()], [{"role": "user", "content": float("nan")}]]


@pytest.mark.parametrize("text", NO_JSON, ids=map(str, range(len(NO_JSON))))
async def test_what_could_not_be_read_again_is_not_stored(redis_client, store, text):
    with pytest.raises(NotStored, match="cannot be stored"):
        await say(store, conv.Turn(text))
    assert await redis_client.keys("*") == []


async def test_an_answer_that_could_not_be_read_again_is_not_stored(redis_client, store):
    with pytest.raises(NotStored, match="cannot be stored"):
        await say(store, conv.Turn("q", ({"role": "assistant", "tool_calls": [{}]},)))
    assert await redis_client.keys("*") == []


async def test_what_is_too_deep_for_json_is_not_stored(redis_client, store):
    deep: list = []
    for _ in range(5_000):
        deep = [deep]
    with pytest.raises(NotStored, match="RecursionError"):
        await say(store, conv.Turn([{"role": "user", "content": deep}]))
    assert await redis_client.keys("*") == []
