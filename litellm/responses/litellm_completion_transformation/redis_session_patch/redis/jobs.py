"""Responses in the background, as Redis holds them: a record with a lease, and the events of a stream."""

import json
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..values.cipher import Cipher
from ..values.ids import Place
from ..values.owner import Owner
from ..values.results import Miss, OddValue, Unreadable
from ..values.settings import Settings
from ..values.turns import dump_json
from . import job_scripts
from .guard import Guard
from .metrics import Metrics
from .scripts import Script
from .store import conversation_keys, events_key, off_the_loop, run_script

LEASE_SECONDS = 15
EVENTS_AT_ONCE = 256

RUNNING = ("queued", "in_progress")

Shown = dict[str, Any]


@dataclass(frozen=True)
class Record:
    """A response in the background that is no turn. ``shown``: its reply by field, ``input`` what was said, and
    whether it is ``streamed``.
    """

    status: str
    shown: Shown


@dataclass(frozen=True)
class Event:
    """``is_last``: no other one follows."""

    number: int
    text: str
    is_last: bool = False


@dataclass(frozen=True)
class Page:
    """Events of a response. ``status``: ``found`` of one that is a turn. ``first``, ``last``: the numbers of those that
    there are, ``None`` without any. ``is_ended``: the last one is the stream's last one.
    """

    status: str
    first: int | None
    last: int | None
    is_ended: bool
    events: tuple[Event, ...]


