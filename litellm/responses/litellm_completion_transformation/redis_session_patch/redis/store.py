"""The turns of conversations in Redis.

``{prefix}{{conversation}}:turns``, ``:tree`` and ``:lives`` hold a conversation (see ``scripts``), in one slot of a
Cluster. One command reads a chain of turns of any length, two where it is large; one stores a turn. Nothing is read,
changed and written back. Work of our own (JSON, packing, encryption) comes before and after, and where a text is
large in a thread, so that it holds up nobody.
"""

import asyncio
import itertools
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from zlib import crc32

from ..values.cipher import Cipher
from ..values.deletions import without_deleted
from ..values.ids import Place, new_turn
from ..values.owner import PARTS, Owner
from ..values.packing import WINDOW_BYTES, pack, unpack
from ..values.results import Miss, NotStored, OddValue, Unreadable
from ..values.settings import Settings
from ..values.turns import NO_TURNS, Chain, Tip, Turn, decode_turns, encode_turn
from . import scripts
from .guard import LARGE_BYTES, Guard
from .metrics import Metrics
from .scripts import GRACE_SECONDS, Script

KEY_PREFIX = "litellm_patch:session:"

NO_TURN = "0"

# A text that is larger is worked on in a thread: of our own, lest large texts hold up what LiteLLM does in threads.
OFF_THE_LOOP_BYTES = 1 << 17
_WORKERS = ThreadPoolExecutor(2, "redis-session-work")

# What a first turn follows.
_START = Tip(Place("", NO_TURN), turns=0, bytes=0, size=0, crc=0, started=0)


