"""Values that somebody else wrote: they cost next to nothing and are misses."""

from __future__ import annotations

import json
from typing import Any
from zlib import crc32

import pytest
from redis.exceptions import ResponseError

from litellm.responses.litellm_completion_transformation.redis_session_patch.conversation import Turn
from litellm.responses.litellm_completion_transformation.redis_session_patch.packing import pack
from litellm.responses.litellm_completion_transformation.redis_session_patch.results import Miss, OddValue
from litellm.responses.litellm_completion_transformation.redis_session_patch.store import Reservation

from .support.clients import Garbling
from .support.inside import conversation_of
from .support.stores import SESSION, Moved, chain_of, inputs_of, load, say, store_on, talk


async def change_record(client: Any, response_id: str, **fields: Any) -> None:
    """A field given as ``...`` is taken out."""
    head, _, rest = (await client.get(SESSION + response_id)).partition(b"\n")
    changed = {**json.loads(head), **fields}
    kept = {name: value for name, value in changed.items() if value is not ...}
    await client.set(SESSION + response_id, json.dumps(kept).encode() + b"\n" + rest)


@pytest.mark.parametrize(
    "fields, miss",
    [
        ({"n": 2_000}, Miss.INCOMPLETE),
        ({"n": 2_001}, Miss.TOO_LARGE),
        ({"n": (1 << 48) - 1}, Miss.TOO_LARGE),
        ({"n": 1 << 48}, Miss.UNREADABLE),
        ({"n": 10**4_000}, Miss.UNREADABLE),
        ({"n": 2}, Miss.INCOMPLETE),
        ({"n": 4}, Miss.INCOMPLETE),
        ({"n": 0}, Miss.UNREADABLE),
        ({"n": -3}, Miss.UNREADABLE),
        ({"n": 3.0}, Miss.UNREADABLE),
        ({"n": True}, Miss.UNREADABLE),
        ({"n": "3"}, Miss.UNREADABLE),
        ({"n": ...}, Miss.UNREADABLE),
        ({"b": (1 << 48) - 1}, Miss.TOO_LARGE),
        ({"b": 1}, Miss.INCOMPLETE),
        ({"b": None}, Miss.UNREADABLE),
        ({"s": (1 << 48) - 1}, Miss.TOO_LARGE),
        ({"s": 1_000_000}, Miss.UNREADABLE),
        ({"s": 0, "k": 0}, Miss.UNREADABLE),
        ({"s": ...}, Miss.UNREADABLE),
        ({"k": 17}, Miss.UNREADABLE),
        ({"k": "17"}, Miss.UNREADABLE),
        ({"t": "1"}, Miss.INCOMPLETE),
        ({"t": "0"}, Miss.UNREADABLE),
        ({"t": "9" * 16}, Miss.UNREADABLE),
        ({"t": "oalice"}, Miss.UNREADABLE),
        ({"t": 7}, Miss.UNREADABLE),
        ({"t": "٣"}, Miss.UNREADABLE),
        ({"c": "another"}, Miss.INCOMPLETE),
        ({"c": "}:*"}, Miss.UNREADABLE),
        ({"c": "x" * 33}, Miss.UNREADABLE),
        ({"c": ""}, Miss.UNREADABLE),
        ({"c": "é"}, Miss.UNREADABLE),
        ({"a": "yesterday"}, Miss.UNREADABLE),
        ({"a": -1}, Miss.UNREADABLE),
        ({"o": None}, Miss.UNREADABLE),
        ({"o": ["alice"]}, Miss.UNREADABLE),
        ({"o": [1, 2, 3, 4]}, Miss.UNREADABLE),
        ({"o": ["\ud800", None]}, Miss.UNREADABLE),
        ({"o": [None] * 3}, Miss.DENIED),
        ({"v": 3}, Miss.UNREADABLE),
        ({"v": ...}, Miss.UNREADABLE),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_a_record_that_says_what_cannot_be_is_a_miss(redis_client, store, fields, miss):
    last = (await talk(store, "abc"))[-1]
    await change_record(redis_client, last, **fields)
    moved = Moved()
    assert await load(store, last, budget=moved) is miss
    assert sum(moved.bytes) < 10_000


async def test_a_record_that_names_another_conversation_s_turns_is_read_by_its_own_owner_only(redis_client, store):
    """Whoever can write records is above the proxy; the place of an encrypted one is bound to its id instead."""
    mine, other = (await talk(store, "ab"))[-1], (await talk(store, "xyz"))[-1]
    record = (await chain_of(store, other)).record
    await change_record(redis_client, mine, c=record.conversation)
    assert await load(store, mine) is Miss.INCOMPLETE


async def test_unknown_fields_are_ignored(redis_client, store):
    last = (await talk(store, "ab"))[-1]
    await change_record(redis_client, last, surprise={"a": 1}, o=[*await owner_in(redis_client, last), "more"])
    assert await inputs_of(store, last) == ["a", "b"]
    assert await inputs_of(store, await say(store, "c", await chain_of(store, last))) == ["a", "b", "c"]


async def owner_in(client: Any, response_id: str) -> list[Any]:
    return json.loads((await client.get(SESSION + response_id)).partition(b"\n")[0])["o"]


async def put_text(client: Any, response_id: str, text: bytes) -> None:
    """As the whole text of a response of one turn; its record fits."""
    conversation = await conversation_of(client, response_id)
    piece = b"P" + pack(text, b"")
    await client.hset(conversation.turns, conversation.path[0], piece)
    await change_record(client, response_id, b=len(piece), s=len(text), k=crc32(text))


async def test_a_bomb_is_not_unpacked(redis_client):
    """A record of a few bytes may say that they are many: more than the limit is not even fetched."""
    strict = store_on(redis_client, max_conversation_bytes=100_000)
    response_id = await say(strict, "x")
    small = b'{"v":2,"input":"' + b" " * 99_981 + b'"},'
    await put_text(redis_client, response_id, small)
    assert (await chain_of(strict, response_id)).record.bytes < 1_000
    await put_text(redis_client, response_id, small[:-2] + b" " * 10_000_000 + b"},")
    assert await load(strict, response_id) is Miss.TOO_LARGE
    await change_record(redis_client, response_id, s=50_000)
    assert await load(strict, response_id) is Miss.UNREADABLE


@pytest.mark.parametrize(
    "text",
    [
        b'{"v":2,"input":[[]]},',
        b'{"v":2,"input":[{"role":"nobody"}]},',
        b'{"v":2,"input":7},',
        b'{"v":2},',
        b'{"v":2,"input":"a","answer":[{"role":"assistant","tool_calls":["x"]}]},',
        b'{"v":2,"input":"a","instructions":["be kind"]},',
        b'{"v":2,"input":NaN},',
        b'{"v":1,"input":"a"},',
        b"[" * 100_000,
        b'{"v":2,"input":"\xff"},',
        b'"a",',
        b"1,2,",
    ],
    ids=lambda text: text[:50].decode("latin-1"),
)
async def test_a_turn_that_no_client_sent_is_unreadable(redis_client, store, text):
    response_id = await say(store, "a")
    await put_text(redis_client, response_id, text)
    assert await load(store, response_id) is Miss.UNREADABLE


async def test_a_turn_with_unknown_fields_is_read_and_missing_ones_have_defaults(redis_client, store):
    response_id = await say(store, "a")
    await put_text(redis_client, response_id, b'{"v":2,"input":"b","surprise":[1]},')
    assert (await chain_of(store, response_id)).turns == (Turn("b"),)


@pytest.mark.parametrize("text", [b"", b'{"v":2,"input":"a"},{"v":2,"input":"b"},'])
async def test_a_text_of_fewer_or_more_turns_than_the_record_says_is_unreadable(redis_client, store, text):
    response_id = await say(store, "a")
    await put_text(redis_client, response_id, text)
    assert await load(store, response_id) is Miss.UNREADABLE


@pytest.mark.parametrize("index", [0, 1])
async def test_a_turn_whose_bytes_stand_at_another_is_a_miss(redis_client, store, index):
    """The sizes still come to what the record says."""
    last = (await talk(store, "ab"))[-1]
    conversation = await conversation_of(redis_client, last)
    sizes = [await redis_client.hstrlen(conversation.turns, turn) for turn in conversation.path]
    gone, other = conversation.path[index], conversation.path[1 - index]
    await redis_client.hdel(conversation.turns, gone)
    await redis_client.hset(conversation.turns, other, b"P" * sum(sizes))
    assert isinstance(await load(store, last), Miss)


@pytest.mark.parametrize("name", ["turns", "tree", "lives"])
async def test_keys_of_another_type_are_an_unreadable_miss_and_left_alone(redis_client, linked, name):
    last = (await talk(linked, "ab"))[-1]
    chain, conversation = await chain_of(linked, last), await conversation_of(redis_client, last)
    key = getattr(conversation, name)
    await redis_client.set(key, "a private text")
    assert await load(linked, last) is Miss.UNREADABLE
    with pytest.raises(OddValue) as caught:
        await say(linked, "a private text", chain)
    assert "private" not in str(caught.value)
    assert await redis_client.get(key) == b"a private text"


async def test_a_record_of_another_type_is_an_unreadable_miss_and_left_alone(redis_client, linked):
    await redis_client.rpush(SESSION + "x", "a private text")
    assert await load(linked, "x") is Miss.UNREADABLE
    with pytest.raises(OddValue):
        await say(linked, "a", as_id="x")
    with pytest.raises(OddValue):
        await linked.reserve(Reservation("x"))
    assert await redis_client.lrange(SESSION + "x", 0, -1) == [b"a private text"]


@pytest.mark.parametrize("as_id", ["new", "held"])
async def test_a_turn_that_redis_refuses_leaves_no_record_of_it(redis_client, store, as_id):
    """They go in one round trip: the record is not asked whether its turn has got there."""
    chain = await chain_of(store, await say(store, "a"))
    conversation = await conversation_of(redis_client, await say(store, "b", chain))
    await redis_client.delete(conversation.lives)
    await redis_client.set(conversation.lives, "of another type")
    held = Reservation("held")
    assert await store.reserve(held)
    with pytest.raises(ResponseError):
        reserved = {"reservation": held, "id_is_out": True} if as_id == "held" else {}
        await say(store, "c", chain, as_id=as_id, **reserved)
    assert await load(store, as_id) is Miss.UNKNOWN
    assert await redis_client.get(SESSION + "held") == held.token
    assert await redis_client.exists(SESSION + "new") == 0


async def test_a_turn_after_one_that_has_gone_gets_the_id_that_it_wanted(redis_client, store):
    chain = await chain_of(store, await say(store, "a"))
    await redis_client.delete(*(await conversation_of(redis_client, await say(store, "b", chain))).keys)
    held = Reservation("held")
    assert await store.reserve(held)
    assert await say(store, "c", chain, as_id="c") == "c"
    assert await say(store, "d", chain, as_id="held", id_is_out=True, reservation=held) == "held"
    assert await inputs_of(store, "c") == ["a", "c"]
    assert await inputs_of(store, "held") == ["a", "d"]


ODD_REPLIES = [17, [b"a", 1], [b"a"], [b"a", b"P", b"b", b"P"], {}, 1.5]


@pytest.mark.parametrize("reply", ODD_REPLIES, ids=str)
@pytest.mark.parametrize("command", ["get", "read"])
async def test_a_reply_of_another_type_is_an_unreadable_miss(redis_client, store, command, reply):
    response_id = await say(store, "a")
    assert await load(store_on(Garbling(redis_client, command, reply)), response_id) is Miss.UNREADABLE


@pytest.mark.parametrize("reply", [b"OK", [b"a", 1], None, 1.5], ids=str)
async def test_a_turn_is_not_stored_where_the_reply_is_of_another_type(redis_client, reply):
    with pytest.raises(OddValue):
        await say(store_on(Garbling(redis_client, "append", reply)), "a")
    with pytest.raises(OddValue):
        await store_on(Garbling(redis_client, "commit", reply)).reserve(Reservation("x"))
