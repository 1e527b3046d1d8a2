"""Changes JSON inside an input of the fuzzer: random bytes alone would hardly ever be JSON again."""

from __future__ import annotations

import json
import random
from typing import Any

from .changes import OTHERS, places_in, value_at, with_text_at

LETTERS = b"RT"


def mutate(data: bytes, chance: random.Random) -> bytes | None:
    """None for what holds no JSON."""
    letter, text = data[:1], data[1:]
    if letter not in (b"R", b"T"):
        return None
    try:
        documents = json.loads(b"[%s]" % text.rstrip(b","))
    except (ValueError, RecursionError):
        return None
    places = list(places_in(documents))
    if not places:
        return None
    path = chance.choice(places)
    changed = change(documents, path, chance)
    end = b"," if letter == b"T" else b""
    return letter + changed[1:-1].encode("utf-8", "surrogatepass") + end


def change(documents: list, path: tuple, chance: random.Random) -> str:
    """One place gets another value, that of another place, a copy of itself beside it, or nothing."""
    kind = chance.randrange(4)
    if kind == 0:
        return with_text_at(documents, path, chance.choice(list(OTHERS.values())))
    holder, name = value_at(documents, path[:-1]), path[-1]
    if kind == 1:
        holder[name] = json.loads(json.dumps(value_at(documents, chance.choice(list(places_in(documents))))))
    elif kind == 2 and isinstance(holder, list):
        holder.insert(name, json.loads(json.dumps(holder[name])))
    else:
        remove(holder, name)
    return json.dumps(documents)


def remove(holder: Any, name: Any) -> None:
    del holder[name]
