"""A tree against its wheel, by code that shares nothing with the patch tool."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Stat:
    """What changes when a file is written or replaced, whatever its content. Nanoseconds, bytes."""

    mtime_ns: int
    inode: int
    size: int
    mode: int


def unpack(wheel: Path, root: Path) -> None:
    """As an installer does, but for bytecode and the installer's own notes."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(root)


def wheel_files(wheel: Path) -> frozenset[str]:
    """Paths of the files in it, with `/`."""
    with zipfile.ZipFile(wheel) as archive:
        return frozenset(name for name in archive.namelist() if not name.endswith("/"))


def wheel_record(wheel: Path) -> tuple[str, bytes]:
    """RECORD's path and content, out of the wheel itself."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/RECORD"))
        return name, archive.read(name)


def stats_of(root: Path) -> dict[str, Stat]:
    """By path with `/`: every file and, with size 0 and no times, every folder."""
    found: dict[str, Stat] = {}
    folders = [(str(root), "")]
    while folders:
        folder, prefix = folders.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                info = entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    folders.append((entry.path, f"{prefix}{entry.name}/"))
                    found[prefix + entry.name] = Stat(0, 0, 0, info.st_mode)
                else:
                    found[prefix + entry.name] = Stat(info.st_mtime_ns, info.st_ino, info.st_size, info.st_mode)
    return found


def changed_files(before: Mapping[str, Stat], after: Mapping[str, Stat]) -> tuple[str, ...]:
    """Written, added or removed between the two; sorted."""
    return tuple(sorted(path for path in {*before, *after} if before.get(path) != after.get(path)))


def unlike_record(root: Path, record: bytes, among: Iterable[str] | None = None) -> tuple[str, ...]:
    """Files whose size or SHA-256 is not what the record says, or that are missing; sorted.

    `among` limits the look to some paths; one that the record does not list counts as unlike.
    """
    rows = {row[0]: row[1:] for row in csv.reader(io.StringIO(record.decode(), newline="")) if row}
    paths = rows if among is None else among
    return tuple(sorted(path for path in paths if not _is_like(root / path, rows.get(path))))


def _is_like(path: Path, row: list[str] | None) -> bool:
    if row is None or not path.is_file():
        return False
    digest, size = row
    if not digest:
        return path.name == "RECORD"  # it cannot hold its own hash: compared by its bytes instead
    data = path.read_bytes()
    algorithm, _, value = digest.partition("=")
    mine = base64.urlsafe_b64encode(hashlib.new(algorithm, data).digest()).decode().rstrip("=")
    return mine == value and len(data) == int(size)
