"""Conversation objects in Redis: a name for the last turn of a tree, with metadata.

Turns on its path are packed each alone: so a few of them are listed, and others added, without reading the rest.
"""

import itertools
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..values.deletions import NOTHING_LEFT, said_items
from ..values.ids import Place, new_turn
from ..values.owner import Owner
from ..values.packing import unpack
from ..values.results import Locked, Miss, Moved, NotStored, OddValue, Unreadable
from ..values.turns import Chain, Tip, Turn, decode_turns
from . import object_scripts
from .guard import LARGE_BYTES
from .scripts import OBJECT
from .store import NO_TURN, SessionStore, context_of, off_the_loop, position_of, tags_of, text_size

HOLD_SECONDS = 30
_POSITION = b"conversation object"


@dataclass(frozen=True)
class Head:
    """A conversation object as it was read. ``text``: its metadata as Redis has it; ``created_at``: in seconds since
    the epoch; ``tip``: its last turn.
    """

    conversation: str
    metadata: Mapping[str, Any]
    text: bytes
    created_at: int
    tip: Tip | None


@dataclass(frozen=True)
class Listed:
    """One turn of it. ``deleted``: which of its items are, as ``d<turn>`` has it; ``before``: the turn before it."""

    place: Place
    turn: Turn
    deleted: str = ""
    before: str = NO_TURN


@dataclass(frozen=True)
class Listing:
    """``turns``: in the order that was asked for; ``is_cut``: there may be more."""

    head: Head
    turns: tuple[Listed, ...]
    is_cut: bool


