"""RECORD, the installer's list of files with their hashes, as bytes in and bytes out.

Only the lines that change are touched, so quoting, order and line endings of all others stay as
they are.
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
    """`digest` is `algorithm=value` or empty, as in the file."""

    digest: str
    size: str


def digest_of(data: bytes, algorithm: str = "sha256") -> str:
    """As RECORD writes it: `sha256=` and URL-safe base64 without padding."""
    value = base64.urlsafe_b64encode(hashlib.new(algorithm, data).digest()).rstrip(b"=")
    return f"{algorithm}={value.decode()}"


def parse_record(record: bytes) -> dict[str, Entry]:
    """Path to entry. Lines that are not entries are left out."""
    entries = {}
    for line in record.splitlines():
        fields = _fields(line)
        if fields:
            entries[fields[0]] = Entry(fields[1], fields[2])
    return entries


def matches(entry: Entry | None, data: bytes) -> bool | None:
    """Whether the entry is the hash of these bytes; None when there is no entry or it holds no
    hash."""
    if entry is None or not entry.digest:
        return None
    algorithm = entry.digest.partition("=")[0]
    if algorithm not in hashlib.algorithms_available:
        return None
    return entry.digest == digest_of(data, algorithm)


def rewrite_record(record: bytes, contents: Mapping[str, bytes], drop: Collection[str] = ()) -> bytes:
    """The record with new hashes for `contents` (added at the end where missing) and without
    `drop`."""
    left = dict(contents)
    lines = record.splitlines(keepends=True)
    ending = next((line_ending(line) for line in lines if line_ending(line)), b"\n")
    out = []
    for line in lines:
        fields = _fields(line)
        path = fields[0] if fields else None
        if path in drop:
            continue
        if path is not None and path in left:
            data = left.pop(path)
            if matches(Entry(fields[1], fields[2]), data) is not True:
                line = _line(path, data) + (line_ending(line) or ending)
        out.append(line)
    if left and out and not line_ending(out[-1]):
        out[-1] += ending
    return b"".join([*out, *(_line(path, data) + ending for path, data in left.items())])


def _line(path: str, data: bytes) -> bytes:
    quoted = f'"{path}"' if "," in path else path
    return f"{quoted},{digest_of(data)},{len(data)}".encode()


def _fields(line: bytes) -> list[str]:
    try:
        rows = list(csv.reader([line.decode("utf-8", "surrogateescape").rstrip("\r\n")]))
    except csv.Error:
        return []
    return rows[0] if rows and len(rows[0]) == 3 else []
