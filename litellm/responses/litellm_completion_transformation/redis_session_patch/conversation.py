"""What is stored: turns, the record of a response, and the path of turns that leads to it.

A conversation is an append-only list of turns. Branches share it: the path of a response names the list indexes
of its own ancestors, as ranges, so a straight conversation is one range however long it grows.
"""

import json
import secrets
from dataclasses import dataclass
from typing import Any

from .owner import Owner

FORMAT = 1

Path = tuple[tuple[int, int], ...]


class Unreadable(ValueError):
    """Stored bytes are not a record or a turn of this format."""


@dataclass(frozen=True)
class Turn:
    """One request and its answer, whole and provider-neutral.

    ``input``: the client's input, a string or Responses items, as sent. ``answer``: chat messages, one a choice.
    ``parent``: the id of the turn before, ``None`` for a first turn. ``maker``: whose model answered.
    ``earlier``: chat messages that preceded a first turn and came from elsewhere (the database).
    ``created``: seconds since the epoch.
    """

    id: str
    parent: str | None
    input: Any
    instructions: str | None
    answer: tuple[dict[str, Any], ...]
    maker: str | None = None
    created: float = 0.0
    earlier: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Record:
    """Where the turns of a response are. ``leaf``: the id of its own turn, the last one on ``path``.

    ``turns_ttl_seconds``: the longest life that any response on this path was promised.
    """

    conversation: str
    path: Path
    leaf: str
    owner: Owner
    session_id: str | None
    created: float
    turns_ttl_seconds: int


@dataclass(frozen=True)
class Chain:
    """A response's record with all its turns, oldest first."""

    record: Record
    turns: tuple[Turn, ...]


def new_id() -> str:
    return secrets.token_hex(8)


def encode_turn(turn: Turn) -> bytes:
    """JSON bytes, ASCII only: NUL characters and lone surrogates survive. Raises TypeError for what JSON lacks."""
    return _encode({"v": FORMAT, **vars(turn)})


def decode_turn(data: bytes) -> Turn:
    fields = _decode(data)
    try:
        return Turn(**{**fields, "answer": tuple(fields["answer"]), "earlier": tuple(fields["earlier"])})
    except (KeyError, TypeError) as error:
        raise Unreadable(f"A stored turn lacks a field ({error}).") from error


def encode_record(record: Record) -> bytes:
    return _encode({"v": FORMAT, **vars(record), "owner": vars(record.owner)})


def decode_record(data: bytes) -> Record:
    fields = _decode(data)
    try:
        path = tuple((int(first), int(last)) for first, last in fields["path"])
        return Record(**{**fields, "path": path, "owner": Owner(**fields["owner"])})
    except (KeyError, TypeError, ValueError) as error:
        raise Unreadable(f"A stored response lacks a field ({error}).") from error


def extend_path(path: Path, index: int) -> Path:
    """``path`` with one more turn, which stands at ``index`` of the conversation's list."""
    if path and path[-1][1] + 1 == index:
        return (*path[:-1], (path[-1][0], index))
    return (*path, (index, index))


def path_length(path: Path) -> int:
    return sum(last - first + 1 for first, last in path)


def is_whole(record: Record, turns: tuple[Turn, ...]) -> bool:
    """Whether ``turns`` are all turns of the path, each the child of the one before, ending in the record's own."""
    if len(turns) != path_length(record.path) or not turns:
        return False
    parents = (None, *(turn.id for turn in turns[:-1]))
    return turns[-1].id == record.leaf and all(
        turn.parent == parent for turn, parent in zip(turns, parents, strict=True)
    )


def _encode(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, separators=(",", ":"), default=_plain).encode("ascii")


def _decode(data: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(data)
    except ValueError as error:
        raise Unreadable("A stored value is not JSON.") from error
    if not isinstance(fields, dict) or fields.pop("v", None) != FORMAT:
        raise Unreadable(f"A stored value is not of format {FORMAT}.")
    return fields


def _plain(value: object) -> object:
    dump = getattr(value, "model_dump", None)
    if dump is None:
        raise TypeError(f"{type(value).__name__} cannot be stored.")
    return dump(exclude_none=True)
