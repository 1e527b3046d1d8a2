"""The bytecode of one source file, and whether Python would see that it is stale (PEP 552)."""

from __future__ import annotations

import re
from pathlib import Path

_UNCHECKED, _UNREADABLE = 1, -1


def compiled_files(source: Path) -> tuple[Path, ...]:
    """Every compiled form of one module, of all Python versions. Raises OSError where they cannot be listed."""
    if source.suffix != ".py":
        return ()
    pattern = re.compile(re.escape(source.stem) + r"\.[^.]+(\.opt-[^.]+)?\.pyc")
    try:
        return tuple(sorted(path for path in cache_of(source).iterdir() if pattern.fullmatch(path.name)))
    except (FileNotFoundError, NotADirectoryError):
        return ()


def cache_of(source: Path) -> Path:
    """The folder of its bytecode."""
    return source.parent / "__pycache__"


def is_checked(compiled: Path) -> bool:
    """Whether Python compares it with its source before use: with its time and size, or with its hash. False where
    nobody knows."""
    return _number(compiled, 4) not in (_UNCHECKED, _UNREADABLE)


def recorded_times(source: Path) -> frozenset[int]:
    """The source's times in its compiled forms, seconds in 32 bits: a new source must have another one."""
    try:
        return frozenset(_number(compiled, 8) for compiled in compiled_files(source))
    except OSError:
        return frozenset()


def _number(compiled: Path, offset: int) -> int:
    """Of the header: magic, flags, time, size, of four bytes each. Python does not load what has no whole one."""
    if not compiled.is_file():  # a pipe would wait for a writer
        return _UNREADABLE
    try:
        with compiled.open("rb") as file:
            return int.from_bytes(file.read(16)[offset : offset + 4], "little")
    except OSError:
        return _UNREADABLE
