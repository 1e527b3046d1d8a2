"""Turns and records in Redis.

``{prefix}session:{response id}`` holds a record; ``{prefix}{{conversation}}:turns``, ``:tree`` and ``:lives`` hold the
conversation (see ``scripts``), in one slot of a Cluster. Reading takes two round trips for a chain of any length,
writing a turn takes one. Nothing is read, changed and written back.
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol
from zlib import crc32

from . import conversation as conv
from . import scripts
from .cipher import CannotOpen, Cipher
from .conversation import Chain, Record, Turn
from .owner import PARTS, Owner
from .packing import WINDOW_BYTES, Unpackable, pack, unpack
from .results import Miss, NotStored, OddValue
from .scripts import Script
from .settings import Settings

Call = Callable[[Callable[[Any], Awaitable[Any]]], Awaitable[Any]]

_Command = tuple[Any, ...]  # a script, its keys, and its arguments

KEY_PREFIX = "litellm_patch:"

# Turns outlive the records that lead to them, so that a record never points at expired turns.
GRACE_SECONDS = 60

# A reservation lives as long as a stream may last; one that ended is replaced or given up.
RESERVATION_TTL_SECONDS = 900
_RESERVED = b"R"

# Before the record of a deleted response, which stays a while lest the response is looked for elsewhere.
DELETED = b"D"

_OFF_THE_LOOP_BYTES = 1 << 18  # more is packed and unpacked in a thread, so that other requests go on


class Budget(Protocol):
    """What an operation may take; it grows with the bytes to move."""

    def add_bytes(self, size_bytes: int) -> None: ...


class Reservation:
    """A response id that is ours before its turn is stored. ``token``: what stands in its place."""

    def __init__(self, response_id: str, token: bytes | None = None):
        self.response_id = response_id
        self.token = token or _RESERVED + secrets.token_bytes(16)


@dataclass
class _Place:
    """Where a record goes. ``held``: what of ours may stand there; ``value``: the record."""

    key: str
    held: bytes = b""
    value: bytes = b""
    is_ours: bool = False


class SessionStore:
    """Saves and loads turns through ``call``, which gives each command a Redis client, twice if a connection broke.

    What ``call`` raises goes through (see ``results``), but for an odd value: to a reader that is a miss.
    """

    def __init__(
        self,
        call: Call,
        settings: Settings,
        cipher: Cipher,
        *,
        namespace: str | None = None,
        clock: Callable[[], float] = time.time,
        observe_turn_bytes: Callable[[int], None] = lambda size_bytes: None,
    ):
        self._call = call
        self._settings = settings
        self._cipher = cipher
        self._prefix = key_prefix(namespace)
        self._clock = clock
        self._observe_turn_bytes = observe_turn_bytes

    async def ping(self) -> None:
        await self._call(lambda client: client.ping())

    async def memory(self) -> dict[str, Any]:
        """What Redis says of its memory: bytes used, the most it may use (0: no limit), and what it evicts then."""
        info = await self._call(lambda client: client.info("memory"))
        return {name: info.get(name) for name in ("used_memory", "maxmemory", "maxmemory_policy")}

    async def load(self, response_id: str, may_continue: Callable[[Owner], bool], budget: Budget) -> Chain | Miss:
        """The turns of a response, its life renewed; or why there are none."""
        asked_at = time.monotonic()
        try:
            found = await self._find(response_id, may_continue)
            if isinstance(found, Miss):
                return found
            record, _ = found
            life = self._life(record.started)
            if life < 1:
                return Miss.UNKNOWN
            if self._is_too_large(record):
                return Miss.TOO_LARGE
            budget.add_bytes(record.bytes)
            path = await self._call(partial(self._read_path, record, self._session_key(response_id), life))
            if not path:
                return Miss.INCOMPLETE
            chain: Chain = await _off_the_loop(record.bytes, self._open_chain, record, path, asked_at)
            return chain
        except (CannotOpen, Unpackable, conv.Unreadable, OddValue):
            return Miss.UNREADABLE

    async def delete(self, response_id: str, may_continue: Callable[[Owner], bool]) -> bytes | Miss:
        """Ends a response now: nothing continues it, and what no other response needs of its text is gone.

        Gives what stands in its place.
        """
        try:
            found = await self._find(response_id, may_continue)
        except (CannotOpen, conv.Unreadable, OddValue):
            return Miss.UNREADABLE
        if isinstance(found, Miss):
            return found
        record, value = found
        life = mark_life(self._settings)
        await self._run(scripts.END, self._conversation_keys(record.conversation), record.turn, life)
        # Last, so that one which failed half-way can be tried again.
        mark = DELETED + value
        await self._run(scripts.MARK, (self._session_key(response_id),), value, mark, life)
        return mark

    async def save(
        self,
        response_id: str,
        turn: Turn,
        chain: Chain,
        budget: Budget,
        *,
        owner: Owner,
        reservation: Reservation | None = None,
        id_is_out: bool = False,
    ) -> str:
        """Stores ``turn`` after ``chain`` and returns the response id it can be continued by.

        That is ``response_id``, or where another response has that id, a new one made from it. ``id_is_out``: the
        client has seen the id, so it stays. Raises NotStored when a limit is exceeded or an id that is out is taken.
        """
        place = _Place(self._session_key(response_id), reservation.token if reservation is not None else b"")
        record = await self._append(turn, chain, owner, budget, place)
        while not place.is_ours:
            if id_is_out:
                raise NotStored("Another response has the id that the client already knows.")
            response_id = different_id(response_id)
            place = _Place(self._session_key(response_id))
            place.is_ours = bool(await self._run(*self._commit(record, place)))
        return response_id

    async def reserve(self, reservation: Reservation) -> bool:
        """Takes an id for a turn to come; ``False`` where another response has it."""
        key = self._session_key(reservation.response_id)
        return bool(await self._run(scripts.COMMIT, (key,), b"", reservation.token, RESERVATION_TTL_SECONDS))

    async def release(self, reservation: Reservation) -> None:
        await self._run(scripts.RELEASE, (self._session_key(reservation.response_id),), reservation.token)

    async def is_taken(self, response_id: str) -> bool:
        """Whether a response is stored under this id."""
        return bool(await self._call(lambda client: client.exists(self._session_key(response_id))))

    async def _find(self, response_id: str, may_continue: Callable[[Owner], bool]) -> tuple[Record, bytes] | Miss:
        """A response's record, and its bytes."""
        key = self._session_key(response_id)
        value: bytes | None = await self._call(lambda client: client.get(key))
        _expect(value is None or isinstance(value, bytes))
        if value is None or value[:1] == _RESERVED:
            return Miss.UNKNOWN
        head, _, seal = value.removeprefix(DELETED).partition(b"\n")
        self._cipher.open(seal, key.encode() + head)
        record = conv.decode_record(head)
        if not may_continue(record.owner):
            return Miss.DENIED
        return Miss.DELETED if value.startswith(DELETED) else (record, value)

    def _is_too_large(self, record: Record) -> bool:
        limit = self._settings.max_conversation_bytes
        return record.turns > self._settings.max_turns or max(record.size, record.bytes) > limit

    async def _read_path(self, record: Record, session_key: str, life: int, client: Any) -> list[bytes] | None:
        keys = self._conversation_keys(record.conversation)
        read = (scripts.READ, keys, record.turn, record.turns, record.bytes, life + GRACE_SECONDS)
        path, prolonged = await _run_together((read, (scripts.PROLONG, (session_key,), life)), client)
        for reply in (path, prolonged):
            if isinstance(reply, Exception):
                raise reply
        found: list[bytes] | None = path
        _expect(found is None or (isinstance(found, list) and all(isinstance(each, bytes) for each in found)))
        _expect(not found or len(found) == 2 * record.turns)
        return found

    def _open_chain(self, record: Record, path: list[bytes], asked_at: float) -> Chain:
        key, before, pieces = self._conversation_keys(record.conversation)[0], conv.NO_TURN, []
        for turn_id, sealed in zip(map(bytes.decode, path[::2]), path[1::2], strict=True):
            pieces.append(self._cipher.open(sealed, _place(key, before, turn_id)))
            before = turn_id
        text = unpack(pieces, record.size, record.crc)
        turns = conv.decode_turns(text)
        if len(turns) != record.turns:
            raise conv.Unreadable("A stored conversation has another number of turns than its record says.")
        return Chain(turns, record, text[-WINDOW_BYTES:], asked_at)

    async def _append(self, turn: Turn, chain: Chain, owner: Owner, budget: Budget, place: _Place) -> Record:
        """The turn's record, which is in its place if that is free."""
        turn, before = replace(turn, by=(owner.tag,)), list(chain.turns)
        if chain.record is not None:
            known = replace(chain.record, owner=owner)
            if record := await self._append_to(known, [turn], chain.turns[-1], chain.tail, budget, place):
                return record
        # A first turn, or one whose turns before it are not in Redis (any more): written with them.
        started = chain.record.started if chain.record is not None else int(self._clock())
        blank = Record(conv.new_conversation(), conv.NO_TURN, 0, 0, 0, 0, started, owner)
        if chain.record is not None:  # Turns from before they said whose they are belong to the record's owner.
            before = [each if each.by else replace(each, by=(chain.record.owner.tag,)) for each in before]
        record = await self._append_to(blank, [*before, turn], None, b"", budget, place)
        if record is None:
            raise AssertionError("A new conversation has nothing to follow.")
        if before:
            await self._take_back_erased(record, _tags_of([*before, turn]), chain.asked_at, place)
        return record

    async def _take_back_erased(self, record: Record, tags: Iterable[str], asked_at: float, place: _Place) -> None:
        """Takes out a conversation that was written anew if one of its people was erased since ``asked_at``.

        Their erasure could not find it. Asked after writing, as an erasure is marked before it looks: so one of the two
        sees the other. Raises NotStored.
        """
        marks = {erased_key(self._prefix, part, digest) for tag in tags for part, digest in parts_of(tag)}
        commands = [(scripts.ERASED_AGO, (mark,)) for mark in marks]
        agos = await self._call(partial(_run_together, commands))
        _raise_first(agos)
        passed = time.monotonic() - asked_at + 1  # Redis' clock is asked for whole seconds.
        if any(0 <= ago <= passed for ago in agos):
            await self._run(scripts.ERASE, self._conversation_keys(record.conversation), mark_life(self._settings))
            if place.is_ours:
                await self._run(scripts.RELEASE, (place.key,), place.value)
            raise NotStored("Somebody who took part in the conversation was erased meanwhile.")

    async def _append_to(
        self, record: Record, turns: list[Turn], before: Turn | None, tail: bytes, budget: Budget, place: _Place
    ) -> Record | None:
        """The record of the last one of ``turns``; ``None`` when the turn that they follow has gone."""
        keys = self._conversation_keys(record.conversation)
        follows, arguments = record.turn, list[Any]()
        for turn in turns:
            data = self._encode(turn, before)
            piece = await _off_the_loop(len(data), pack, data, tail)
            turn_id = conv.new_turn_id()
            sealed = self._cipher.seal(piece, _place(keys[0], record.turn, turn_id))
            before, tail = turn, (tail + data)[-WINDOW_BYTES:]
            record = replace(
                record,
                turn=turn_id,
                turns=record.turns + 1,
                bytes=record.bytes + len(sealed),
                size=record.size + len(data),
                crc=crc32(data, record.crc),
            )
            arguments += [turn_id, sealed]
        self._check_limits(record)
        budget.add_bytes(sum(map(len, arguments)))
        life = self._life(record.started)
        if life < 1:
            raise NotStored("The conversation has reached its longest life (REDIS_SESSION_PATCH_MAX_AGE).")
        tags = _tags_of(turns)
        append = (scripts.APPEND, keys, life + GRACE_SECONDS, follows, len(tags), *tags, *arguments)
        done = await self._call(partial(_append_and_commit, append, self._commit(record, place), place))
        if done < 0:
            raise NotStored("The response that it follows was deleted meanwhile.")
        if not done:
            return None
        self._observe_turn_bytes(len(arguments[-1]))
        return record

    def _commit(self, record: Record, place: _Place) -> _Command:
        """What puts the record in its place."""
        head = conv.encode_record(record)
        place.value = head + b"\n" + self._cipher.seal(b"", place.key.encode() + head)
        return scripts.COMMIT, (place.key,), place.held, place.value, self._life(record.started)

    async def _run(self, script: Script, keys: tuple[str, ...], *arguments: Any) -> Any:
        reply = await self._call(lambda client: run_script(client, script, keys, *arguments))
        _expect(isinstance(reply, int))
        return reply

    def _encode(self, turn: Turn, before: Turn | None) -> bytes:
        try:
            data = conv.encode_turn(turn, before)
        except (TypeError, ValueError, RecursionError) as error:
            raise NotStored(f"The turn has a form that cannot be stored ({type(error).__name__}).") from error
        if len(data) > self._settings.max_turn_bytes:
            limit = f"REDIS_SESSION_PATCH_MAX_TURN_BYTES={self._settings.max_turn_bytes}"
            raise NotStored(f"The turn has {len(data)} bytes, over {limit}.")
        return data

    def _check_limits(self, record: Record) -> None:
        if record.turns > self._settings.max_turns:
            limit = f"REDIS_SESSION_PATCH_MAX_TURNS={self._settings.max_turns}"
            raise NotStored(f"The conversation has {record.turns} turns, over {limit}.")
        if record.size > self._settings.max_conversation_bytes:
            limit = f"REDIS_SESSION_PATCH_MAX_CONVERSATION_BYTES={self._settings.max_conversation_bytes}"
            raise NotStored(f"The conversation has {record.size} bytes, over {limit}.")

    def _life(self, started: int) -> int:
        """Seconds that a response of a conversation may live from now on."""
        if self._settings.max_age_seconds is None:
            return self._settings.ttl_seconds
        return min(self._settings.ttl_seconds, started + self._settings.max_age_seconds - int(self._clock()))

    def _session_key(self, response_id: str) -> str:
        return f"{self._prefix}session:{response_id}"

    def _conversation_keys(self, conversation: str) -> tuple[str, str, str]:
        return conversation_keys(self._prefix, conversation)


