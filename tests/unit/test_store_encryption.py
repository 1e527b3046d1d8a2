"""Encrypted values: what they hide, what is refused, and keys that change while several proxies are at work."""

from __future__ import annotations

import itertools
import os

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.results import Miss

from .support.inside import conversation_of
from .support.stores import SESSION, follow, inputs_of, load, say, store_on, talk

OLD, NEW = os.urandom(32), os.urandom(32)


@pytest.fixture
def sealed(redis_client):
    return store_on(redis_client, keys=(OLD,))


async def test_encrypted_values_hide_what_was_said_and_by_whom(redis_client, sealed):
    response_id = await say(sealed, "my secret is a number " * 20)
    conversation = await conversation_of(redis_client, response_id, keys=(OLD,))
    values = [await redis_client.get(SESSION + response_id), *(await redis_client.hvals(conversation.turns))]
    words = (b"secret", b"number", b"alice", b"trace", b"role", b"assistant")
    assert all(word not in value for value in values for word in words)
    assert await inputs_of(sealed, response_id) == ["my secret is a number " * 20]


@pytest.mark.parametrize("keys", [(), (NEW,)])
async def test_without_the_right_key_a_response_is_unreadable(redis_client, sealed, keys):
    last = (await talk(sealed, "ab"))[-1]
    assert await load(store_on(redis_client, keys=keys), last) is Miss.UNREADABLE


async def test_a_rotation_in_the_documented_order_loses_nothing(redis_client):
    """Two proxies take turns in one conversation, and are given their keys one after the other."""
    last, said = None, []
    orders = [(OLD,), (OLD, NEW), (NEW, OLD)]
    for pair in [(orders[0], orders[0]), *[(now, then) for then, now in itertools.pairwise(orders)], (orders[2],) * 2]:
        stores = [store_on(redis_client, keys=keys) for keys in pair]
        for store in (*stores, *stores):
            text = f"turn {len(said)}"
            last = await (follow(store, last, text) if last else say(store, text))
            said.append(text)
            assert [await inputs_of(each, last) for each in stores] == [said, said]
    assert len(said) == 16


async def test_a_conversation_from_before_encryption_goes_on_with_it(redis_client, store):
    last = await follow(store_on(redis_client, keys=(OLD,)), await say(store, "plain"), "sealed")
    assert await inputs_of(store_on(redis_client, keys=(OLD,)), last) == ["plain", "sealed"]


async def test_after_a_rotation_new_values_need_the_new_key_alone(redis_client):
    last = (await talk(store_on(redis_client, keys=(NEW, OLD)), "ab"))[-1]
    assert await inputs_of(store_on(redis_client, keys=(NEW,)), last) == ["a", "b"]
    assert await load(store_on(redis_client, keys=(OLD,)), last) is Miss.UNREADABLE


async def test_an_old_conversation_is_read_as_long_as_its_key_is_there(redis_client, sealed):
    last = (await talk(sealed, "ab"))[-1]
    rotated = store_on(redis_client, keys=(NEW, OLD))
    assert await inputs_of(rotated, last) == ["a", "b"]
    newer = await follow(rotated, last, "c")
    assert await load(store_on(redis_client, keys=(NEW,)), newer) is Miss.UNREADABLE  # Its first turns need the old.


async def test_where_encryption_is_required_plain_values_are_refused(redis_client, store):
    last = await say(store, "forged")
    required = store_on(redis_client, keys=(NEW,), required=True)
    assert await load(required, last) is Miss.UNREADABLE
    assert await inputs_of(store_on(redis_client, keys=(NEW,)), last) == ["forged"]
    assert await inputs_of(required, await say(required, "sealed")) == ["sealed"]


@pytest.mark.parametrize("part", ["record", "turn"])
async def test_where_encryption_is_required_no_part_may_be_plain(redis_client, part):
    required = store_on(redis_client, keys=(NEW,), required=True)
    last = await say(required, "sealed")
    if part == "record":
        head = (await redis_client.get(SESSION + last)).partition(b"\n")[0]
        await redis_client.set(SESSION + last, head + b"\nP")
    else:
        conversation = await conversation_of(redis_client, last, keys=(NEW,))
        piece = await redis_client.hget(conversation.turns, conversation.path[0])
        await redis_client.hset(conversation.turns, conversation.path[0], b"P" + b"\0" * (len(piece) - 1))
    assert await load(required, last) is Miss.UNREADABLE


async def test_a_record_moved_to_another_id_is_unreadable(redis_client, sealed):
    mine = await say(sealed, "a secret")
    await redis_client.set(SESSION + "stolen", await redis_client.get(SESSION + mine))
    assert await load(sealed, "stolen") is Miss.UNREADABLE


@pytest.mark.parametrize("old, new", [(b'"n":2', b'"n":1'), (b'"v":2', b'"v":2 '), (b"sfUaUR8doM0", b"sfUaUR8doM1")])
async def test_a_record_whose_open_part_was_changed_is_unreadable(redis_client, sealed, old, new):
    last = (await talk(sealed, "ab"))[-1]
    value = await redis_client.get(SESSION + last)
    assert old in value
    await redis_client.set(SESSION + last, value.replace(old, new))
    assert await load(sealed, last) is Miss.UNREADABLE


async def test_turns_moved_inside_a_conversation_are_refused(redis_client, sealed):
    """Siblings of the same length, each a real turn of the same conversation and the same place in it."""
    first = await say(sealed, "a")
    left, right = await follow(sealed, first, "left!"), await follow(sealed, first, "right")
    mine, other = [await conversation_of(redis_client, each, keys=(OLD,)) for each in (left, right)]
    await redis_client.hset(mine.turns, mine.path[1], await redis_client.hget(other.turns, other.path[1]))
    assert await load(sealed, left) is Miss.UNREADABLE
    assert await inputs_of(sealed, right) == ["a", "right"]


async def test_a_turn_that_follows_another_one_now_is_refused(redis_client, sealed):
    first = await say(sealed, "a")
    left, right = await follow(sealed, first, "left!"), await follow(sealed, first, "right")
    last = await follow(sealed, left, "and on")
    other, mine = [(await conversation_of(redis_client, each, keys=(OLD,))) for each in (right, last)]
    await redis_client.zadd(mine.tree, {mine.path[2]: other.path[1]})
    assert await load(sealed, last) is Miss.UNREADABLE


async def test_any_change_of_an_encrypted_turn_is_noticed(redis_client, sealed):
    last = await say(sealed, "a")
    conversation = await conversation_of(redis_client, last, keys=(OLD,))
    value = await redis_client.hget(conversation.turns, conversation.path[0])
    for position in range(0, len(value), 3):
        altered = value[:position] + bytes([value[position] ^ 1]) + value[position + 1 :]
        await redis_client.hset(conversation.turns, conversation.path[0], altered)
        assert await load(sealed, last) is Miss.UNREADABLE, position
