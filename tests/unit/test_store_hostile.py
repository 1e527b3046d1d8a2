"""Values that somebody else wrote: they cost next to nothing and are misses."""

from __future__ import annotations

import json
import zlib
from typing import Any

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.results import Miss, OddValue
from litellm.responses.litellm_completion_transformation.redis_session_patch.store import Reservation

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
        ({"turns": 2_000}, Miss.INCOMPLETE),
        ({"turns": 2_001}, Miss.TOO_LARGE),
        ({"turns": 1 << 47}, Miss.TOO_LARGE),
        ({"turns": 1 << 48}, Miss.UNREADABLE),
        ({"turns": 10**4_000}, Miss.UNREADABLE),
        ({"turns": 2}, Miss.INCOMPLETE),
        ({"turns": 4}, Miss.INCOMPLETE),
        ({"turns": 0}, Miss.UNREADABLE),
        ({"turns": -3}, Miss.UNREADABLE),
        ({"turns": 3.0}, Miss.UNREADABLE),
        ({"turns": True}, Miss.UNREADABLE),
        ({"turns": "3"}, Miss.UNREADABLE),
        ({"turns": ...}, Miss.UNREADABLE),
        ({"bytes": 1 << 47}, Miss.TOO_LARGE),
        ({"bytes": 1}, Miss.INCOMPLETE),
        ({"bytes": None}, Miss.UNREADABLE),
        ({"turn": "1"}, Miss.INCOMPLETE),
        ({"turn": "0"}, Miss.UNREADABLE),
        ({"turn": "9" * 16}, Miss.UNREADABLE),
        ({"turn": "oalice"}, Miss.UNREADABLE),
        ({"turn": 7}, Miss.UNREADABLE),
        ({"turn": "٣"}, Miss.UNREADABLE),
        ({"conversation": "another"}, Miss.INCOMPLETE),
        ({"conversation": "}:*"}, Miss.UNREADABLE),
        ({"conversation": "x" * 33}, Miss.UNREADABLE),
        ({"conversation": ""}, Miss.UNREADABLE),
        ({"conversation": "é"}, Miss.UNREADABLE),
        ({"started": "yesterday"}, Miss.UNREADABLE),
        ({"started": -1}, Miss.UNREADABLE),
        ({"owner": None}, Miss.UNREADABLE),
        ({"owner": ["alice"]}, Miss.UNREADABLE),
        ({"owner": [1, 2, 3, 4]}, Miss.UNREADABLE),
        ({"owner": [None] * 4}, Miss.DENIED),
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
    await change_record(redis_client, mine, conversation=record.conversation)
    assert await load(store, mine) is Miss.INCOMPLETE


async def test_unknown_fields_are_ignored(redis_client, store):
    last = (await talk(store, "ab"))[-1]
    await change_record(redis_client, last, surprise={"a": 1}, owner=[*await owner_in(redis_client, last), "more"])
    assert await inputs_of(store, last) == ["a", "b"]
    assert await inputs_of(store, await say(store, "c", await chain_of(store, last))) == ["a", "b", "c"]


async def owner_in(client: Any, response_id: str) -> list[Any]:
    return json.loads((await client.get(SESSION + response_id)).partition(b"\n")[0])["owner"]


async def put_turn(client: Any, response_id: str, value: bytes) -> None:
    """In the place of the response's own turn; the record says the new size."""
    conversation = await conversation_of(client, response_id)
    before = await client.hstrlen(conversation.turns, conversation.path[-1])
    await client.hset(conversation.turns, conversation.path[-1], value)
    head = json.loads((await client.get(SESSION + response_id)).partition(b"\n")[0])
    await change_record(client, response_id, bytes=head["bytes"] - before + len(value))


def packed(data: bytes) -> bytes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, 14)
    return b"Pz\0\0" + compressor.compress(data) + compressor.flush()


async def test_a_bomb_is_not_unpacked(redis_client, store):
    limit = 100_000
    bomb = b'{"v":2,"input":"' + b" " * 10_000_000 + b'"}'
    small = b'{"v":2,"input":"' + b" " * (limit - 18) + b'"}'
    strict = store_on(redis_client, max_turn_bytes=limit)
    for data, inputs in ((small, 1), (bomb, None)):
        response_id = await say(store, "x" * 200)
        await put_turn(redis_client, response_id, packed(data))
        found = await load(strict, response_id)
        assert len(found.turns) == inputs if inputs else found is Miss.UNREADABLE


@pytest.mark.parametrize(
    "value",
    [
        b'Pj{"v":2,"input":[[]]}',
        b'Pj{"v":2,"input":[{"role":"nobody"}]}',
        b'Pj{"v":2,"input":7}',
        b'Pj{"v":2}',
        b'Pj{"v":2,"input":"a","answer":[{"role":"assistant","tool_calls":["x"]}]}',
        b'Pj{"v":2,"input":"a","answer":{"role":"assistant"}}',
        b'Pj{"v":2,"input":"a","instructions":["be kind"]}',
        b'Pj{"v":2,"input":"a","maker":1}',
        b'Pj{"v":2,"input":NaN}',
        b'Pj{"v":1,"input":"a"}',
        b"Pj" + b"[" * 100_000,
        b'Pj{"v":2,"input":"\xff"}',
    ],
    ids=lambda value: value[:50].decode("latin-1"),
)
async def test_a_turn_that_no_client_sent_is_unreadable(redis_client, store, value):
    response_id = await say(store, "a")
    await put_turn(redis_client, response_id, value)
    assert await load(store, response_id) is Miss.UNREADABLE


async def test_a_turn_with_unknown_fields_is_read_and_missing_ones_have_defaults(redis_client, store):
    response_id = await say(store, "a")
    await put_turn(redis_client, response_id, b'Pj{"v":2,"input":"b","surprise":[1]}')
    (turn,) = (await chain_of(store, response_id)).turns
    assert (turn.input, turn.answer, turn.instructions, turn.maker) == ("b", (), None, None)


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
