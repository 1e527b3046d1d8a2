"""Responses in the store: there for their owner alone, deleted at once and for good, what follows them whole."""

from __future__ import annotations

from typing import Any

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.conversation import NO_TURNS, Chain, Turn
from litellm.responses.litellm_completion_transformation.redis_session_patch.owner import may_continue
from litellm.responses.litellm_completion_transformation.redis_session_patch.results import Miss, NotStored
from litellm.responses.litellm_completion_transformation.redis_session_patch.store import Reservation, SessionStore

from .support.stores import ALICE, BOB, PREFIX, SESSION, chain_of, follow, inputs_of, load, say, store_on

KEY = b"k" * 32


@pytest.fixture(params=[(), (KEY,)], ids=["plain", "encrypted"])
def store(request, redis_client) -> SessionStore:
    return store_on(redis_client, keys=request.param)


def replied(said: str, text: str) -> Turn:
    answer = {"role": "assistant", "content": text}
    return Turn(said, (answer,), reply={"status": "completed", "output": [{"type": "message", "text": text}]})


async def replies_of(store: SessionStore, response_id: str) -> list[Any]:
    return [turn.reply and turn.reply["output"][0]["text"] for turn in (await chain_of(store, response_id)).turns]


async def delete(store: SessionStore, response_id: str, reader=ALICE) -> Any:
    """`None` where it was there."""
    found = await store.delete(response_id, lambda owner: may_continue(reader, owner))
    return found if isinstance(found, Miss) else None


async def test_every_response_has_its_own_reply(store):
    first = await say(store, replied("a", "one"))
    second = await follow(store, first, Turn("b"))
    third = await follow(store, second, replied("c", "three"))
    assert await replies_of(store, third) == ["one", None, "three"]
    assert await replies_of(store, first) == ["one"]


async def test_a_deleted_response_is_gone_and_what_follows_it_is_whole(store, redis_client):
    first = await say(store, replied("a", "one"))
    second = await follow(store, first, replied("b", "two"))
    assert await delete(store, first, BOB) is Miss.DENIED
    assert await delete(store, first) is None
    assert [await load(store, first), await delete(store, first)] == [Miss.DELETED] * 2
    assert await inputs_of(store, second) == ["a", "b"]
    assert await replies_of(store, second) == ["one", "two"]
    assert await delete(store, second) is None
    left = {key async for key in redis_client.scan_iter(f"{PREFIX}*")}
    texts = [await redis_client.hvals(key) for key in left if key.endswith(b":turns")]
    assert all(value == b"" for values in texts for value in values)
    assert [await load(store, first, BOB), await delete(store, first, BOB)] == [Miss.DENIED] * 2, "as ever"


async def test_of_what_was_deleted_only_what_a_living_response_was_made_from_stays(store, redis_client):
    first = await say(store, replied("a", "one"))
    second = await follow(store, first, replied("b", "two"))
    await follow(store, second, replied("c", "three"))
    other = await follow(store, first, replied("d", "four"))
    await follow(store, other, replied("e", "five"))
    (turns,) = [key async for key in redis_client.scan_iter(f"{PREFIX}*:turns")]
    before = await redis_client.hlen(turns)
    assert await delete(store, second) is None
    assert sum(1 for value in (await redis_client.hgetall(turns)).values() if value) == 5
    assert await redis_client.hlen(turns) == before + 1, "a mark"


async def test_a_deletion_that_failed_half_way_can_be_tried_again(store, redis_client):
    first = await say(store, replied("a", "one"))
    value = await redis_client.get(f"{SESSION}{first}")
    assert await delete(store, first) is None
    await redis_client.set(f"{SESSION}{first}", value, ex=100)
    assert await load(store, first) is Miss.INCOMPLETE
    assert await delete(store, first) is None
    assert await load(store, first) is Miss.DELETED


async def test_a_reader_who_comes_late_does_not_bring_a_deleted_response_back(store, redis_client):
    first = await say(store, replied("a", "one"))
    second = await follow(store, first, replied("b", "two"))
    value = await redis_client.get(f"{SESSION}{first}")
    assert await delete(store, first) is None
    await redis_client.set(f"{SESSION}{first}", value, ex=100)
    assert await load(store, first) is Miss.INCOMPLETE, "though its turn is there for the second"
    assert await delete(store, second) is None
    (turns,) = [key async for key in redis_client.scan_iter(f"{PREFIX}*:turns")]
    assert not any(await redis_client.hvals(turns))


async def test_nothing_follows_a_response_that_was_deleted_meanwhile(store):
    chain = await chain_of(store, first := await say(store, replied("a", "one")))
    await delete(store, first)
    with pytest.raises(NotStored):
        await say(store, "b", chain)


async def test_the_id_of_a_deleted_response_is_not_given_to_another(store, redis_client):
    first = await say(store, "a", as_id="x")
    await delete(store, first)
    assert await redis_client.ttl(f"{SESSION}x") > 0
    assert await say(store, "b", as_id="x") != "x"


@pytest.mark.parametrize("is_first", [True, False])
async def test_a_deleted_response_can_be_replaced_by_another_one(is_first, store):
    before: Chain = NO_TURNS if is_first else await chain_of(store, await say(store, replied("0", "zero")))
    assert await say(store, replied("a", "one"), before, as_id="x") == "x"
    mark = Reservation("x", await store.delete("x", lambda owner: True))
    assert await say(store, replied("a", "*****"), before, as_id="x", id_is_out=True, reservation=mark) == "x"
    assert (await replies_of(store, "x"))[-1] == "*****"
    assert await inputs_of(store, await follow(store, "x", "b")) == [*([] if is_first else ["0"]), "a", "b"]


@pytest.mark.parametrize("value", [b"", b"garbage", b"{}\nP"])
async def test_what_is_no_record_is_not_deleted(value, store, redis_client):
    await redis_client.set(f"{SESSION}x", value, ex=100)
    assert await delete(store, "x") is Miss.UNREADABLE
    assert await redis_client.get(f"{SESSION}x") == value
