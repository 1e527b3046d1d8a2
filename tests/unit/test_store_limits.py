"""What limits do: a turn over one is skipped, whole, with a message that names the setting."""

from __future__ import annotations

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch import conversation as conv
from litellm.responses.litellm_completion_transformation.redis_session_patch.store import Miss, Skipped

from .support.stores import chain_of, follow, inputs_of, load, say, store_on, talk, turn_of


async def test_a_chain_at_its_limit_is_not_continued_and_stays_readable(any_client):
    store = store_on(any_client, max_turns=3)
    ids = await talk(store, "abc")
    with pytest.raises(Skipped, match=r"3 turns.*REDIS_SESSION_PATCH_MAX_TURNS"):
        await follow(store, ids[-1], "d", as_id="fourth")
    assert await load(store, "fourth") is Miss.UNKNOWN
    assert await inputs_of(store, ids[-1]) == list("abc")


async def test_the_limit_counts_the_chain_and_not_its_siblings(any_client):
    store = store_on(any_client, max_turns=3)
    first, *_ = await talk(store, "abc")
    for text in "xyz":
        assert await inputs_of(store, await follow(store, first, text)) == ["a", text]


async def test_a_turn_over_its_limit_is_not_stored_at_all(any_client):
    size = len(conv.encode_turn(turn_of("x" * 100)))
    store = store_on(any_client, max_turn_bytes=size - 1)
    with pytest.raises(Skipped, match=rf"{size} bytes.*REDIS_SESSION_PATCH_MAX_TURN_BYTES={size - 1}") as caught:
        await say(store, "x" * 100)
    assert "xxx" not in str(caught.value)
    assert await any_client.keys("*") == []


async def test_a_turn_exactly_at_its_limit_is_stored(any_client):
    store = store_on(any_client, max_turn_bytes=len(conv.encode_turn(turn_of("x" * 100))))
    assert await inputs_of(store, await say(store, "x" * 100)) == ["x" * 100]


async def test_the_limit_on_bytes_is_for_a_turn_and_not_for_its_conversation(any_client):
    store = store_on(any_client, max_turn_bytes=2_000)
    ids = await talk(store, ["x" * 500] * 20)
    assert len((await chain_of(store, ids[-1])).turns) == 20


async def test_an_id_that_is_out_and_taken_is_not_stored_under_another(any_client):
    store = store_on(any_client)
    await say(store, "mine", as_id="taken")
    with pytest.raises(Skipped, match="already knows"):
        await say(store, "other", as_id="taken", id_is_out=True)
    assert await inputs_of(store, "taken") == ["mine"]
    assert len(await any_client.keys("litellm_patch:session:*")) == 1


async def test_an_id_that_is_out_and_free_is_stored_as_it_is(any_client):
    store = store_on(any_client)
    assert await say(store, "a", as_id="free", id_is_out=True) == "free"
    assert await inputs_of(store, "free") == ["a"]
