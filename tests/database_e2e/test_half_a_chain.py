"""A conversation of which Redis has lost a part is served whole or not at all from there."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from redis import Redis

from lab.client import ResponsesClient
from lab.redis_server import RedisServer
from lab.stored import TURNS, lives_key, turns_of

from .redis_state import connect, keys, only_new_key
from .talks import Talk
from .upstream import continues

TURNS_SAID = 4


def lose_all_turns(redis: Redis, turns: bytes) -> None:
    redis.delete(turns)


def lose_the_first_turn(redis: Redis, turns: bytes) -> None:
    redis.hdel(turns, in_order(redis, turns)[0])


def lose_the_last_turn(redis: Redis, turns: bytes) -> None:
    redis.hdel(turns, in_order(redis, turns)[-1])


def overwrite_a_turn_in_the_middle(redis: Redis, turns: bytes) -> None:
    redis.hset(turns, in_order(redis, turns)[1], b"2 3 4 5\nPj{}")


def swap_two_turns(redis: Redis, turns: bytes) -> None:
    first, second = in_order(redis, turns)[:2]
    one, two = redis.hmget(turns, first, second)
    redis.hset(turns, mapping={first: two, second: one})


def lose_the_order_of_turns(redis: Redis, turns: bytes) -> None:
    redis.delete(turns.removesuffix(b":turns") + b":tree")


def lose_the_lives(redis: Redis, turns: bytes) -> None:
    redis.delete(lives_key(turns))


def in_order(redis: Redis, turns: bytes) -> list[bytes]:
    return list(turns_of(redis, turns))


LOSSES = (
    lose_all_turns,
    lose_the_first_turn,
    lose_the_last_turn,
    overwrite_a_turn_in_the_middle,
    swap_two_turns,
    lose_the_order_of_turns,
    lose_the_lives,
)


any_part = pytest.mark.parametrize("lose", LOSSES)


def begin(conversation: Talk, server: RedisServer) -> bytes:
    """Plays some turns; the key of the hash that holds them."""
    before = keys(server, TURNS)
    for _ in range(TURNS_SAID):
        conversation.say()
    return only_new_key(server, TURNS, before)


def damage(conversation: Talk, server: RedisServer, lose: Callable[..., None]) -> None:
    """Plays some turns, of which Redis loses a part."""
    turns = begin(conversation, server)
    with connect(server) as redis:
        lose(redis, turns)


@any_part
def test_a_chain_that_lacks_a_part_comes_from_the_database(
    lose: Callable[..., None], conversation: Talk, mortal_redis: RedisServer, upstream_continues: bool
) -> None:
    damage(conversation, mortal_redis, lose)
    assert continues(conversation) == upstream_continues


@any_part
def test_without_a_database_a_chain_that_lacks_a_part_is_not_served(
    lose: Callable[..., None],
    stream: bool,
    without_database: ResponsesClient,
    talk: Callable[..., Talk],
    mortal_redis: RedisServer,
) -> None:
    conversation = talk(without_database, stream)
    damage(conversation, mortal_redis, lose)
    assert conversation.say() == conversation.said[-2:-1]
    assert conversation.say() == conversation.said[-4:-1]  # The new conversation is kept.


def test_the_life_of_an_older_response_is_not_needed_by_later_ones(
    conversation: Talk, mortal_redis: RedisServer
) -> None:
    turns = begin(conversation, mortal_redis)
    with connect(mortal_redis) as redis:
        redis.zrem(lives_key(turns), *in_order(redis, turns)[:-1])
    assert conversation.remembers()
    conversation.rows()
    assert conversation.remembers()
