"""A reply beside its turn: what replies mostly say, and what the turn itself says, is not said again."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from functools import reduce
from operator import getitem
from typing import Any

Fields = dict[str, Any]
Path = tuple[str | int, ...]

# What LiteLLM's replies for bridged models say, unless they say otherwise. Part of the format.
_MOSTLY: Fields = {
    "object": "response",
    "status": "completed",
    "tool_choice": "auto",
    "parallel_tool_calls": False,
    "metadata": {},
    "tools": [],
    "text": {},
    **dict.fromkeys(("error", "incomplete_details", "instructions", "max_output_tokens", "reasoning", "temperature")),
    **dict.fromkeys(("top_p", "truncation", "user", "store")),
}

# A text of the turn that is at least so long is named instead of repeated; shorter ones are packed away.
_LONG_CHARACTERS = 200


def shorten(reply: Mapping[str, Any], turn: Mapping[str, Any]) -> Fields:
    """``reply`` by what is new in it: ``response``, its fields that are not as mostly, without long texts that ``turn``
    has; ``same``, a path in it and one in ``turn`` for each such text; ``gone``, fields that it lacks.
    """
    places, same = {text: path for path, text in _long_texts(turn, ())}, list[list[Path]]()
    changed = {name: value for name, value in reply.items() if not _is_as_mostly(name, value)}
    fields: Fields = {"response": _without(changed, places, (), same)}
    gone = [name for name in _MOSTLY if name not in reply]
    return fields | {name: value for name, value in (("same", same), ("gone", gone)) if value}


def lengthen(fields: Mapping[str, Any], turn: Mapping[str, Any]) -> Fields:
    """The reply that ``shorten`` made ``fields`` of. Raises LookupError, TypeError or ValueError for others."""
    changed = fields["response"]
    for (*parents, last), path in fields.get("same", ()):
        text = reduce(getitem, path, turn)
        if not isinstance(text, str):
            raise TypeError("Of a turn texts alone are named.")
        reduce(getitem, parents, changed)[last] = text
    reply = {**deepcopy(_MOSTLY), **changed}
    for name in fields.get("gone", ()):
        del reply[name]
    if not all(isinstance(item, dict) for item in reply.get("output") or ()):
        raise TypeError("An output item is an object.")
    return reply


def _is_as_mostly(name: str, value: Any) -> bool:
    # Not by == alone: to Python 0 and False are the same.
    return name in _MOSTLY and value == _MOSTLY[name] and type(value) is type(_MOSTLY[name])


def _long_texts(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str) and len(value) >= _LONG_CHARACTERS:
        yield path, value
    elif isinstance(value, dict | list | tuple):
        for name, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _long_texts(each, (*path, name))


def _without(value: Any, places: Mapping[str, Path], path: Path, same: list[list[Path]]) -> Any:
    """``value`` without the texts of ``places``; ``same`` gets the path of each, and its place."""
    if isinstance(value, str) and value in places:
        same.append([path, places[value]])
        return ""
    if isinstance(value, dict):
        return {name: _without(each, places, (*path, name), same) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without(each, places, (*path, number), same) for number, each in enumerate(value)]
    return value
