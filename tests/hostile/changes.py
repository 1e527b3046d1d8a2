"""Every place in a JSON document, and everything else that might stand there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Path = tuple[str | int, ...]

DEEP = 3_000
# As JSON text, since not all of it can be made from values.
OTHERS = {
    "null": "null",
    "true": "true",
    "zero": "0",
    "negative": "-1",
    "five": "5",
    "fraction": "1.5",
    "2^48": str(2**48),
    "2^63": str(2**63),
    "huge": "9" * 400,
    "not finite": "1e999",
    "NaN": "NaN",
    "-Infinity": "-Infinity",
    "no text": '""',
    "a text": '"x"',
    "a long text": json.dumps("x" * 100_000),
    "a lone surrogate": '"\\ud800"',
    "NUL": '"\\u0000"',
    "no list": "[]",
    "[[]]": "[[]]",
    "[null]": "[null]",
    "[5]": "[5]",
    "['x']": '["x"]',
    "[{}]": "[{}]",
    "{}": "{}",
    "an object": '{"a": 1}',
    "a result without an id": '[{"type": "function_call_output", "output": "x"}]',
    "a deep list": "[" * DEEP + "]" * DEEP,
    "a deep object": '{"a":' * DEEP + "1" + "}" * DEEP,
}


@dataclass(frozen=True)
class Change:
    """A document with something else in one place."""

    name: str
    text: str


def changes_of(document: Any) -> Iterator[Change]:
    for path in places_in(document):
        for name, text in OTHERS.items():
            yield Change(f"{'.'.join(map(str, path))} = {name}", with_text_at(document, path, text))
    for path in places_in(document):
        if isinstance(path[-1], str):
            changed = json.loads(json.dumps(document))
            del value_at(changed, path[:-1])[path[-1]]
            yield Change(f"{'.'.join(map(str, path))} gone", json.dumps(changed))
    yield Change("a new field", json.dumps({**document, "new": [1, {"a": None}]}))


def places_in(value: Any, path: Path = ()) -> Iterator[Path]:
    """Of every value in it but the whole."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, each in inner:
        yield (*path, name)
        yield from places_in(each, (*path, name))


def value_at(document: Any, path: Path) -> Any:
    for name in path:
        document = document[name]
    return document


def with_text_at(document: Any, path: Path, text: str) -> str:
    """The document's JSON with `text` in this place, which need not be JSON."""
    changed = json.loads(json.dumps(document))
    value_at(changed, path[:-1])[path[-1]] = "the place"
    return json.dumps(changed).replace('"the place"', text)
