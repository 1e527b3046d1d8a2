"""Turns and records in Redis.

``{prefix}session:{response id}`` holds a record, ``{prefix}turns:{conversation}`` the list of its turns. Reading
takes two round trips for a chain of any length, writing a turn takes two. Every command has one key, so Redis
Cluster serves it; nothing is read, changed and written back.
"""

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from typing import Any

from . import conversation as conv
from .cipher import Cipher, WrongKey
from .conversation import Chain, Record, Turn
from .owner import Owner

KEY_PREFIX = "litellm_patch:"

# Turns outlive the records that lead to them, so that a record never points at expired turns.
TURNS_GRACE_SECONDS = 60

# A reservation lives as long as a stream may last; one that ended is replaced or given up.
RESERVATION_TTL_SECONDS = 900

# A new connection takes some ten turns of the event loop, and a busy loop may need a while for each.
_PARTS_OF_TIMEOUT = 25

# Puts a record in the place of our own reservation, or where nothing is any more. KEYS: session. ARGV: reservation,
# record, seconds.
_COMMIT_RESERVED = """
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1
"""
_RELEASE_RESERVED = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""
_RESERVED = b"R"

# The error codes of Redis that tell an operator what to do.
_CODES = (
    "OOM",
    "READONLY",
    "NOAUTH",
    "WRONGPASS",
    "NOPERM",
    "LOADING",
    "MISCONF",
    "CLUSTERDOWN",
    "WRONGTYPE",
    "MASTERDOWN",
)


class StoreUnavailable(Exception):
    """Redis did not do what was asked; the message says why, without values or passwords."""


class Skipped(Exception):
    """A turn is not stored because of a limit; the message names it."""


class Miss(Enum):
    """Why a response is not served from Redis."""

    UNKNOWN = "unknown"
    DENIED = "denied"
    INCOMPLETE = "incomplete"
    UNREADABLE = "unreadable"


@dataclass(frozen=True)
class Reservation:
    """A response id that is ours before its turn is stored."""

    response_id: str
    token: bytes


