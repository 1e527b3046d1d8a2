"""LiteLLM as a release would be that renames what the fork's wrappers and lines read."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lab.trees import record_digest

BRIDGE = "litellm/responses/litellm_completion_transformation"
SUFFIX = "_renamed"


@dataclass(frozen=True)
class Parameter:
    """A function's parameter, where it is called by keyword too. `name` as before."""

    function: str
    name: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class Attribute:
    """An attribute, or a function that others import."""

    name: str
    files: tuple[str, ...]


Renaming = Parameter | Attribute


def rename(tree: Path, renaming: Renaming) -> bool:
    """Renames in `tree`, whose files are links that must not be written through; False: it has no such name."""
    changed = False
    for path in (tree / each for each in renaming.files):
        if not path.is_file():
            continue
        before = path.read_bytes()
        after = _without_attribute(before, renaming) if isinstance(renaming, Attribute) else _renamed(before, renaming)
        if after != before:
            compile(after, str(path), "exec")
            _write(path, after)
            _note_in_record(tree, path)
            changed = True
    return changed


def _write(path: Path, data: bytes) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_bytes(data)
    fresh.replace(path)


def _note_in_record(tree: Path, path: Path) -> None:
    """A wheel's RECORD holds the digest of each of its files."""
    (record,) = tree.glob("litellm-*.dist-info/RECORD")
    name = path.relative_to(tree).as_posix()
    row = f"{name},{record_digest(path)},{path.stat().st_size}"
    _write(record, re.sub(rf"^{re.escape(name)},.*$", row, record.read_text(), flags=re.MULTILINE).encode())


def _without_attribute(data: bytes, renaming: Attribute) -> bytes:
    return re.sub(rb"\b%b\b(?!['\"])" % renaming.name.encode(), (renaming.name + SUFFIX).encode(), data)


def _renamed(data: bytes, renaming: Parameter) -> bytes:
    lines, old = data.splitlines(keepends=True), renaming.name.encode()
    for line, column in sorted(set(_places(ast.parse(data), renaming)), reverse=True):
        text = lines[line - 1]
        if text[column : column + len(old)] == old:
            lines[line - 1] = text[:column] + old + SUFFIX.encode() + text[column + len(old) :]
    return b"".join(lines)


def _places(tree: ast.Module, renaming: Parameter) -> Iterator[tuple[int, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == renaming.function:
            for inner in ast.walk(node):
                if isinstance(inner, ast.arg) and inner.arg == renaming.name:
                    yield inner.lineno, inner.col_offset
                if isinstance(inner, ast.Name) and inner.id == renaming.name:
                    yield inner.lineno, inner.col_offset
        if isinstance(node, ast.Call) and renaming.function in (
            getattr(node.func, "attr", None),
            getattr(node.func, "id", None),
        ):
            for keyword in node.keywords:
                if keyword.arg == renaming.name:
                    yield keyword.lineno, keyword.col_offset
