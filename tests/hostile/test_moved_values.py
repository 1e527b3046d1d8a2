"""Whoever can write into Redis, but has no key: nothing that was moved, taken over or made up is read as a history."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import pytest
from redis import Redis

from litellm.responses.litellm_completion_transformation.redis_session_patch.redis import store as stores
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.runtime import Runtime
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.store import SessionStore
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.ids import Place
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.owner import Owner
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.results import Miss
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.settings import Settings
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.turns import (
    NO_TURNS,
    Chain,
    Turn,
    encode_turn,
)

from .stored import PLAIN, pack

ALICE, MALLORY = Owner("alice", "red"), Owner("mallory", "red")
HERE, THERE = "c0nversat-_", "elsewhere-1"
FIRST, SAME_SUM = "hznydjui", "qizmplpn"
SAID = {"1": FIRST, "2": "left 1", "3": "right!"}

Attack = Callable[["Attacked"], None]


def store_on(client: Redis, **settings: Any) -> SessionStore:
    connection: Any = SimpleNamespace(open=lambda seconds: client, namespace=None, most_connections=None)
    return Runtime(Settings(timeout_seconds=10.0, **settings), connection).store


def keys_of(conversation: str) -> list[str]:
    return [f"litellm_patch:session:{{{conversation}}}:{name}" for name in ("turns", "tree", "lives")]


@dataclass
class Attacked:
    """Two branches of one conversation, both after turn 1: 2 and 3; in it a turn 5 after none, as long as turn 1 and
    with its CRC-32; another conversation, with turn 4 alone.
    """

    redis: Redis
    store: SessionStore

    async def begin(self) -> None:
        await self.store.append(Place(HERE, "1"), [Turn(FIRST)], NO_TURNS, ALICE)
        await self.store.append(Place(HERE, "5"), [Turn(SAME_SUM)], NO_TURNS, ALICE)
        chain = await self.read("1")
        assert isinstance(chain, Chain)
        for turn in ("2", "3"):
            await self.store.append(Place(HERE, turn), [Turn(SAID[turn])], chain, ALICE)
        await self.store.append(Place(THERE, "4"), [Turn("other")], NO_TURNS, ALICE)

    async def read(self, turn: str, reader: Owner = ALICE, conversation: str = HERE) -> Any:
        return await self.store.read(Place(conversation, turn), reader)

    def take(self, turn: str, conversation: str = HERE) -> bytes:
        return self.redis.hget(keys_of(conversation)[0], turn)

    def put(self, turn: str, value: bytes, conversation: str = HERE) -> None:
        self.redis.hset(keys_of(conversation)[0], turn, value)


@pytest.fixture
async def sealed(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> Attacked:
    """No piece needs those before it: the cipher alone knows where each belongs."""
    monkeypatch.setattr(stores, "pack", lambda text, before: pack(text))
    attacked = Attacked(redis, store_on(redis, encryption_keys=(os.urandom(32),), encryption_required=True))
    await attacked.begin()
    return attacked


def move_to_its_sibling(at: Attacked) -> None:
    at.put("2", at.take("3"))


def move_to_another_conversation(at: Attacked) -> None:
    at.put("1", at.take("4", THERE))
    at.redis.zadd(keys_of(HERE)[1], {"2": 0})
    at.put("2", at.take("4", THERE))


def hang(at: Attacked, *before: str) -> None:
    """Turn 2 after these, with the numbers that fit."""
    path = [*before, "2"]
    text = b"".join(encode_turn(Turn(SAID[turn]), None) for turn in path)
    sealed = {turn: at.take(turn).partition(b"\n")[2] for turn in path}
    stored = sum(map(len, sealed.values()))
    at.redis.zadd(keys_of(HERE)[1], {"2": int(before[-1]) if before else 0})
    at.put("2", b"%d %d %d %d\n" % (len(path), stored, len(text), zlib.crc32(text)) + sealed["2"])


def leave_out_the_turn_before(at: Attacked) -> None:
    hang(at)


def hang_under_a_sibling(at: Attacked) -> None:
    hang(at, "1", "3")


def hang_under_a_turn_of_the_same_sum(at: Attacked) -> None:
    assert zlib.crc32(FIRST.encode()) == zlib.crc32(SAME_SUM.encode())
    at.redis.zadd(keys_of(HERE)[1], {"2": 5})


def say_that_it_has_other_bytes(at: Attacked) -> None:
    number, stored, size, crc = at.take("2").partition(b"\n")[0].split(b" ")
    rest = at.take("2").partition(b"\n")[2]
    at.put("2", b"%b %d %b %b\n" % (number, int(stored) + 1, size, crc) + rest)


def write_without_a_seal(at: Attacked) -> None:
    text = b'{"v":3,"input":"forged","answer":[]}\n\n'
    piece = PLAIN + pack(text)
    at.put("2", b"1 %d %d %d\n" % (len(piece), len(text), zlib.crc32(text)) + piece)
    at.redis.zadd(keys_of(HERE)[1], {"2": 0})


@pytest.mark.parametrize(
    "attack",
    [
        move_to_its_sibling,
        move_to_another_conversation,
        leave_out_the_turn_before,
        hang_under_a_sibling,
        hang_under_a_turn_of_the_same_sum,
        say_that_it_has_other_bytes,
    ],
)
async def test_a_sealed_turn_is_read_in_its_own_place_alone(sealed: Attacked, attack: Attack) -> None:
    assert [turn.input for turn in (await sealed.read("2")).turns] == [FIRST, "left 1"]
    attack(sealed)
    assert await sealed.read("2") is Miss.UNREADABLE


async def test_a_turn_without_a_seal_is_read_only_where_none_is_required(sealed: Attacked) -> None:
    write_without_a_seal(sealed)
    lenient = replace(sealed, store=store_on(sealed.redis, encryption_keys=(os.urandom(32),)))
    assert [turn.input for turn in (await lenient.read("2")).turns] == ["forged"]
    assert await sealed.read("2") is Miss.UNREADABLE


async def test_who_writes_their_name_on_a_sealed_conversation_cannot_read_it(sealed: Attacked) -> None:
    assert await sealed.read("2", MALLORY) is Miss.DENIED
    sealed.redis.hset(keys_of(HERE)[0], "about", f"{MALLORY.identity} 1700000000")
    assert await sealed.read("2", MALLORY) is Miss.UNREADABLE


async def test_a_sealed_conversation_is_not_read_under_another_name(sealed: Attacked) -> None:
    for key, other in zip(keys_of(HERE), keys_of("an0ther-one"), strict=True):
        sealed.redis.copy(key, other)
    assert await sealed.read("2", conversation="an0ther-one") is Miss.UNREADABLE


@pytest.mark.parametrize("size", [64 * 1024 * 1024 + 1, 2**40, 2**63, 10**400], ids=["limit", "2^40", "2^63", "10^400"])
async def test_a_text_that_is_said_to_be_too_large_is_not_unpacked(redis: Redis, size: int) -> None:
    attacked = Attacked(redis, store_on(redis))
    await attacked.begin()
    numbers, _, rest = attacked.take("1").partition(b"\n")
    number, stored, _, crc = numbers.split(b" ")
    attacked.put("1", b"%b %b %d %b\n" % (number, stored, size, crc) + rest)
    assert await attacked.read("1") is Miss.TOO_LARGE
