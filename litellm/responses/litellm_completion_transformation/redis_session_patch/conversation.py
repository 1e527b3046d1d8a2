"""What is stored: the turns of a conversation, and a small record for each response; their bytes, checked when read.

A conversation is a tree of turns. A response's record names its own turn; the turns before it are found from there,
so a record has the same size however long the conversation grows.
"""

import json
import math
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .owner import Owner
from .replies import lengthen, shorten
from .shapes import is_input, is_message, is_text

FORMAT = 2  # changes only when an older reader would be wrong

NO_TURN = "0"
_TURN_BITS = 48  # Redis keeps a turn as a score too, exact up to 53 bits


class Unreadable(ValueError):
    """Stored bytes are no record or turn of this format, or the values in it cannot be what was stored."""


@dataclass(frozen=True)
class JsonText:
    """A client's input as JSON, taken at a time when nobody had changed it yet. ``is_odd``: see ``encode_turn``."""

    text: str
    is_odd: bool


@dataclass(frozen=True)
class Turn:
    """One request and its answer, whole and provider-neutral.

    ``input``: the client's input, a string or Responses items, as sent. ``answer``: chat messages, one a choice.
    ``maker``: whose model answered. ``session_id``: under which upstream logs the conversation. A history that was
    given by the database is kept as such turns too. ``reply``: the response as its client got it, by field, without its
    id; ``None``: never was one, or of another form. ``by``: who took part in it, as owner tags; none: nobody knows.
    """

    input: Any
    answer: tuple[dict[str, Any], ...] = ()
    instructions: str | None = None
    maker: str | None = None
    session_id: str | None = None
    reply: dict[str, Any] | None = None
    by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Record:
    """Where a response's turns are, and who may read them.

    ``turn``: its own. With all turns before it: ``turns``, their number; ``bytes``, what they take in Redis; ``size``
    and ``crc``, bytes and CRC-32 of their text. ``started``: when the conversation began, in seconds since the epoch.
    """

    conversation: str
    turn: str
    turns: int
    bytes: int
    size: int
    crc: int
    started: int
    owner: Owner


@dataclass(frozen=True)
class Chain:
    """A response's turns, oldest first. ``record``: ``None`` for turns that are not in Redis.

    ``tail``: the end of their text, against which the next turn is compressed. ``asked_at``: when they were asked for,
    in seconds of ``time.monotonic``: who was erased later is still in them.
    """

    turns: tuple[Turn, ...]
    record: Record | None = None
    tail: bytes = b""
    asked_at: float = field(default_factory=time.monotonic, compare=False)


NO_TURNS = Chain(())


def new_conversation() -> str:
    return secrets.token_urlsafe(8)


def new_turn_id() -> str:
    return str(1 + secrets.randbits(_TURN_BITS))


def take_down(client_input: Any) -> JsonText:
    """Raises TypeError or ValueError for what JSON lacks."""
    return JsonText(dump_json(client_input), not is_input(client_input))


def encode_turn(turn: Turn, before: Turn | None) -> bytes:
    """The turn's part of its conversation's text: a JSON object and a comma. NUL and lone surrogates survive.

    Instructions and owners that are those of the turn ``before`` are ``true``; of a reply, what ``replies`` makes of
    it. An input of no known shape that upstream took all the same is ``odd``, so that a reader does the same. Raises
    TypeError or ValueError for what JSON lacks, and for an answer that could not be read again.
    """
    client_input = turn.input if isinstance(turn.input, JsonText) else take_down(turn.input)
    _check(all(map(is_message, turn.answer)), "an answer")
    _check_texts(turn.instructions, turn.maker, turn.session_id)
    is_as_before = before is not None and turn.instructions is not None and turn.instructions == before.instructions
    rest: dict[str, Any] = {"answer": turn.answer, "maker": turn.maker, "session": turn.session_id}
    rest["instructions"] = True if is_as_before else turn.instructions
    if turn.reply is not None:
        rest |= shorten(turn.reply, _reply_of(before), _texts_of(vars(turn)))
    rest["odd"] = True if client_input.is_odd else None
    rest["by"] = (True if before is not None and turn.by == before.by else turn.by) if turn.by else None
    said = {name: value for name, value in rest.items() if value is not None}
    return f'{{"v":{FORMAT},"input":{client_input.text},{dump_json(said)[1:]},'.encode("utf-8", "surrogatepass")


