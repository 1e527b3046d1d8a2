"""Marked blocks in a source text: put in, and taken out. Bytes in, bytes out.

A block is a run of whole lines, so removing it restores the text, with one case to care for: a last line without an
ending. There the block is `ending + block without its last ending`; the end marker without an ending says so, and
removal takes the ending before the block as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from patches.source import line_ending, split_lines

_START = re.compile(rb"[ \t]*# >>> PATCH [a-z0-9-]+: ")
_END = re.compile(rb"[ \t]*# <<< PATCH [a-z0-9-]+")


@dataclass(frozen=True)
class Insertion:
    """A block and its place: before the line of this index, indented like this."""

    line: int
    indent: bytes
    slug: str
    why: str
    lines: tuple[str, ...]


def insert_blocks(data: bytes, insertions: Iterable[Insertion]) -> bytes:
    """Blocks for the same place keep their order. Line endings follow the neighbouring line."""
    bom, lines = split_lines(data)
    at: dict[int, list[Insertion]] = {}
    for insertion in insertions:
        at.setdefault(insertion.line, []).append(insertion)
    out: list[bytes] = []
    for index in range(len(lines) + 1):
        for insertion in at.get(index, ()):
            ending = _ending_near(lines, index)
            rendered = ending.join(_render(insertion))
            out.append(rendered + ending if not out or line_ending(out[-1]) else ending + rendered)
        out.extend(lines[index : index + 1])
    return bom + b"".join(out)


def remove_blocks(data: bytes) -> bytes:
    """The text without its marked blocks. Whether that is what it was before, its hash must tell."""
    bom, lines = split_lines(data)
    kept: list[bytes] = []
    is_inside = False
    for line in lines:
        is_inside = is_inside or bool(_START.match(line))
        if not is_inside:
            kept.append(line)
        elif _END.match(line):
            is_inside = False
            if kept and not line_ending(line):
                kept[-1] = kept[-1][: -len(line_ending(kept[-1]))]
    return bom + b"".join(kept)


def _render(insertion: Insertion) -> list[bytes]:
    lines = [f"# >>> PATCH {insertion.slug}: {insertion.why}", *insertion.lines, f"# <<< PATCH {insertion.slug}"]
    return [insertion.indent + line.encode("ascii") if line else b"" for line in lines]


def _ending_near(lines: Sequence[bytes], index: int) -> bytes:
    return next(filter(None, map(line_ending, (*reversed(lines[:index]), *lines[index:]))), b"\n")
