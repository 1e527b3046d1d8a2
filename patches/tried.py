"""Which releases a proxy was tried on, by what the fork's lines stand in: a digest of each patched function.

tried.json, which `make matrix-live` writes: by file and function, each digest and the releases that have it.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any

from patches.patch import Edit
from patches.source import Definition, definition_at, parse_module

TRIED = "tried.json"
Digests = Mapping[str, Mapping[str, Mapping[str, str]]]


def untried_functions(edits: Iterable[Edit], pristine: Mapping[str, bytes]) -> tuple[str, ...]:
    """Those, as `file: function`, that differ from every release that was tried."""
    tried = read_tried()
    return tuple(
        f"{file}: {function}"
        for file, function in functions_of(edits)
        if digest_at(pristine[file], file, function) not in tried.get(file, {}).get(function, {})
    )


def functions_of(edits: Iterable[Edit]) -> Iterator[tuple[str, str]]:
    """Each anchored function once, with its file."""
    yield from dict.fromkeys((edit.file, edit.anchor.function) for edit in edits if edit.anchor.function)


@lru_cache(maxsize=1)
def read_tried() -> Digests:
    """By file, function and digest: the releases, oldest first, with blanks between."""
    found: Digests = json.loads(files("patches").joinpath(TRIED).read_bytes())
    return found


def digest_at(data: bytes, file: str, function: str) -> str:
    """Of the syntax tree: comments, docstrings and layout do not count, nor does the Python that reads it."""
    text = json.dumps(_plain(definition_at(parse_module(file, data), function)))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    """Without what only some Pythons have, and what says nothing: all that is empty, positions, contexts."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if not isinstance(value, ast.AST):
        return repr(value)
    fields = dict(ast.iter_fields(value))
    if isinstance(value, Definition) and ast.get_docstring(value, clean=False) is not None:
        fields["body"] = value.body[1:]
    kept = {name: _plain(each) for name, each in fields.items() if each not in (None, []) and name not in _UNSAID}
    return [type(value).__name__, kept]


_UNSAID = ("ctx", "kind", "type_comment")