class SessionStore:
    """Saves and loads turns through one asyncio Redis client, which the caller owns.

    Every method raises StoreUnavailable within about ``timeout_seconds`` a round trip when Redis does not answer.
    """

    def __init__(
        self,
        client: Any,
        *,
        ttl_seconds: int,
        timeout_seconds: float,
        max_turn_bytes: int,
        max_turns: int,
        cipher: Cipher,
        namespace: str | None = None,
    ):
        self._client = client
        self._ttl_seconds = ttl_seconds
        self._timeout_seconds = timeout_seconds
        self._max_turn_bytes = max_turn_bytes
        self._max_turns = max_turns
        self._cipher = cipher
        self._prefix = f"{namespace}:{KEY_PREFIX}" if namespace else KEY_PREFIX

    async def ping(self) -> None:
        await self._ask(self._client.ping)

    async def load(self, response_id: str, may_continue: Callable[[Owner], bool]) -> Chain | Miss:
        """The chain of a response, its life and that of its turns renewed; or why there is none."""
        session_key = self._session_key(response_id)
        value = await self._ask(lambda: self._client.get(session_key))
        if value is None or value[:1] == _RESERVED:
            return Miss.UNKNOWN
        try:
            record = conv.decode_record(self._cipher.open(value, session_key))
        except (WrongKey, conv.Unreadable):
            return Miss.UNREADABLE
        if not may_continue(record.owner):
            return Miss.DENIED
        turns_key = self._turns_key(record.conversation)
        pipeline = self._client.pipeline(transaction=False)
        for first, last in record.path:
            pipeline.lrange(turns_key, first, last)
        pipeline.expire(turns_key, self._turns_life(record))
        pipeline.expire(session_key, self._ttl_seconds)
        ranges = (await self._ask(pipeline.execute))[: len(record.path)]
        try:
            turns = tuple(
                conv.decode_turn(self._cipher.open(sealed, turns_key))
                for sealed_turns in ranges
                for sealed in sealed_turns
            )
        except (WrongKey, conv.Unreadable):
            return Miss.UNREADABLE
        return Chain(record, turns) if conv.is_whole(record, turns) else Miss.INCOMPLETE

    async def reserve(self, response_id: str) -> Reservation:
        """Takes ``response_id`` for a turn to come, or where another response has it, a new id made from it."""
        token = _RESERVED + secrets.token_bytes(16)
        while True:
            key = self._session_key(response_id)
            if await self._ask(partial(self._client.set, key, token, ex=RESERVATION_TTL_SECONDS, nx=True)):
                return Reservation(response_id, token)
            response_id = different_id(response_id)

    async def release(self, reservation: Reservation) -> None:
        key = self._session_key(reservation.response_id)
        await self._ask(lambda: self._client.eval(_RELEASE_RESERVED, 1, key, reservation.token))

    async def save(
        self,
        response_id: str,
        turn: Turn,
        *,
        parent: Chain | None,
        owner: Owner,
        session_id: str | None,
        id_is_out: bool = False,
        reservation: Reservation | None = None,
    ) -> str:
        """Stores ``turn`` after ``parent`` and returns the response id it can be continued by.

        That is ``response_id``, or where another response has that id, a new one made from it. ``id_is_out``: the
        client has seen the id, so it stays. Raises Skipped when a limit is exceeded or an id that is out is taken.
        """
        record = await self._push(turn, parent, owner, session_id)
        while not await self._commit(response_id, record, reservation):
            if id_is_out:
                raise Skipped("Another response has the id that the client already knows.")
            response_id = different_id(response_id)
        return response_id

    async def _push(self, turn: Turn, parent: Chain | None, owner: Owner, session_id: str | None) -> Record:
        if parent is not None and conv.path_length(parent.record.path) >= self._max_turns:
            raise Skipped(f"The conversation has {self._max_turns} turns, the limit of REDIS_SESSION_PATCH_MAX_TURNS.")
        encoded = conv.encode_turn(turn)
        if len(encoded) > self._max_turn_bytes:
            raise Skipped(
                f"The turn has {len(encoded)} bytes, over REDIS_SESSION_PATCH_MAX_TURN_BYTES={self._max_turn_bytes}."
            )
        life = max(self._ttl_seconds, parent.record.turns_ttl_seconds if parent else 0)
        blank = Record("", (), turn.id, owner, session_id, turn.created, life)
        if parent is not None:
            name, path = parent.record.conversation, parent.record.path
            # Only onto the list that holds the ancestors: a new list of that name would not hold them.
            length = await self._append(name, [encoded], life, only_if_it_exists=True)
            if length > path[-1][1] + 1:
                return replace(blank, conversation=name, path=conv.extend_path(path, length - 1))
        # A first turn, or one whose ancestors went away since they were read: written with them.
        earlier = [conv.encode_turn(ancestor) for ancestor in parent.turns] if parent is not None else []
        name = conv.new_id()
        await self._append(name, [*earlier, encoded], life, only_if_it_exists=False)
        return replace(blank, conversation=name, path=((0, len(earlier)),))

    async def _append(self, name: str, encoded: list[bytes], life: int, *, only_if_it_exists: bool) -> int:
        key = self._turns_key(name)
        sealed = [self._cipher.seal(data, key) for data in encoded]
        pipeline = self._client.pipeline(transaction=False)
        (pipeline.rpushx if only_if_it_exists else pipeline.rpush)(key, *sealed)
        pipeline.expire(key, life + TURNS_GRACE_SECONDS)
        return int((await self._ask(pipeline.execute))[0])

    async def _commit(self, response_id: str, record: Record, reservation: Reservation | None) -> bool:
        key = self._session_key(response_id)
        value = self._cipher.seal(conv.encode_record(record), key)
        if reservation is None:
            return bool(await self._ask(lambda: self._client.set(key, value, ex=self._ttl_seconds, nx=True)))
        arguments = (key, reservation.token, value, self._ttl_seconds)
        return bool(await self._ask(lambda: self._client.eval(_COMMIT_RESERVED, 1, *arguments)))

    async def _ask(self, operation: Callable[[], Awaitable[Any]]) -> Any:
        from redis.exceptions import RedisError

        asked = asyncio.ensure_future(operation())
        # Given up, it may still fail: that is known, and its text is not for the log.
        asked.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            # In parts: after a standstill of the busy event loop, an answer that is there still counts.
            for _ in range(_PARTS_OF_TIMEOUT):
                if (await asyncio.wait({asked}, timeout=self._timeout_seconds / _PARTS_OF_TIMEOUT))[0]:
                    return asked.result()
        except (RedisError, OSError) as error:
            raise StoreUnavailable(_reason(error)) from error
        finally:
            asked.cancel()
        raise StoreUnavailable(f"no answer within {self._timeout_seconds:g} s")

    def _turns_life(self, record: Record) -> int:
        return max(self._ttl_seconds, record.turns_ttl_seconds) + TURNS_GRACE_SECONDS

    def _session_key(self, response_id: str) -> str:
        return f"{self._prefix}session:{response_id}"

    def _turns_key(self, name: str) -> str:
        return f"{self._prefix}turns:{name}"


def different_id(response_id: str) -> str:
    """A response id of its own for an answer whose provider repeated an id."""
    return f"{response_id}-{conv.new_id()}"


def _reason(error: Exception) -> str:
    # A code, never the text: redis-py quotes the failed command there, which holds messages.
    return next((code for code in _CODES if re.search(rf"\b{code}\b", str(error))), type(error).__name__)