class JobStore:
    """By way of ``reads`` and ``writes``, whose errors go through. To anybody but its owner no response is there."""

    def __init__(self, settings: Settings, reads: Guard, writes: Guard, prefix: str, metrics: Metrics):
        self._settings, self._reads, self._writes = settings, reads, writes
        self._prefix, self._metrics = prefix, metrics
        self._cipher = Cipher(settings.encryption_keys, required=settings.encryption_required)
        self._life = settings.ttl_seconds, settings.max_age_seconds or 0

    async def begin(self, place: Place, owner: Owner, shown: Shown) -> str | None:
        """The status, ``deleted``, or ``None`` where the owner has too many that run."""
        most = self._settings.max_owner_jobs
        keep, size = await self._kept(place, owner, "queued", shown)

        def write(client: Any) -> str | None:
            if not self._count(client, place, owner, most):
                return None
            return str(keep(client), "ascii")

        return await self._writes.run(write, size)

    async def keep(self, place: Place, owner: Owner, status: str, shown: Shown | None = None) -> str:
        """Renews the lease of one that runs, or ends it; ``shown``: ``None`` as before. Gives its status then."""
        keep, size = await self._kept(place, owner, status, shown)

        def write(client: Any) -> str:
            self._count(client, place, owner, 0 if status in RUNNING else -1)
            return str(keep(client), "ascii")

        return await self._writes.run(write, size)

    async def leave(self, place: Place, owner: Owner) -> None:
        """It does not count any more as one that runs."""
        await self._writes.run(lambda client: self._count(client, place, owner, -1))

    async def log(self, place: Place, owner: Owner, events: Sequence[Event], keep_from: int) -> str:
        """Adds events; those before the number ``keep_from`` go. Gives the response's status."""
        sealed = [self._seal_event(place, owner, event) for event in events]
        arguments = place.turn, self._settings.events_ttl_seconds, keep_from, *sealed
        run = self._asked(job_scripts.LOG, place, arguments)
        return str(await self._writes.run(run, sum(map(len, sealed))), "ascii")

    async def read(self, place: Place, owner: Owner, *, is_to_cancel: bool = False) -> Record | Miss | None:
        """``None``: it is a turn."""
        change = "cancelled" if is_to_cancel else ""
        run = self._asked(job_scripts.JOB, place, (place.turn, owner.identity, *self._life, change))
        guard = self._writes if is_to_cancel else self._reads
        try:
            word, *rest = await guard.run(run)
            if word == b"found":
                return None
            if word != b"unfinished":
                return Miss(str(word, "ascii"))
            self._note_loss(rest[1])
            shown = await off_the_loop(len(rest[2]), self._open, place, owner, rest[2])
            return Record(str(rest[0], "ascii"), shown)
        except (OddValue, ValueError, LookupError, TypeError):
            return Miss.UNREADABLE

    async def events(self, place: Place, owner: Owner, after: int) -> Page | Miss:
        """Those after the number ``after``, so many at most as are given at once."""
        run = self._asked(job_scripts.EVENTS, place, (place.turn, owner.identity, after, EVENTS_AT_ONCE))
        try:
            word, *rest = await self._reads.run(run)
            if word not in (b"found", b"unfinished"):
                return Miss(str(word, "ascii"))
            status, is_new, first, last, *sealed = rest
            self._note_loss(is_new)
            events = tuple(self._open_event(place, owner, each) for each in sealed)
            first_number, last_number = (int(head.split()[0]) if head else None for head in (first, last))
            return Page(str(status, "ascii"), first_number, last_number, last.endswith(b" end"), tuple(events))
        except (OddValue, ValueError, LookupError, TypeError):
            return Miss.UNREADABLE

    def _note_loss(self, is_new: int) -> None:
        """Once a response, by whoever asks first: who made it cannot tell."""
        if is_new:
            self._metrics.count("jobs", "lost")

    async def note_owner(self, foreign_id: str, owner: Owner) -> None:
        """Whose an answer is that has an id of LiteLLM's own."""
        keys, arguments = [self._foreign_key(foreign_id)], (owner.identity, max(86_400, self._settings.ttl_seconds))
        await self._writes.run(lambda client: run_script(client, job_scripts.NOTE_OWNER, keys, *arguments))

    async def owner_of(self, foreign_id: str) -> str | None:
        """The owner's identity; ``None``: nobody noted it."""
        keys = [self._foreign_key(foreign_id)]
        found = await self._reads.run(lambda client: run_script(client, job_scripts.OWNER, keys))
        return found.decode() if found else None

    async def _kept(self, place: Place, owner: Owner, status: str, shown: Shown | None) -> tuple[Any, int]:
        sealed = await off_the_loop(_size(shown), self._seal, place, owner, shown) if shown is not None else b""
        lease = LEASE_SECONDS if status in RUNNING else 0
        events_life = max(lease, self._settings.events_ttl_seconds)
        arguments = place.turn, owner.identity, *self._life, lease, status, owner.tag, sealed, events_life
        return self._asked(job_scripts.KEEP, place, arguments), len(sealed)

    def _count(self, client: Any, place: Place, owner: Owner, most: int) -> bool:
        key, member = f"{self._prefix}{{{owner.identity}}}:jobs", f"{place.conversation}/{place.turn}"
        return bool(run_script(client, job_scripts.COUNT, [key], member, LEASE_SECONDS, most))

    def _asked(self, script: Script, place: Place, arguments: Iterable[Any]) -> Any:
        keys = *conversation_keys(self._prefix, place.conversation), events_key(self._prefix, place)
        return lambda client: run_script(client, script, keys, *arguments)

    def _foreign_key(self, foreign_id: str) -> str:
        return f"{self._prefix}of:{foreign_id}"

    def _seal(self, place: Place, owner: Owner, shown: Shown) -> bytes:
        data = zlib.compress(dump_json(shown).encode("utf-8", "surrogatepass"))
        return self._cipher.seal(data, _context(place, owner), f"job {place.turn}".encode())

    def _open(self, place: Place, owner: Owner, sealed: bytes) -> Shown:
        """Raises Unreadable, or ValueError."""
        data = self._cipher.open(sealed, _context(place, owner), f"job {place.turn}".encode())
        try:
            shown = json.loads(zlib.decompress(data).decode("utf-8", "surrogatepass"))
        except zlib.error as error:
            raise Unreadable("A response in the background is damaged.") from error
        if not isinstance(shown, dict):
            raise Unreadable("A response in the background has another form.")
        return shown

    def _seal_event(self, place: Place, owner: Owner, event: Event) -> bytes:
        head = f"{event.number} {'end' if event.is_last else ''}".encode()
        data = event.text.encode("utf-8", "surrogatepass")
        return head + b"\n" + self._cipher.seal(data, _context(place, owner), b"%b %b" % (place.turn.encode(), head))

    def _open_event(self, place: Place, owner: Owner, value: bytes) -> Event:
        head, _, sealed = value.partition(b"\n")
        data = self._cipher.open(sealed, _context(place, owner), b"%b %b" % (place.turn.encode(), head))
        number, _, end = head.partition(b" ")
        return Event(int(number), data.decode("utf-8", "surrogatepass"), end == b"end")


def _context(place: Place, owner: Owner) -> bytes:
    return f"{place.conversation} {owner.identity} background".encode()


def _size(shown: Shown | None) -> int:
    said = (shown or {}).get("input")
    return len(said) if isinstance(said, str) else 0
