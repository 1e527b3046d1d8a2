"""Changes JSON inside an input of the fuzzer: random bytes alone would hardly ever be JSON again."""

from __future__ import annotations

import json
import random
from typing import Any

from .changes import OTHERS, places_in, value_at, with_text_at


def mutate(data: bytes, chance: random.Random) -> bytes | None:
    """One line changes, or a turn, which is two lines, is there once more or no more. None for what holds no JSON."""
    letter, lines = data[:1], data[1:].split(b"\n")
    if letter != b"T" or len(lines) < 2:
        return None
    number = chance.randrange(len(lines) - 1)
    first = number - number % 2
    kind = chance.randrange(8)
    if kind == 0:
        lines[first:first] = lines[first : first + 2]
    elif kind == 1:
        del lines[first : first + 2]
    else:
        try:
            document = json.loads(lines[number])
        except (ValueError, RecursionError):
            return None
        places = list(places_in(document))
        if not places:
            return None
        lines[number] = change(document, chance.choice(places), chance).encode("utf-8", "surrogatepass")
    return letter + b"\n".join(lines)


def change(document: Any, path: tuple, chance: random.Random) -> str:
    """One place gets another value, that of another place, a copy of itself beside it, or nothing."""
    kind = chance.randrange(4)
    if kind == 0:
        return with_text_at(document, path, chance.choice(list(OTHERS.values())))
    holder, name = value_at(document, path[:-1]), path[-1]
    if kind == 1:
        holder[name] = json.loads(json.dumps(value_at(document, chance.choice(list(places_in(document))))))
    elif kind == 2 and isinstance(holder, list):
        holder.insert(name, json.loads(json.dumps(holder[name])))
    else:
        del holder[name]
    return json.dumps(document)