def decode_turns(text: bytes) -> tuple[Turn, ...]:
    """Raises Unreadable."""
    turns: list[Turn] = []
    for fields in _load_json(b"[%s]" % text[:-1]):
        _check(isinstance(fields, dict) and fields.get("v") == FORMAT, "a turn")
        if fields.get("instructions") is True:
            _check(turns and turns[-1].instructions is not None, "instructions")
            fields["instructions"] = turns[-1].instructions
        _check(is_input(fields.get("input")) or fields.get("odd") is True, "an input")
        answer = fields.get("answer", [])
        _check(isinstance(answer, list) and all(map(is_message, answer)), "an answer")
        instructions, maker, session = (fields.get(name) for name in ("instructions", "maker", "session"))
        _check_texts(instructions, maker, session)
        reply = _reply_in(fields, turns[-1] if turns else None)
        by = turns[-1].by if fields.get("by") is True and turns else fields.get("by", ())
        _check(isinstance(by, list | tuple) and all(map(_is_tag, by)), "an owner")
        turns.append(Turn(fields.get("input"), tuple(answer), instructions, maker, session, reply, tuple(by)))
    return tuple(turns)


def _reply_in(fields: dict[str, Any], before: Turn | None) -> dict[str, Any] | None:
    if fields.get("response") is None:
        return None
    try:
        return lengthen(fields, _reply_of(before), _texts_of(fields))
    except (LookupError, TypeError, ValueError) as error:
        raise Unreadable("A stored response has parts that cannot be.") from error


def _reply_of(turn: Turn | None) -> dict[str, Any]:
    return (turn.reply if turn is not None else None) or {}


def _texts_of(turn: Mapping[str, Any]) -> dict[str, Any]:
    """Where a reply's texts may stand in its turn too."""
    return {name: turn.get(name) for name in ("answer", "instructions")}


def encode_record(record: Record) -> bytes:
    """A JSON object on one line: format, conversation, turn; number, bytes, size and CRC of the turns; start, owner."""
    owner = record.owner
    return dump_json(
        {
            "v": FORMAT,
            "c": record.conversation,
            "t": record.turn,
            "n": record.turns,
            "b": record.bytes,
            "s": record.size,
            "k": record.crc,
            "a": record.started,
            "o": _owner_to_json(owner),
        }
    ).encode()


def decode_record(data: bytes) -> Record:
    """Raises Unreadable."""
    fields = _load_json(data)
    _check(isinstance(fields, dict) and fields.get("v") == FORMAT, "a format")
    conversation, turn, owner = fields.get("c"), fields.get("t"), fields.get("o")
    _check(_is_token(conversation), "a conversation")
    _check(isinstance(turn, str) and re.fullmatch(r"[1-9][0-9]{0,14}", turn), "a turn")
    _check(isinstance(owner, list) and len(owner) >= 2, "an owner")
    _check(all(part is None or _is_token(part) for part in owner), "an owner")
    numbers: list[Any] = [fields.get(name) for name in "nbska"]
    _check(all(type(number) is int and 0 <= number < 1 << 48 for number in numbers) and numbers[0] > 0, "a number")
    turns, stored_bytes, size, crc, started = numbers
    return Record(conversation, turn, turns, stored_bytes, size, crc, started, Owner(*owner[:5]))


def _owner_to_json(owner: Owner) -> list[str | None]:
    """What identifies the owner, in the order of its fields, and nothing else."""
    if owner.user or owner.team:
        return [owner.user, owner.team]
    return [None, None, owner.key] if owner.key else [None, None, None, owner.end_user, owner.organization]


def dump_json(value: object) -> str:
    return _TO_JSON.encode(value)


def _plain(value: object) -> object:
    dump = getattr(value, "model_dump", None)
    if dump is None:
        raise TypeError(f"{type(value).__name__} cannot be stored.")
    return dump(exclude_none=True)


_TO_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_plain, allow_nan=False)


def _load_json(data: bytes) -> Any:
    try:
        return _JSON.decode(data.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise Unreadable("A stored value is not JSON.") from error


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


_JSON = json.JSONDecoder(parse_constant=_finite, parse_float=_finite)


def _is_token(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[\w-]{1,32}", value, re.ASCII) is not None


def _is_tag(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[\w.-]{1,200}", value, re.ASCII) is not None


def _check_texts(*texts: Any) -> None:
    _check(all(text is None or is_text(text) for text in texts), "a text")


def _check(is_right: object, what: str) -> None:
    if not is_right:
        raise Unreadable(f"A stored value has {what} that cannot be.")