class ConversationStore(SessionStore):
    """A ``SessionStore`` with conversation objects: ``conversation`` is the name of their tree."""

    async def make(self, conversation: str, metadata: Mapping[str, Any], turns: Sequence[Turn], owner: Owner) -> None:
        """A new one with these turns. Raises NotStored, or what the guards do."""
        head = Head(conversation, metadata, b"", 0, None)
        await self.go_on(head, turns, owner, fields={OBJECT: self._seal_object(head, owner)}, is_new=True)

    async def look(self, conversation: str, owner: Owner) -> Head | Miss:
        found = await self.list_turns(conversation, owner, 0)
        return found.head if isinstance(found, Listing) else found or Miss.UNREADABLE

    async def list_turns(
        self,
        conversation: str,
        owner: Owner,
        most_turns: int,
        begin: str = "",
        *,
        is_first_given: bool = True,
        order: str = "desc",
    ) -> Listing | Miss | None:
        """Some turns of it, from ``begin`` on, its life renewed. ``None``: ``begin`` is no turn of it."""
        asked = owner.identity, *self._life, order, begin, int(is_first_given), most_turns
        place, most_bytes = Place(conversation, OBJECT), self._settings.max_conversation_bytes
        try:
            reply = await self._reads.run(self._asked(object_scripts.LIST, place, *asked, LARGE_BYTES))
            if reply[0] == b"large":
                list_all = self._asked(object_scripts.LIST, place, *asked, most_bytes)
                reply = await self._reads.run(list_all, int(reply[1]))
            if reply[0] != b"found":
                return None if reply[0] == b"absent" else Miss(str(reply[0], "ascii"))
            size = sum(map(len, reply[7::5]))
            listing: Listing = await off_the_loop(size, self._open_listing, conversation, reply, owner)
            return listing
        except (OddValue, ValueError, LookupError, TypeError):
            return Miss.UNREADABLE

    async def talk(self, place: Place, owner: Owner, seconds: int = HOLD_SECONDS) -> Chain | Miss:
        """All turns of it, for the turn at ``place``, which holds it so long. Raises Locked while another does.

        ``seconds``: 0 to read it alone.
        """
        asked_at, most_bytes = time.monotonic(), self._settings.max_conversation_bytes
        asked = owner.identity, *self._life, self._settings.max_turns, most_bytes
        script, holds = object_scripts.TALK, (place.turn, seconds)
        try:
            reply = await self._writes.run(self._asked(script, place, *asked, LARGE_BYTES, *holds))
            if reply[0] == b"large":
                reply = await self._writes.run(self._asked(script, place, *asked, most_bytes, *holds), int(reply[1]))
            if reply[0] == b"locked":
                raise Locked("Another request is under way in the conversation.")
            if reply[0] != b"found":
                return Miss(str(reply[0], "ascii"))
            if len(reply) == 3:
                return Chain((), asked_at=asked_at)
            tip = _tip_of(place.conversation, reply[-2], reply[-1], reply[1])
            chain: Chain = await off_the_loop(tip.size, self._open, tip, reply, owner, asked_at)
            return chain
        except (OddValue, ValueError, LookupError, TypeError):
            return Miss.UNREADABLE

    async def hold(self, place: Place, seconds: int) -> None:
        """The turn at ``place`` holds it longer; 0: no longer."""
        await self._writes.run(self._asked(object_scripts.HOLD, place, place.turn, seconds))

    async def go_on(
        self,
        head: Head,
        turns: Sequence[Turn],
        owner: Owner,
        *,
        at: Place | None = None,
        is_living: bool = False,
        fields: Mapping[str, Any] | None = None,
        unlisted_inputs: int = 0,
        is_new: bool = False,
        is_claimed: bool = True,
    ) -> None:
        """Stores ``turns`` behind its last one, the last of them ``at`` the place that holds it, and ``fields`` beside.

        ``is_living``: as a response of its own too. ``unlisted_inputs``: of how many turns at the end the input is no
        item of it. ``is_claimed``: it counts among its owner's bytes. Raises Locked, Moved, NotStored, or what the
        guards do.
        """
        place = at or Place(head.conversation, new_turn())
        chain = Chain((), head.tip)
        pieces: dict[str, Any] = (
            await off_the_loop(text_size(turns), self._seal, place, turns, chain, owner, True) if turns else {}
        )
        size, last = sum(map(len, pieces.values())), next(reversed(pieces), "")
        unlisted = list(zip(pieces, turns, strict=True))[len(turns) - unlisted_inputs :]
        marks = {
            f"d{turn_id}": _mark_of_inputs(turn) if turn_id == last else NOTHING_LEFT for turn_id, turn in unlisted
        }
        last_read = "new" if is_new else head.tip.place.turn if head.tip is not None else NO_TURN
        arguments = (
            *(last_read, b"" if turns else head.text, owner.identity, *self._life),
            *(" ".join(sorted(tags_of(turns) or {owner.tag})), place.turn if at else "", last if is_living else ""),
            *itertools.chain(*pieces.items(), *marks.items(), *(fields or {}).items()),
        )

        texts = [text for text in (fields or {}).values() if isinstance(text, bytes)]
        claimed = size + sum(map(len, texts)) - (len(head.text) if texts else 0) if is_claimed else 0

        def write(client: Any) -> bytes:
            self._claim(client, place, owner, claimed)
            result = bytes(self._asked(object_scripts.ADD, place, *arguments)(client))
            if result != b"stored":
                self._claim(client, place, owner, -claimed)
            return result

        result = await self._writes.run(write, size)
        if result == b"stored":
            for piece in pieces.values():
                self._metrics.record("turn_bytes", len(piece))
            return
        if result == b"moved":
            raise Moved("The conversation went on meanwhile.")
        if result == b"locked":
            raise Locked("Another request is under way in the conversation.")
        if result == b"ended":
            raise NotStored("The conversation has reached its longest life (REDIS_SESSION_PATCH_MAX_AGE).")
        raise NotStored("The conversation was deleted, was erased or has expired meanwhile.")

    async def describe(self, head: Head, metadata: Mapping[str, Any], owner: Owner) -> None:
        """Gives it another metadata. Raises Moved where it has another one than was read, or as ``go_on`` does."""
        text = self._seal_object(Head(head.conversation, metadata, b"", 0, None), owner)
        await self.go_on(head, (), owner, fields={OBJECT: text})

    def _seal_object(self, head: Head, owner: Owner) -> bytes:
        # In ASCII, so that lone surrogates survive.
        text = json.dumps(head.metadata, separators=(",", ":")).encode()
        return self._cipher.seal(text, context_of(head.conversation, owner), _POSITION)

    def _open_listing(self, conversation: str, reply: list[Any], owner: Owner) -> Listing:
        _, started, text, tip, header, is_cut, *given = reply
        metadata = json.loads(self._cipher.open(text, context_of(conversation, owner), _POSITION))
        if not isinstance(metadata, dict):
            raise Unreadable("A conversation object's text is no object.")
        last = _tip_of(conversation, tip, header, started) if tip != NO_TURN.encode() else None
        turns = tuple(self._open_alone(conversation, given[n : n + 5], owner) for n in range(0, len(given), 5))
        return Listing(Head(conversation, metadata, text, int(started), last), turns, bool(is_cut))

    def _open_alone(self, conversation: str, given: Sequence[bytes], owner: Owner) -> Listed:
        turn, value, deleted, before, header = given
        head, _, sealed = value.partition(b"\n")
        position = position_of(head + b"\n", before.decode(), turn.decode())
        piece = self._cipher.open(sealed, context_of(conversation, owner), position)
        (_, _, size, crc), (_, _, size_before, crc_before) = _numbers(head), _numbers(header or b"0 0 0 0")
        (read,) = decode_turns(unpack([piece], size - size_before, crc, crc_before))
        return Listed(Place(conversation, turn.decode()), read, deleted.decode(), before.decode())


def _mark_of_inputs(turn: Turn) -> str:
    return " ".join(f"i{number}" for number in range(len(said_items(turn.items))))


def _numbers(header: bytes) -> list[int]:
    return list(map(int, header.split(b" ")))


def _tip_of(conversation: str, turn: bytes, text: bytes, started: bytes) -> Tip:
    """``text``: of the turn, or its header alone."""
    turns, stored, size, crc = _numbers(text.partition(b"\n")[0])
    return Tip(Place(conversation, turn.decode()), turns, stored, size, crc, int(started))
