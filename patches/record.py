"""RECORD, the installer's list of files with their hashes, as bytes in and bytes out.

Only the lines that change are touched, so quoting, order and line endings of all others stay as they are, whoever
wrote them and when.
"""

from __future__ import annotations

import base64
import csv
import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from patches.source import line_ending


@dataclass(frozen=True)
class Entry:
    """`digest` is `algorithm=value` or empty, as in the file; `line` is the whole line without its ending."""

    digest: str
    line: str


def digest_of(data: bytes, algorithm: str = "sha256") -> str:
    """As RECORD writes it: `sha256=` and URL-safe base64 without padding."""
    value = base64.urlsafe_b64encode(hashlib.new(algorithm, data).digest()).rstrip(b"=")
    return f"{algorithm}={value.decode()}"


def parse_record(record: bytes) -> dict[str, Entry]:
    """Path to entry. Lines that are not entries are left out."""
    return {path: entry for path, entry in map(_parse, record.splitlines()) if path}


def parse_line(line: str) -> tuple[str, Entry]:
    """(path, entry) of one line without its ending; the path is "" where it is no entry.

    Raises UnicodeEncodeError for a text that cannot stand in a file.
    """
    _encode(line)
    try:
        rows = list(csv.reader([line]))
    except csv.Error:
        rows = []
    return (rows[0][0], Entry(rows[0][1], line)) if rows and len(rows[0]) == 3 else ("", Entry("", line))


def matches(entry: Entry | None, data: bytes) -> bool | None:
    """Whether the entry is the hash of these bytes; None when there is no entry or it holds no hash known here."""
    if entry is None or not entry.digest:
        return None
    try:
        return entry.digest == digest_of(data, entry.digest.partition("=")[0])
    except (ValueError, TypeError):  # TypeError: shake_256 has no length of its own
        return None


def line_of(path: str, data: bytes) -> str:
    quoted = f'"{path}"' if "," in path else path
    return f"{quoted},{digest_of(data)},{len(data)}"


def rewrite_record(record: bytes, lines: Mapping[str, str], drop: Collection[str] = ()) -> bytes:
    """The record with these lines for their paths (those that it lacks come first) and without `drop`."""
    left = dict(lines)
    old = record.splitlines(keepends=True)
    ending = next((line_ending(line) for line in old if line_ending(line)), b"\n")
    out = []
    for line in old:
        path, _ = _parse(line)
        if path in drop:
            continue
        if path in left:
            line = _encode(left.pop(path)) + line_ending(line)
        out.append(line)
    return b"".join([*(_encode(line) + ending for line in left.values()), *out])


def _parse(line: bytes) -> tuple[str, Entry]:
    return parse_line(line.decode("utf-8", "surrogateescape").rstrip("\r\n"))


def _encode(line: str) -> bytes:
    return line.encode("utf-8", "surrogateescape")