class SessionStore:
    """Stores and reads turns by way of ``reads`` and ``writes``.

    Every verb names the owner: to anybody else there is nothing. What the guards raise goes through (see ``results``),
    but for an odd value: to a reader that is a miss.
    """

    def __init__(self, settings: Settings, reads: Guard, writes: Guard, prefix: str, metrics: Metrics):
        self._settings, self._reads, self._writes = settings, reads, writes
        self._prefix, self._metrics = prefix, metrics
        self._cipher = Cipher(settings.encryption_keys, required=settings.encryption_required)
        self._life = settings.ttl_seconds, settings.max_age_seconds or 0  # of a response, and of its conversation

    async def read(self, place: Place, owner: Owner) -> Chain | Miss:
        """The turns up to ``place``, the life of that response renewed; or why there are none."""
        asked_at, most_bytes = time.monotonic(), self._settings.max_conversation_bytes
        asked = place.turn, owner.identity, *self._life, self._settings.max_turns, most_bytes
        try:
            reply = await self._reads.run(self._asked(scripts.READ, place, *asked, LARGE_BYTES))
            if reply[0] == b"large":
                reply = await self._reads.run(self._asked(scripts.READ, place, *asked, most_bytes), int(reply[1]))
            if reply[0] != b"found":
                return Miss(str(reply[0], "ascii"))
            turns, stored, size, crc = map(int, reply[-1].partition(b"\n")[0].split(b" "))  # READ has looked at them
            tip = Tip(place, turns, stored, size, crc, int(reply[1]))
            chain: Chain = await off_the_loop(size, self._open, tip, reply, owner, asked_at)
            return chain
        except (OddValue, ValueError, LookupError, TypeError):  # Unreadable is a ValueError.
            return Miss.UNREADABLE

    async def delete(self, place: Place, owner: Owner) -> Miss | None:
        """Ends a response now: nothing continues it, and what no other response needs of its text is gone."""
        keys = *conversation_keys(self._prefix, place.conversation), events_key(self._prefix, place)
        arguments = place.turn, owner.identity, mark_life(self._settings)

        def end(client: Any) -> Any:
            return run_script(client, scripts.END, keys, *arguments)

        first = word = await self._writes.run(end)
        while word == b"left":
            word = await self._writes.run(end)
        return None if first in (b"found", b"unfinished", b"left") else Miss(str(first, "ascii"))

    async def compaction(self, place: Place, owner: Owner, made: str = "") -> str | Miss:
        """The compaction that stands for all up to ``place``, the first that was ``made``; empty: there is none."""
        run = self._asked(scripts.COMPACTED, place, place.turn, owner.identity, made)
        word, *text = await (self._writes if made else self._reads).run(run, len(made))
        return Miss(str(word, "ascii")) if word != b"found" else str(text[0], "ascii")

    async def append(self, place: Place, turns: Sequence[Turn], chain: Chain, owner: Owner) -> None:
        """Stores ``turns`` after ``chain``, the last of them at ``place``. Raises NotStored, or what the guards do."""
        goes_on = chain.tip is not None and chain.tip.place.conversation == place.conversation
        if goes_on and await self._append(place, turns, chain, owner):
            return
        # A first turn, or one whose turns before it are not in Redis (any more): written with them.
        if not await self._append(place, [*chain.turns, *turns], NO_TURNS, owner, chain):
            raise OddValue("Redis gave an answer that its script does not give.")

    async def _append(
        self, place: Place, turns: Sequence[Turn], chain: Chain, owner: Owner, anew: Chain = NO_TURNS
    ) -> bool:
        """Whether the last turn of ``chain`` was there to be followed. ``anew``: with what ``turns`` begin."""
        pieces: dict[str, bytes] = await off_the_loop(text_size(turns), self._seal, place, turns, chain, owner)
        size, tip, tags = sum(map(len, pieces.values())), chain.tip or anew.tip or _START, tags_of(turns)
        before, said = (chain.tip or _START).place.turn, " ".join(sorted(tags))
        arguments = before, owner.identity, *self._life, tip.started, said, *itertools.chain(*pieces.items())

        def write(client: Any) -> int:
            self._claim(client, place, owner, size)
            done = int(self._asked(scripts.APPEND, place, *arguments)(client))
            if done == 1 and anew is not NO_TURNS and self._is_gone(client, anew, tags, owner):
                self._asked(scripts.ERASE, place, mark_life(self._settings))(client)
                return -1
            return done

        done = await self._writes.run(write, size)
        if done == -1:
            raise NotStored("What it follows was deleted or erased meanwhile.")
        if done == -2:
            raise NotStored("The conversation has reached its longest life (REDIS_SESSION_PATCH_MAX_AGE).")
        if done == 1:
            self._metrics.record("turn_bytes", len(pieces[place.turn]))
        return done == 1

    def _claim(self, client: Any, place: Place, owner: Owner, size_bytes: int) -> None:
        """Raises NotStored where the owner's conversations would take more than they may."""
        if (most := self._settings.max_owner_bytes) is None:
            return
        arguments = place.conversation, size_bytes, mark_life(self._settings), most
        if not run_script(client, scripts.CLAIM, owner_keys(self._prefix, owner.identity), *arguments):
            raise NotStored(
                f"Its owner's conversations would take more than REDIS_SESSION_PATCH_MAX_OWNER_BYTES={most}."
            )

    def _is_gone(self, client: Any, chain: Chain, tags: Iterable[str], owner: Owner) -> bool:
        """Whether one of ``chain``'s people was erased, or its response deleted, since it was read.

        Nobody could find what was written anew from it. Asked after writing, as an erasure is marked before it looks:
        so one of the two sees the other.
        """
        passed = time.monotonic() - chain.asked_at + 1  # Redis' clock is asked for whole seconds.
        marks = {erased_key(self._prefix, part, digest) for tag in tags for part, digest in parts_of(tag)}
        if any(0 <= run_script(client, scripts.ERASED_AGO, [mark]) <= passed for mark in sorted(marks)):
            return True
        if chain.tip is None:
            return False
        nothing = self._settings.max_turns, self._settings.max_conversation_bytes, 0  # no byte is to be given
        asked = chain.tip.place.turn, owner.identity, *self._life, *nothing
        return bool(self._asked(scripts.READ, chain.tip.place, *asked)(client)[0] == b"deleted")

    def _seal(
        self, place: Place, turns: Sequence[Turn], chain: Chain, owner: Owner, is_alone: bool = False
    ) -> dict[str, bytes]:
        """Of each turn its header and sealed text; ``is_alone``: each can be opened without those before it.

        Raises NotStored.
        """
        context, pieces, settings = context_of(place.conversation, owner), dict[str, bytes](), self._settings
        tip, tail, before = chain.tip or _START, chain.tail, chain.turns[-1] if chain.turns else None
        parent, number, stored, size, crc = tip.place.turn, tip.turns, tip.bytes, tip.size, tip.crc
        for turn_id, turn in zip([*(new_turn() for _ in turns[1:]), place.turn], turns, strict=True):
            try:
                data = encode_turn(turn, None if is_alone else before)
            except (TypeError, ValueError, RecursionError) as error:
                raise NotStored(f"The turn has a form that cannot be stored ({type(error).__name__}).") from error
            _check_limit("The turn", "bytes", len(data), "TURN_BYTES", settings.max_turn_bytes)
            packed = pack(data, b"" if is_alone else tail)
            number, size, crc = number + 1, size + len(data), crc32(data, crc)
            stored += len(packed) + self._cipher.overhead
            head = b"%d %d %d %d\n" % (number, stored, size, crc)
            pieces[turn_id] = head + self._cipher.seal(packed, context, position_of(head, parent, turn_id))
            before, tail, parent = turn, (tail + data)[-WINDOW_BYTES:], turn_id
        _check_limit("The conversation", "turns", number, "TURNS", settings.max_turns)
        most_bytes = settings.max_conversation_bytes
        _check_limit("The conversation", "bytes", max(size, stored), "CONVERSATION_BYTES", most_bytes)
        return pieces

    def _open(self, tip: Tip, reply: list[Any], owner: Owner, asked_at: float) -> Chain:
        context, before, pieces = context_of(tip.place.conversation, owner), NO_TURN, []
        turn_ids = tuple(map(bytes.decode, reply[3::2]))
        for turn_id, value in zip(turn_ids, reply[4::2], strict=True):
            head, _, sealed = value.partition(b"\n")
            pieces.append(self._cipher.open(sealed, context, position_of(head + b"\n", before, turn_id)))
            before = turn_id
        text = unpack(pieces, tip.size, tip.crc)
        turns = decode_turns(text)
        if len(turns) != tip.turns:
            raise Unreadable("A stored conversation has another number of turns than its last one says.")
        number, _, deleted = reply[2].decode().partition(" ")
        is_full, tail = int(number) >= self._settings.max_turns, text[-WINDOW_BYTES:]
        return Chain(without_deleted(turns, turn_ids), tip, tail, asked_at, is_full, turn_ids, deleted)

    def _asked(self, script: Script, place: Place, *arguments: Any) -> Callable[[Any], Any]:
        keys = conversation_keys(self._prefix, place.conversation)
        return lambda client: run_script(client, script, keys, *arguments)


