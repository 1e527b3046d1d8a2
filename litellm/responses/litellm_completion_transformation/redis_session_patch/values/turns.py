"""What is stored: the turns of a conversation, as text.

A conversation is a tree of turns. A response is its last turn; the turns before it are found from there.
"""

import json
import math
import time
from dataclasses import dataclass, field
from typing import Any

from .ids import Place
from .replies import lengthen, shorten
from .results import Unreadable

FORMAT = 3  # changes only when an older reader would be wrong


@dataclass(frozen=True)
class JsonText:
    """A client's input as JSON, taken at a time when nobody had changed it yet."""

    text: str


@dataclass(frozen=True)
class Turn:
    """One request and its answer, whole and provider-neutral; or what the database gave of a history.

    ``input``: a string or Responses items, as the client sent them, or that as JSON. ``answer``: chat messages, one a
    choice. ``maker``: whose model answered. ``session_id``: under which upstream logs the conversation. ``reply``: the
    response as its client got it, by field, without its id, or that as stored. ``by``: owner tags of who took part.
    ``gone``: ids of items of earlier turns that were deleted then from the conversation object.

    A native turn, of a model with a Responses endpoint of its own, has no ``answer``: its reply's output is that.
    ``account``: who holds what that endpoint stores; ``held_id``: the response's id there, if it is kept.
    """

    input: Any
    answer: tuple[dict[str, Any], ...] = ()
    instructions: str | None = None
    maker: str | None = None
    session_id: str | None = None
    reply: dict[str, Any] | str | None = None
    by: tuple[str, ...] = ()
    account: str | None = None
    held_id: str | None = None
    gone: tuple[str, ...] = ()

    @property
    def shown(self) -> dict[str, Any] | None:
        """``reply`` by field. Raises Unreadable."""
        if not isinstance(self.reply, str):
            return self.reply
        try:
            return lengthen(_JSON.decode(self.reply), {"answer": self.answer, "instructions": self.instructions})
        except (LookupError, TypeError, ValueError, RecursionError) as error:
            raise Unreadable("A stored response has invalid parts.") from error

    @property
    def is_round(self) -> bool:
        """Whether it is of tools that the proxy ran by itself, before the answer that the client got."""
        if self.account is None:
            return self.reply is None and bool(self.answer)
        return (self.shown or {}).keys() == {"output"}

    @property
    def items(self) -> Any:
        """The input as a value, also where it is kept as JSON."""
        return json.loads(self.input.text) if isinstance(self.input, JsonText) else self.input


@dataclass(frozen=True)
class Tip:
    """The last turn of a chain that is in Redis. ``started``: the conversation, in seconds since the epoch.

    Of all turns up to it: ``turns``, their number; ``bytes``, what they take in Redis; ``size`` and ``crc``, bytes and
    CRC-32 of their text.
    """

    place: Place
    turns: int
    bytes: int
    size: int
    crc: int
    started: int


@dataclass(frozen=True)
class Chain:
    """A response's turns, oldest first. ``tip``: ``None`` for turns that are not in Redis.

    ``tail``: the end of their text, against which the next turn is compressed. ``asked_at``: of ``time.monotonic``, in
    seconds: who was erased later is still in them. ``is_full``: the conversation has as many turns as it may.
    ``turn_ids``: of turns in Redis. ``deleted``: of a conversation object, which items of the last turn were.
    """

    turns: tuple[Turn, ...]
    tip: Tip | None = None
    tail: bytes = b""
    asked_at: float = field(default_factory=time.monotonic, compare=False)
    is_full: bool = False
    turn_ids: tuple[str, ...] = ()
    deleted: str = ""


NO_TURNS = Chain(())


def take_down(client_input: Any) -> JsonText:
    """Raises TypeError or ValueError for what JSON lacks. An item at a time, so that in a thread it lets others run."""
    if isinstance(client_input, list):
        return JsonText(f"[{','.join(map(dump_json, client_input))}]")
    return JsonText(dump_json(client_input))


