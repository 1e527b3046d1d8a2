"""What is stored: the turns of a conversation, and a small record for each response; their bytes, checked when read.

A conversation is a tree of turns. A response's record names its own turn; the turns before it are found from there,
so a record has the same size however long the conversation grows.
"""

import json
import re
import secrets
from dataclasses import dataclass
from typing import Any

from .owner import Owner

FORMAT = 2  # changes only when an older reader would be wrong

NO_TURN = "0"
_TURN_BITS = 48  # Redis keeps a turn as a score too, exact up to 53 bits
_ROLES = ("assistant", "user", "system", "developer", "tool", "function")
_RESULTS = ("function_call_output", "custom_tool_call_output")
_CALLS = ("function_call", "custom_tool_call")


class Unreadable(ValueError):
    """Stored bytes are no record or turn of this format, or the values in it cannot be what was stored."""


@dataclass(frozen=True)
class JsonText:
    """A value as JSON, taken at a time when nobody had changed it yet."""

    text: str


@dataclass(frozen=True)
class Turn:
    """One request and its answer, whole and provider-neutral.

    ``input``: the client's input, a string or Responses items, as sent. ``answer``: chat messages, one a choice.
    ``maker``: whose model answered. A history that was given by the database is kept as such turns too.
    """

    input: Any
    answer: tuple[dict[str, Any], ...] = ()
    instructions: str | None = None
    maker: str | None = None


@dataclass(frozen=True)
class Record:
    """Where a response's turns are, and whose they are.

    ``turn``: its own. ``turns``, ``bytes``: how many there are with all before it, and what they take in Redis.
    ``started``: when the conversation began, in seconds since the epoch.
    """

    conversation: str
    turn: str
    turns: int
    bytes: int
    started: int
    owner: Owner
    session_id: str | None = None


@dataclass(frozen=True)
class Chain:
    """A response's turns, oldest first. ``record``: ``None`` for turns that are not in Redis.

    ``tail``: the end of their JSON, against which the next turn is compressed.
    """

    turns: tuple[Turn, ...]
    record: Record | None = None
    tail: bytes = b""


NO_TURNS = Chain(())


def new_conversation() -> str:
    return secrets.token_urlsafe(8)


def new_turn_id() -> str:
    return str(1 + secrets.randbits(_TURN_BITS))


def encode_turn(turn: Turn) -> bytes:
    """UTF-8 JSON; NUL characters and lone surrogates survive. Raises TypeError or ValueError for what JSON lacks."""
    text = turn.input.text if isinstance(turn.input, JsonText) else dump_json(turn.input)
    # The instructions last: where the next turn repeats them, they are near.
    rest = dump_json({"answer": turn.answer, "maker": turn.maker, "instructions": turn.instructions})
    return f'{{"v":{FORMAT},"input":{text},{rest[1:]}'.encode("utf-8", "surrogatepass")


def decode_turn(data: bytes) -> Turn:
    """Raises Unreadable."""
    fields = _decode(data)
    answer = tuple(_list(fields, "answer"))
    turn = Turn(fields.get("input"), answer, _text(fields, "instructions"), _text(fields, "maker"))
    check_turn(turn)
    return turn


def check_turn(turn: Turn) -> None:
    """Raises Unreadable for what no client sent and no provider answered: upstream would fail or guess."""
    if not isinstance(turn.input, str):
        _check(isinstance(turn.input, list) and all(map(_is_item, turn.input)), "an input")
    _check(all(map(_is_message, turn.answer)), "an answer")


def encode_record(record: Record) -> tuple[bytes, bytes]:
    """A part that anybody may read, and one to be sealed."""
    owner = record.owner
    fields = {
        "v": FORMAT,
        "conversation": record.conversation,
        "turn": record.turn,
        "turns": record.turns,
        "bytes": record.bytes,
        "started": record.started,
        "owner": [owner.user, owner.team, owner.key, owner.end_user],
    }
    return dump_json(fields).encode(), dump_json({"session": record.session_id}).encode("utf-8", "surrogatepass")


def decode_record(head: bytes, sealed: bytes) -> Record:
    """Raises Unreadable."""
    fields, rest = _decode(head), _decode(sealed, is_versioned=False)
    conversation, turn = fields.get("conversation"), fields.get("turn")
    _check(isinstance(conversation, str) and re.fullmatch(r"[\w-]{1,32}", conversation, re.ASCII), "a conversation")
    _check(isinstance(turn, str) and re.fullmatch(r"[1-9][0-9]{0,14}", turn), "a turn")
    owner = _list(fields, "owner")
    _check(len(owner) >= 4 and all(part is None or isinstance(part, str) for part in owner), "an owner")
    return Record(
        conversation,
        turn,
        _whole(fields, "turns", 1),
        _whole(fields, "bytes", 1),
        _whole(fields, "started", 0),
        Owner(*owner[:4]),
        _text(rest, "session"),
    )


def dump_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_plain)


def _plain(value: object) -> object:
    dump = getattr(value, "model_dump", None)
    if dump is None:
        raise TypeError(f"{type(value).__name__} cannot be stored.")
    return dump(exclude_none=True)


def _decode(data: bytes, *, is_versioned: bool = True) -> dict[str, Any]:
    try:
        fields = json.loads(data.decode("utf-8", "surrogatepass"), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise Unreadable("A stored value is not JSON.") from error
    _check(isinstance(fields, dict), "a value")
    _check(not is_versioned or fields.get("v") == FORMAT, "a format")
    return fields


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _check(is_right: object, what: str) -> None:
    if not is_right:
        raise Unreadable(f"A stored value has {what} that cannot be.")


def _list(fields: dict[str, Any], name: str) -> list[Any]:
    value = fields.get(name, [])
    _check(isinstance(value, list), name)
    return value


def _text(fields: dict[str, Any], name: str) -> str | None:
    value = fields.get(name)
    _check(value is None or isinstance(value, str), name)
    return value


def _whole(fields: dict[str, Any], name: str, least: int) -> int:
    value = fields.get(name)
    _check(type(value) is int and least <= value < 1 << 48, name)
    return value


def _is_item(item: Any) -> bool:
    """A Responses input item says what it is, a tool's call what is called, and its result whose it is."""
    if not isinstance(item, dict):
        return False
    kind = item.get("type")
    if kind in _RESULTS:
        return _is_name(item.get("call_id"))
    if kind in _CALLS:
        return _is_name(item.get("call_id") or item.get("id")) and _is_name(item.get("name"))
    return _is_name(kind) or item.get("role") in _ROLES


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _is_message(message: Any) -> bool:
    if not isinstance(message, dict) or message.get("role") not in _ROLES:
        return False
    content, calls = message.get("content"), message.get("tool_calls", [])
    return (
        (content is None or isinstance(content, str | list))
        and isinstance(calls, list)
        and all(isinstance(call, dict) and isinstance(call.get("function", {}), dict) for call in calls)
    )
