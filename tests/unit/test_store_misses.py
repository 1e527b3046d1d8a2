"""All or nothing: whatever is missing or spoilt makes a miss, never a shorter history."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.cipher import Cipher
from litellm.responses.litellm_completion_transformation.redis_session_patch.store import Miss

from .support.clients import Interposed
from .support.stores import SESSION, TURNS, chain_of, follow, inputs_of, load, say, store_on, talk

KEY, OTHER_KEY = os.urandom(32), os.urandom(32)


async def turns_key(client: Any, response_id: str) -> str:
    return TURNS + (await chain_of(store_on(client), response_id)).record.conversation


async def change_format(client: Any, key: str, index: int | None = None) -> None:
    """Makes a stored value one of format 2."""
    value = await (client.get(key) if index is None else client.lindex(key, index))
    changed = value[:1] + json.dumps({**json.loads(value[1:]), "v": 2}).encode()
    await (client.set(key, changed, ex=100) if index is None else client.lset(key, index, changed))


async def test_without_its_record_a_response_is_unknown(any_client):
    store = store_on(any_client)
    first, second = await talk(store, "ab")
    await any_client.delete(SESSION + second)
    assert await load(store, second) is Miss.UNKNOWN
    assert await inputs_of(store, first) == ["a"]


async def test_without_its_turns_a_response_is_incomplete(any_client):
    store = store_on(any_client)
    ids = await talk(store, "abc")
    await any_client.delete(await turns_key(any_client, ids[0]))
    assert [await load(store, each) for each in ids] == [Miss.INCOMPLETE] * 3


@pytest.mark.parametrize("start, end", [(0, 1), (1, 2), (0, 0), (2, 2)])
async def test_with_any_turn_gone_a_response_is_incomplete(any_client, start, end):
    store = store_on(any_client)
    last = (await talk(store, "abc"))[-1]
    await any_client.ltrim(await turns_key(any_client, last), start, end)
    assert await load(store, last) is Miss.INCOMPLETE


async def test_a_turn_in_the_place_of_another_is_incomplete(any_client):
    store = store_on(any_client)
    last = (await talk(store, "abc"))[-1]
    key = await turns_key(any_client, last)
    await any_client.lset(key, 1, await any_client.lindex(key, 0))
    assert await load(store, last) is Miss.INCOMPLETE


async def test_turns_of_another_conversation_under_the_same_key_are_incomplete(any_client):
    store = store_on(any_client)
    mine, other = (await talk(store, "ab"))[-1], (await talk(store, "xy"))[-1]
    key, other_key = [await turns_key(any_client, each) for each in (mine, other)]
    await any_client.delete(key)
    await any_client.rpush(key, *await any_client.lrange(other_key, 0, -1))
    assert await load(store, mine) is Miss.INCOMPLETE


@pytest.mark.parametrize("garbage", [b"", b"J", b"J{", b"J[]", b"E", b"Eshort", b"\xff" * 20, b'{"v":1}'])
@pytest.mark.parametrize("index", [0, 2])
async def test_with_any_turn_spoilt_a_response_is_unreadable(any_client, garbage, index):
    store = store_on(any_client)
    last = (await talk(store, "abc"))[-1]
    await any_client.lset(await turns_key(any_client, last), index, garbage)
    assert await load(store, last) is Miss.UNREADABLE


@pytest.mark.parametrize("garbage", [b"", b"J", b"J{", b"J[]", b"E", b"\xff" * 20, b'{"v":1}'])
async def test_a_spoilt_record_is_unreadable(any_client, garbage):
    store = store_on(any_client)
    last = (await talk(store, "abc"))[-1]
    await any_client.set(SESSION + last, garbage)
    assert await load(store, last) is Miss.UNREADABLE


async def test_a_record_of_another_format_is_unreadable(any_client):
    store = store_on(any_client)
    last = (await talk(store, "abc"))[-1]
    await change_format(any_client, SESSION + last)
    assert await load(store, last) is Miss.UNREADABLE


async def test_with_any_turn_of_another_format_a_response_is_unreadable(any_client):
    store = store_on(any_client)
    last = (await talk(store, "abc"))[-1]
    await change_format(any_client, await turns_key(any_client, last), 1)
    assert await load(store, last) is Miss.UNREADABLE


async def test_a_spoilt_turn_of_another_branch_does_no_harm(any_client):
    store = store_on(any_client)
    first, second = await talk(store, "ab")
    sibling = await follow(store, first, "c")
    await any_client.lset(await turns_key(any_client, first), 1, b"garbage")
    assert await load(store, second) is Miss.UNREADABLE
    assert await inputs_of(store, sibling) == ["a", "c"]


async def test_when_the_turns_vanish_after_the_read_the_follow_up_is_stored_with_its_ancestors(any_client):
    store = store_on(any_client)
    ids = await talk(store, "abc")
    parent = await chain_of(store, ids[-1])
    await any_client.delete(TURNS + parent.record.conversation)
    child = await say(store, "d", parent)
    assert not await any_client.exists(TURNS + parent.record.conversation)  # A part of it would pose as the whole.
    assert await inputs_of(store, child) == list("abcd")
    assert await inputs_of(store, await follow(store, child, "e")) == list("abcde")
    assert await load(store, ids[-1]) is Miss.INCOMPLETE


async def test_when_the_turns_were_cut_after_the_read_the_follow_up_is_stored_with_its_ancestors(any_client):
    store = store_on(any_client)
    parent = await chain_of(store, (await talk(store, "abc"))[-1])
    await any_client.ltrim(TURNS + parent.record.conversation, 0, 0)
    assert await inputs_of(store, await say(store, "d", parent)) == list("abcd")


async def test_turns_that_vanish_between_the_two_reads_are_a_miss(any_client):
    last = (await talk(store_on(any_client), "abc"))[-1]
    key = await turns_key(any_client, last)

    async def evict(command: str) -> None:
        if command == "pipeline":
            await any_client.delete(key)

    assert await load(store_on(Interposed(any_client, evict)), last) is Miss.INCOMPLETE


async def test_a_turn_whose_record_was_never_written_is_seen_by_nobody(any_client):
    store = store_on(any_client)
    first = await say(store, "a")

    async def crash(command: str) -> None:
        if command == "set":
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await say(store_on(Interposed(any_client, crash)), "lost", await chain_of(store, first))
    assert await inputs_of(store, first) == ["a"]
    assert await inputs_of(store, await follow(store, first, "b")) == ["a", "b"]


async def test_encrypted_values_hide_what_was_said_and_by_whom(any_client):
    store = store_on(any_client, cipher=Cipher([KEY]))
    response_id = await say(store, "my secret is a number")
    values = [await any_client.get(SESSION + response_id)]
    values += await any_client.lrange((await any_client.keys(TURNS + "*"))[0], 0, -1)
    assert all(word not in value for value in values for word in (b"secret", b"number", b"alice", b"trace", b"role"))
    assert await inputs_of(store, response_id) == ["my secret is a number"]


@pytest.mark.parametrize("keys", [(), (OTHER_KEY,)])
async def test_without_the_right_key_a_response_is_unreadable(any_client, keys):
    last = (await talk(store_on(any_client, cipher=Cipher([KEY])), "ab"))[-1]
    assert await load(store_on(any_client, cipher=Cipher(keys)), last) is Miss.UNREADABLE


async def test_a_conversation_goes_on_over_switching_encryption_on_and_a_rotation(any_client):
    last = await say(store_on(any_client), "plain")
    for text, keys in (("first key", [KEY]), ("both", [OTHER_KEY, KEY])):
        last = await follow(store_on(any_client, cipher=Cipher(keys)), last, text)
    both = store_on(any_client, cipher=Cipher([OTHER_KEY, KEY]))
    assert await inputs_of(both, last) == ["plain", "first key", "both"]


async def test_a_record_moved_to_another_id_is_unreadable_when_encrypted(any_client):
    store = store_on(any_client, cipher=Cipher([KEY]))
    mine = await say(store, "a secret")
    await any_client.set(SESSION + "stolen", await any_client.get(SESSION + mine))
    assert await load(store, "stolen") is Miss.UNREADABLE