def encode_turn(turn: Turn, before: Turn | None) -> bytes:
    """The turn's part of its conversation's text: two lines of JSON, the second for its reply, which may be empty.

    NUL and lone surrogates survive. Instructions and owners that are those of the turn ``before`` are ``true``; of a
    reply, what ``replies`` makes of it. Raises TypeError or ValueError for what JSON lacks.
    """
    client_input = turn.input if isinstance(turn.input, JsonText) else take_down(turn.input)
    fields = {
        "answer": turn.answer,
        "maker": turn.maker,
        "session": turn.session_id,
        "instructions": turn.instructions,
        "by": turn.by or None,
        "account": turn.account,
        "held": turn.held_id,
        "gone": turn.gone or None,
    }
    said: dict[str, Any] = {name: value for name, value in fields.items() if value is not None}
    if before is not None and turn.instructions is not None and turn.instructions == before.instructions:
        said["instructions"] = True
    if before is not None and turn.by and turn.by == before.by:
        said["by"] = True
    reply = turn.reply or ""
    if isinstance(reply, dict):
        reply = dump_json(shorten(reply, {"answer": turn.answer, "instructions": turn.instructions}))
    text = f'{{"v":{FORMAT},"input":{client_input.text},{dump_json(said)[1:]}\n{reply}\n'
    return text.encode("utf-8", "surrogatepass")


def decode_turns(text: bytes) -> tuple[Turn, ...]:
    """Raises Unreadable. A turn at a time, so that in a thread it lets others run; replies are left as they are."""
    turns: list[Turn] = []
    try:
        *lines, end = text.decode("utf-8", "surrogatepass").split("\n")
        if end:
            raise ValueError("The last line has no end.")
        for said, reply in zip(lines[::2], lines[1::2], strict=True):
            turns.append(_turn_of(_JSON.decode(said), reply or None, turns[-1] if turns else None))
    except (ValueError, LookupError, RecursionError) as error:
        raise Unreadable("A stored value is no text of turns of this format.") from error
    return tuple(turns)


def _turn_of(fields: Any, reply: str | None, before: Turn | None) -> Turn:
    """Raises ValueError. What a turn says is as it was written: its text has a CRC, or a cipher's tag."""
    if not isinstance(fields, dict) or fields.get("v") != FORMAT:
        raise ValueError("A turn has another format.")
    as_before: dict[str, Any] = {} if before is None else {"instructions": before.instructions, "by": before.by}
    fields |= {name: value for name, value in as_before.items() if fields.get(name) is True}
    answer, instructions, maker, session_id, by, account, held_id, gone = (fields.get(name) for name in _KINDS)
    are_of_kind = (isinstance(fields.get(name), kind | None) for name, kind in _KINDS.items())
    if not all(are_of_kind) or not all(map(_is_message, answer or ())):
        raise ValueError("A turn has fields that are invalid.")
    people, deleted = tuple(by or ()), tuple(gone or ())
    said = (fields["input"], tuple(answer or ()), instructions, maker, session_id, reply, people)
    return Turn(*said, account, held_id, deleted)


def _is_message(value: Any) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("role"), str):
        return False
    calls = value.get("tool_calls") or []
    return (
        isinstance(value.get("content"), str | list | None)
        and isinstance(calls, list)
        and all(isinstance(call, dict) and isinstance(call.get("function"), dict) for call in calls)
    )


def _plain(value: Any) -> object:
    if not hasattr(value, "model_dump"):
        raise TypeError(f"{type(value).__name__} cannot be stored.")
    return value.model_dump(exclude_none=True)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("JSON has no such number.")
    return number


# A turn's fields beside its input; each may be missing.
_KINDS: dict[str, Any] = {
    "answer": list,
    "instructions": str,
    "maker": str,
    "session": str,
    "by": list | tuple,
    "account": str,
    "held": str,
    "gone": list,
}

dump_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_plain, allow_nan=False).encode
_JSON = json.JSONDecoder(parse_constant=_finite, parse_float=_finite)


def from_json(text: str | bytes) -> Any:
    """``None`` where it is no JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
