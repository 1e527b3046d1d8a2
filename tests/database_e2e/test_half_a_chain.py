"""A conversation of which Redis has lost a part is served whole or not at all from there."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from redis import Redis

from lab.client import ResponsesClient
from lab.redis_server import RedisServer
from lab.stored import SESSIONS, TURNS, turns_of

from .redis_state import connect, keys, only_new_key
from .talks import Talk
from .upstream import continues

TURNS_SAID = 4


def lose_all_turns(redis: Redis, turns: bytes, records: list[bytes]) -> None:
    redis.delete(turns)


def lose_the_first_turn(redis: Redis, turns: bytes, records: list[bytes]) -> None:
    redis.hdel(turns, in_order(redis, turns)[0])


def lose_the_last_turn(redis: Redis, turns: bytes, records: list[bytes]) -> None:
    redis.hdel(turns, in_order(redis, turns)[-1])


def overwrite_a_turn_in_the_middle(redis: Redis, turns: bytes, records: list[bytes]) -> None:
    redis.hset(turns, in_order(redis, turns)[1], b"Pj{}")


def swap_two_turns(redis: Redis, turns: bytes, records: list[bytes]) -> None:
    first, second = in_order(redis, turns)[:2]
    one, two = redis.hmget(turns, first, second)
    redis.hset(turns, mapping={first: two, second: one})


def lose_the_order_of_turns(redis: Redis, turns: bytes, records: list[bytes]) -> None:
    redis.delete(turns.removesuffix(b":turns") + b":tree")


def lose_the_last_record(redis: Redis, turns: bytes, records: list[bytes]) -> None:
    redis.delete(records[-1])


def in_order(redis: Redis, turns: bytes) -> list[bytes]:
    return list(turns_of(redis, turns))


LOSSES = (
    lose_all_turns,
    lose_the_first_turn,
    lose_the_last_turn,
    overwrite_a_turn_in_the_middle,
    swap_two_turns,
    lose_the_order_of_turns,
    lose_the_last_record,
)


any_part = pytest.mark.parametrize("lose", LOSSES)


def begin(conversation: Talk, server: RedisServer) -> tuple[bytes, list[bytes]]:
    """Plays some turns; the key of their list, and those of their records in order."""
    lists = keys(server, TURNS)
    records: list[bytes] = []
    for _ in range(TURNS_SAID):
        before = keys(server, SESSIONS)
        conversation.say()
        records.append(only_new_key(server, SESSIONS, before))
    return only_new_key(server, TURNS, lists), records


def damage(conversation: Talk, server: RedisServer, lose: Callable[..., None]) -> None:
    """Plays some turns, of which Redis loses a part."""
    turns, records = begin(conversation, server)
    with connect(server) as redis:
        lose(redis, turns, records)


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


def test_the_record_of_an_older_response_is_not_needed_by_later_ones(
    conversation: Talk, mortal_redis: RedisServer
) -> None:
    _, records = begin(conversation, mortal_redis)
    with connect(mortal_redis) as redis:
        redis.delete(*records[:-1])
    assert conversation.remembers()
    conversation.rows()
    assert conversation.remembers()
