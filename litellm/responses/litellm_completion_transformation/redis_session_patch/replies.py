"""A reply inside its turn: what the turn before, or the turn itself, says already is not said again."""

import json
from collections.abc import Iterator, Mapping
from functools import reduce
from operator import getitem
from typing import Any

Fields = dict[str, Any]
Path = tuple[str | int, ...]

# A text of the turn that is at least so long is named instead of repeated; shorter ones are packed away.
_LONG_CHARACTERS = 200

_NEW = object()


def shorten(reply: Mapping[str, Any], before: Mapping[str, Any], turn: Mapping[str, Any]) -> Fields:
    """``reply`` by what is new in it: ``response``, its fields that are not as in ``before``, without long texts that
    ``turn`` has; ``same``, a path in it and one in ``turn`` for each such text; ``gone``, fields of ``before`` alone.
    """
    places, same = {text: path for path, text in _long_texts(turn, ())}, list[list[Path]]()
    changed = {name: value for name, value in reply.items() if not _is_same(value, before.get(name, _NEW))}
    fields: Fields = {"response": _without(changed, places, (), same)}
    gone = [name for name in before if name not in reply]
    return fields | {name: value for name, value in (("same", same), ("gone", gone)) if value}


def lengthen(fields: Mapping[str, Any], before: Mapping[str, Any], turn: Mapping[str, Any]) -> Fields:
    """The reply that ``shorten`` made ``fields`` of. Raises LookupError, TypeError or ValueError for what it never
    makes."""
    changed, gone = fields["response"], fields.get("gone", ())
    for (*parents, last), path in fields.get("same", ()):
        reduce(getitem, parents, changed)[last] = reduce(getitem, path, turn)
    reply = {**before, **changed}
    for name in gone:
        del reply[name]
    if not all(isinstance(item, dict) for item in reply.get("output") or ()):
        raise TypeError("An output item is an object.")
    return reply


def _is_same(value: Any, before: Any) -> bool:
    # Not by == alone, because to Python 1 and 1.0 and True are the same.
    return value is before or (value == before and json.dumps(value) == json.dumps(before))


def _long_texts(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        if len(value) >= _LONG_CHARACTERS:
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
