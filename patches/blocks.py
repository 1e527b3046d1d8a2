"""Marked blocks in a source text: put in, read back, taken out. Bytes in, bytes out.

A block is a run of whole lines, so removing it restores the text, with one case to care for: a last
line without an ending. There the block is `ending + block without its last ending`; the end marker
without an ending says so, and removal takes the ending before the block as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from patches.source import line_ending, split_lines

_START = re.compile(rb"[ \t]*# >>> PATCH ([a-z0-9-]+): (.*)")
_END = re.compile(rb"[ \t]*# <<< PATCH ([a-z0-9-]+)")


class DamagedBlock(Exception):
    """The markers of a text do not pair up; the message says where."""


@dataclass(frozen=True)
class Block:
    """What one marked block says, without its indentation: slug, reason and lines."""

    slug: str
    why: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Insertion:
    """A block and its place: before the line of this index, indented like this."""

    line: int
    indent: bytes
    block: Block


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
            if out and not line_ending(out[-1]):
                out.append(ending + rendered)
            else:
                out.append(rendered + ending)
        out.extend(lines[index : index + 1])
    return bom + b"".join(out)


def remove_blocks(data: bytes) -> bytes:
    """The text without its marked blocks; raises DamagedBlock when markers do not pair up."""
    return _split(data)[0]


def read_blocks(data: bytes) -> tuple[Block, ...]:
    """The marked blocks in order; raises DamagedBlock when markers do not pair up."""
    return _split(data)[1]


def block_lines(data: bytes) -> frozenset[int]:
    """The line numbers, counted from 1, that belong to marked blocks."""
    inside = False
    numbers: set[int] = set()
    for number, line in enumerate(split_lines(data)[1], start=1):
        inside = inside or bool(_matched(_START, line))
        if inside:
            numbers.add(number)
        if _matched(_END, line):
            inside = False
    return frozenset(numbers)


def _split(data: bytes) -> tuple[bytes, tuple[Block, ...]]:
    bom, lines = split_lines(data)
    kept: list[bytes] = []
    blocks: list[Block] = []
    opened: re.Match[bytes] | None = None
    inner: list[bytes] = []
    for number, line in enumerate(lines, start=1):
        start, end = _matched(_START, line), _matched(_END, line)
        if start:
            if opened:
                raise DamagedBlock(f"line {number} opens a patch block inside another")
            opened, inner = start, []
        elif end:
            if not opened or opened[1] != end[1]:
                raise DamagedBlock(f"line {number} closes a patch block that was not opened")
            blocks.append(_block(opened, inner))
            opened = None
            if kept and not line_ending(line):
                kept[-1] = _bare(kept[-1])
        elif opened:
            inner.append(line)
        else:
            kept.append(line)
    if opened:
        raise DamagedBlock("a patch block is opened and never closed")
    return bom + b"".join(kept), tuple(blocks)


def _block(opened: re.Match[bytes], inner: Sequence[bytes]) -> Block:
    text = opened[0]
    indent = text[: len(text) - len(text.lstrip(b" \t"))]
    lines = (_bare(line) for line in inner)
    return Block(
        _text(opened[1]),
        _text(opened[2]),
        tuple(_text(line[len(indent) if line.startswith(indent) else 0 :]) for line in lines),
    )


def _render(insertion: Insertion) -> list[bytes]:
    block = insertion.block
    lines = [f"# >>> PATCH {block.slug}: {block.why}", *block.lines, f"# <<< PATCH {block.slug}"]
    return [insertion.indent + line.encode("ascii") if line else b"" for line in lines]


def _ending_near(lines: Sequence[bytes], index: int) -> bytes:
    for line in (*reversed(lines[:index]), *lines[index:]):
        if line_ending(line):
            return line_ending(line)
    return b"\n"


def _matched(marker: re.Pattern[bytes], line: bytes) -> re.Match[bytes] | None:
    return marker.fullmatch(_bare(line)) if b" PATCH " in line else None  # few of very many lines


def _bare(line: bytes) -> bytes:
    return line[: len(line) - len(line_ending(line))]


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")
