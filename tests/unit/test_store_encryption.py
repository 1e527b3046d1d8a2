"""Encrypted values: what they hide, what is refused, and keys that change while several proxies are at work."""

from __future__ import annotations

import itertools
import os
from typing import Any

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.redis import store as stores
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.ids import Place
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.results import Miss

from .support.stores import follow, inputs_of, keys_of, load, say, store_on, talk

OLD, NEW = os.urandom(32), os.urandom(32)


def sealed_by(client: Any, *keys: bytes, required: bool = False) -> Any:
    return store_on(client, encryption_keys=keys, encryption_required=required)


@pytest.fixture
def sealed(redis_client):
    return sealed_by(redis_client, OLD)


def piece_of(client: Any, place: Place) -> bytes:
    return client.hget(keys_of(place)[0], place.turn)


def put_piece(client: Any, place: Place, piece: bytes) -> None:
    client.hset(keys_of(place)[0], place.turn, piece)


async def test_encrypted_values_hide_what_was_said_and_by_whom(redis_client, sealed):
    place = await say(sealed, "my secret is a number " * 20)
    everything = b" ".join(redis_client.hvals(keys_of(place)[0]))
    assert all(word not in everything for word in (b"secret", b"number", b"alice", b"trace", b"role", b"assistant"))
    assert await inputs_of(sealed, place) == ["my secret is a number " * 20]


@pytest.mark.parametrize("keys", [(), (NEW,)])
async def test_without_the_right_key_a_response_is_unreadable(redis_client, sealed, keys):
    last = (await talk(sealed, "ab"))[-1]
    assert await load(sealed_by(redis_client, *keys), last) is Miss.UNREADABLE


async def test_a_rotation_in_the_documented_order_loses_nothing(redis_client):
    """Two proxies take turns in one conversation, and are given their keys one after the other."""
    last, said = None, []
    orders = [(OLD,), (OLD, NEW), (NEW, OLD)]
    for pair in [(orders[0], orders[0]), *[(now, then) for then, now in itertools.pairwise(orders)], (orders[2],) * 2]:
        both = [sealed_by(redis_client, *keys) for keys in pair]
        for store in (*both, *both):
            text = f"turn {len(said)}"
            last = await (follow(store, last, text) if last else say(store, text))
            said.append(text)
            assert [await inputs_of(each, last) for each in both] == [said, said]
    assert len(said) == 16


async def test_a_conversation_from_before_encryption_goes_on_with_it(redis_client, store, sealed):
    last = await follow(sealed, await say(store, "plain"), "sealed")
    assert await inputs_of(sealed, last) == ["plain", "sealed"]


async def test_after_a_rotation_new_values_need_the_new_key_alone(redis_client):
    last = (await talk(sealed_by(redis_client, NEW, OLD), "ab"))[-1]
    assert await inputs_of(sealed_by(redis_client, NEW), last) == ["a", "b"]
    assert await load(sealed_by(redis_client, OLD), last) is Miss.UNREADABLE


async def test_an_old_conversation_is_read_as_long_as_its_key_is_there(redis_client, sealed):
    rotated = sealed_by(redis_client, NEW, OLD)
    newer = await follow(rotated, (await talk(sealed, "ab"))[-1], "c")
    assert await inputs_of(rotated, newer) == ["a", "b", "c"]
    assert await load(sealed_by(redis_client, NEW), newer) is Miss.UNREADABLE


async def test_where_encryption_is_required_plain_values_are_refused(redis_client, store):
    last = await say(store, "forged")
    required = sealed_by(redis_client, NEW, required=True)
    assert await load(required, last) is Miss.UNREADABLE
    assert await inputs_of(sealed_by(redis_client, NEW), last) == ["forged"]
    assert await inputs_of(required, await say(required, "sealed")) == ["sealed"]


async def test_where_encryption_is_required_no_turn_may_be_plain(redis_client, store):
    required = sealed_by(redis_client, NEW, required=True)
    last = await follow(sealed_by(redis_client, NEW), await say(store, "plain"), "sealed")
    assert await load(required, last) is Miss.UNREADABLE


async def to_another_turn(client: Any, store: Any) -> Place:
    first = await say(store, "a")
    left, right = await follow(store, first, "left!"), await follow(store, first, "right")
    put_piece(client, left, piece_of(client, right))
    return left


async def to_another_conversation(client: Any, store: Any) -> Place:
    mine, other = await say(store, "a"), await say(store, "b")
    # Of the same number, so that only the conversation differs.
    piece, turns, tree, lives = piece_of(client, other), *keys_of(mine)
    client.hset(turns, other.turn, piece)
    client.zadd(tree, {other.turn: 0})
    client.zadd(lives, {other.turn: client.zscore(lives, mine.turn)})
    return Place(mine.conversation, other.turn)


async def behind_another_header(client: Any, store: Any) -> Place:
    """With fewer bytes than it has, which may be more than a reader wants to move."""
    place = await say(store, "a")
    head, _, rest = piece_of(client, place).partition(b"\n")
    number, _, *more = head.split()
    put_piece(client, place, b" ".join([number, b"1", *more]) + b"\n" + rest)
    return place


MOVES = pytest.mark.parametrize("move", [to_another_turn, to_another_conversation, behind_another_header])


@MOVES
async def test_a_piece_that_was_moved_is_unreadable(redis_client, sealed, move):
    assert await load(sealed, await move(redis_client, sealed)) is Miss.UNREADABLE


@MOVES
async def test_only_what_a_piece_is_bound_to_shows_that_it_was_moved(redis_client, sealed, monkeypatch, move):
    """So the test above would fail without it: nothing else, such as a checksum, notices."""
    monkeypatch.setattr(stores, "position_of", lambda *_: b"")
    monkeypatch.setattr(stores, "context_of", lambda *_: b"")
    assert await inputs_of(sealed, await move(redis_client, sealed))


async def test_a_piece_is_bound_to_the_owner_too(redis_client, sealed):
    """Whoever can write to Redis could else give a conversation away."""
    place = await say(sealed, "a secret")
    turns = keys_of(place)[0]
    redis_client.hset(turns, "about", redis_client.hget(turns, "about").replace(b"user:", b"user:someone."))
    whose = redis_client.hget(turns, "about").split()[0].decode()
    assert await load(sealed, place, Somebody(whose)) is Miss.UNREADABLE


class Somebody:
    def __init__(self, identity: str):
        self.identity = identity


async def test_a_turn_that_follows_another_one_now_is_unreadable(redis_client, sealed):
    first = await say(sealed, "a")
    left, right = await follow(sealed, first, "left!"), await follow(sealed, first, "right")
    last = await follow(sealed, left, "and on")
    redis_client.zadd(keys_of(last)[1], {last.turn: int(right.turn)})
    assert await load(sealed, last) is Miss.UNREADABLE


async def test_any_change_of_an_encrypted_turn_is_noticed(redis_client, sealed):
    place = await say(sealed, "a")
    piece = piece_of(redis_client, place)
    for position in range(len(piece)):
        put_piece(redis_client, place, piece[:position] + bytes([piece[position] ^ 1]) + piece[position + 1 :])
        assert isinstance(await load(sealed, place), Miss), position