def mark_life(settings: Settings) -> int:
    """Seconds that a mark of what was deleted lives at least.

    A full Redis may evict the keys that expire first, so a mark must not expire before what it guards.
    """
    return settings.ttl_seconds + GRACE_SECONDS


def parts_of(tag: str) -> Iterator[tuple[str, str]]:
    """Each part that is known of an owner's tag, and its digest; older tags have fewer parts."""
    return ((part, digest) for part, digest in zip(PARTS, tag.split("."), strict=False) if digest)


def erased_key(prefix: str, part: str, digest: str) -> str:
    """The key that holds the time of an owner's last erasure, or ``running``. ``part``: one of ``PARTS``."""
    return f"{prefix}erased:{part}:{digest}"


def _tags_of(turns: Iterable[Turn]) -> Collection[str]:
    return {tag for turn in turns for tag in turn.by}


def key_prefix(namespace: str | None) -> str:
    """The beginning of every key. ``namespace``: of the proxy's cache, if it has one."""
    return f"{namespace}:{KEY_PREFIX}" if namespace else KEY_PREFIX


def conversation_keys(prefix: str, conversation: str) -> tuple[str, str, str]:
    head = f"{prefix}{{{conversation}}}:"
    return f"{head}turns", f"{head}tree", f"{head}lives"


