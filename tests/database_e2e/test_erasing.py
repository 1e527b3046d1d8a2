"""What the database gave is stored in Redis with everybody who said it, so that their erasure finds it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from lab.client import ResponsesClient
from lab.redis_server import RedisServer
from lab.stored import TURNS, stored_texts

from .identities import Management
from .redis_state import connect, flush, only_new_key
from .redis_state import keys as redis_keys
from .talks import Talk
from .upstream import wait_until_continued


@dataclass(frozen=True)
class Continued:
    """A conversation of two keys of one user and team, the first of them for an end user, which Redis forgot and the
    second continued from the database. before, after: the owner tags that Redis had of it. first_key, end_user: whose
    words are in the first turn alone.
    """

    talk: Talk
    first_key: str
    end_user: str
    before: set[bytes]
    after: set[bytes]


@pytest.fixture
def continued(with_patch: ResponsesClient, talk: Callable[..., Talk], mortal_redis: RedisServer) -> Continued:
    management = Management(with_patch)
    user = management.new_user()
    team = management.new_team(user)
    first_key, second_key = (management.new_key(user, team) for _ in range(2))
    end_user = f"customer of {user}"
    known = redis_keys(mortal_redis, TURNS)
    begun = talk(with_patch, key=first_key)
    begun.say(user=end_user)
    other = begun.fork(key=second_key)
    other.say()
    before = tags_of(mortal_redis, only_new_key(mortal_redis, TURNS, known))
    other.rows()
    flush(mortal_redis)
    after = wait_until_continued(other)
    assert begun.said[0] in after.said
    turns = [key for key in redis_keys(mortal_redis, TURNS) if len(tags_of(mortal_redis, key)) > 1]
    return Continued(after, first_key, end_user, before, set().union(*(tags_of(mortal_redis, key) for key in turns)))


def tags_of(server: RedisServer, turns: bytes) -> set[bytes]:
    with connect(server) as redis:
        return set((redis.hget(turns, "by") or b"").split())


def test_rows_of_the_database_name_everybody_as_redis_did(continued: Continued) -> None:
    assert len(continued.before) == 2
    assert continued.after == continued.before


@pytest.mark.parametrize("part", ["key_hash", "end_user"])
def test_whoever_said_what_the_database_gave_can_be_erased(
    continued: Continued, with_patch: ResponsesClient, mortal_redis: RedisServer, part: str
) -> None:
    secret = continued.talk.said[0].encode()
    assert holds(mortal_redis, secret)
    value = {"key_hash": hashlib.sha256(continued.first_key.encode()).hexdigest(), "end_user": continued.end_user}[part]
    headers = {"authorization": f"Bearer {with_patch.key}"}
    reply = with_patch.http.post("/session_store/erase", json={part: value}, headers=headers)
    done = json.loads(reply.text.splitlines()[-1])
    assert done["done"] is True and done["conversations"] >= 1
    assert not holds(mortal_redis, secret)


def holds(server: RedisServer, text: bytes) -> bool:
    with connect(server) as redis:
        return any(text in stored for stored in stored_texts(redis))