def run_script(client: Any, script: Script, keys: Sequence[str], *arguments: Any) -> Any:
    """What the script gives. Raises what redis-py does."""
    from redis.exceptions import NoScriptError

    try:
        return client.evalsha(script.sha, len(keys), *keys, *arguments)
    except NoScriptError:
        return client.eval(script, len(keys), *keys, *arguments)


async def off_the_loop(size_bytes: int, function: Callable[..., Any], *arguments: Any) -> Any:
    """What ``function`` gives; in a thread where the text that it works on is large."""
    if size_bytes < OFF_THE_LOOP_BYTES:
        return function(*arguments)
    return await asyncio.get_running_loop().run_in_executor(_WORKERS, function, *arguments)


def mark_life(settings: Settings) -> int:
    """Seconds that a mark of what was deleted lives: a full Redis may evict first what expires first."""
    return settings.ttl_seconds + GRACE_SECONDS


def parts_of(tag: str) -> Iterator[tuple[str, str]]:
    """Each part that is known of an owner's tag, and its digest."""
    return ((part, digest) for part, digest in zip(PARTS, tag.split("."), strict=False) if digest)


def key_prefix(namespace: str | None) -> str:
    """The beginning of every key. ``namespace``: of the proxy's cache, if it has one."""
    return f"{namespace}:{KEY_PREFIX}" if namespace else KEY_PREFIX


def conversation_keys(prefix: str, conversation: str) -> tuple[str, str, str]:
    head = f"{prefix}{{{conversation}}}:"
    return f"{head}turns", f"{head}tree", f"{head}lives"


def events_key(prefix: str, place: Place) -> str:
    """The key of the events of a background response, in its conversation's slot."""
    return f"{prefix}{{{place.conversation}}}:events:{place.turn}"


def owner_keys(prefix: str, identity: str | None) -> tuple[str, str]:
    head = f"{prefix}{{{identity}}}:"
    return f"{head}sizes", f"{head}ends"


def erased_key(prefix: str, part: str, digest: str) -> str:
    """The key that holds the time of an owner's last erasure, or ``running``. ``part``: one of ``PARTS``."""
    return f"{prefix}erased:{part}:{digest}"


def _check_limit(what: str, unit: str, number: int, setting: str, most: int) -> None:
    """Raises NotStored."""
    if number > most:
        raise NotStored(f"{what} has {number} {unit}, over REDIS_SESSION_PATCH_MAX_{setting}={most}.")


def tags_of(turns: Iterable[Turn]) -> Collection[str]:
    return {tag for turn in turns for tag in turn.by}


def text_size(turns: Iterable[Turn]) -> int:
    """About how many characters they hold."""
    size, left = 0, [value for turn in turns for value in (turn.input, turn.answer, turn.reply)]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            left.extend(value.values())
        elif isinstance(value, list | tuple):
            left.extend(value)
        else:
            size += len(value if isinstance(value, str) else getattr(value, "text", ""))
    return size


def context_of(conversation: str, owner: Owner) -> bytes:
    return f"{conversation} {owner.identity}".encode()


def position_of(head: bytes, before: str, turn: str) -> bytes:
    return b"%b%b/%b" % (head, before.encode(), turn.encode())