async def _append_and_commit(append: _Command, commit: _Command, place: _Place, client: Any) -> int:
    """What APPEND gives; ``place`` knows what COMMIT gave. In one round trip.

    A record may be there while its turn is not yet (on a Cluster they are on two nodes) or has been refused: that is a
    miss to who guesses the id, for nobody has been told it, and what stood there before is put back.
    """
    replies = await _run_together((append, commit), client)
    appended, committed = replies
    place.is_ours = committed == 1 and appended == 1
    if committed == 1 and appended != 1:
        before = (scripts.MARK, 1, place.key, place.value, place.held, commit[-1])
        with contextlib.suppress(Exception):  # Then it expires.
            await client.eval(*(before if place.held else (scripts.RELEASE, 1, place.key, place.value)))
    _raise_first(replies)
    return int(appended)


async def run_script(client: Any, script: Script, keys: Sequence[str], *arguments: Any) -> Any:
    """What the script gives. Raises what redis-py does."""
    try:
        return await client.evalsha(script.sha, len(keys), *keys, *arguments)
    except Exception as error:
        if not _is_unknown_script(error):
            raise
    return await client.eval(script, len(keys), *keys, *arguments)


async def _run_together(commands: Sequence[_Command], client: Any) -> list[Any]:
    """The replies of the commands, or their errors, in one round trip."""
    for is_known in (True, False):
        pipeline = client.pipeline(transaction=False)
        for script, keys, *arguments in commands:
            if is_known:
                # A Cluster's pipeline has no evalsha, lest a node does not know the script; that is seen to here.
                pipeline.execute_command("EVALSHA", script.sha, len(keys), *keys, *arguments)
            else:
                pipeline.eval(script, len(keys), *keys, *arguments)
        replies: list[Any] = await pipeline.execute(raise_on_error=False)
        if not any(map(_is_unknown_script, replies)):
            break
    return replies


def _raise_first(replies: Iterable[Any]) -> None:
    """Raises the first error among the replies of scripts that give a number."""
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
        _expect(isinstance(reply, int))


def _is_unknown_script(reply: Any) -> bool:
    from redis.exceptions import NoScriptError

    return isinstance(reply, NoScriptError)


def _expect(is_of_its_type: bool) -> None:
    if not is_of_its_type:
        raise OddValue("Redis gave a reply of another type")


def _place(turns_key: str, before: str, turn_id: str) -> bytes:
    return f"{turns_key}/{before}/{turn_id}".encode()


def different_id(response_id: str) -> str:
    """A response id of its own for an answer whose provider repeated an id."""
    return f"{response_id}-{secrets.token_hex(8)}"


async def _off_the_loop(size_bytes: int, function: Callable[..., Any], *arguments: Any) -> Any:
    if size_bytes < _OFF_THE_LOOP_BYTES:
        return function(*arguments)
    return await asyncio.to_thread(function, *arguments)
