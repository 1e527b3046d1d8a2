"""Compiled files of changed modules: removed before the source changes, made again for this
interpreter after.

Python notices most stale bytecode by itself, but not files compiled as "unchecked". Where an
installer had compiled a module it is compiled again, so that a folder which the proxy cannot write
to does not make it start slower.
"""

from __future__ import annotations

import importlib.util
import py_compile
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_MODES = {
    0: py_compile.PycInvalidationMode.TIMESTAMP,
    1: py_compile.PycInvalidationMode.UNCHECKED_HASH,
    3: py_compile.PycInvalidationMode.CHECKED_HASH,
}


@dataclass(frozen=True)
class Compiled:
    """A compiled file that this interpreter can make again."""

    source: Path
    file: Path
    optimization: int
    mode: py_compile.PycInvalidationMode


def compiled_files(source: Path) -> tuple[Path, ...]:
    """Every compiled form of one module, of all Python versions."""
    if source.suffix != ".py":
        return ()
    pattern = re.compile(re.escape(source.stem) + r"\.[^.]+(\.opt-[^.]+)?\.pyc")
    folder = source.parent / "__pycache__"
    return tuple(sorted(path for path in folder.glob("*.pyc") if pattern.fullmatch(path.name)))


def source_of(path: str) -> str | None:
    """`a/b.py` for `a/__pycache__/b.cpython-311.pyc`, with `/`; None for any other path."""
    folder, _, name = path.rpartition("/__pycache__/")
    return f"{folder}/{name.partition('.')[0]}.py" if folder and name.endswith(".pyc") else None


def missing_bytecode(root: Path, paths: Iterable[str]) -> tuple[Compiled, ...]:
    """Of the bytecode files that an installer made: those of this interpreter that are gone."""
    found = []
    for path in paths:
        source = root / (source_of(path) or path)
        is_ours = (
            sys.implementation.cache_tag is not None
            and (root / path).name == Path(importlib.util.cache_from_source(str(source), optimization="")).name
        )
        if is_ours and not (root / path).exists():
            found.append(Compiled(source, root / path, 0, _MODES[0]))
    return tuple(found)


def remake_later(source: Path) -> tuple[Compiled, ...]:
    """What to make again once the source has changed."""
    if sys.implementation.cache_tag is None:
        return ()
    found = []
    for optimization, name in ((0, ""), (1, "1"), (2, "2")):
        file = Path(importlib.util.cache_from_source(str(source), optimization=name))
        if file.parent == source.parent / "__pycache__" and file.is_file():
            found.append(Compiled(source, file, optimization, _mode_of(file)))
    return tuple(found)


def remake(compiled: Compiled) -> None:
    """A module that cannot be compiled, or a folder that cannot be written, is left to the
    interpreter."""
    try:
        py_compile.compile(
            str(compiled.source),
            cfile=str(compiled.file),
            doraise=True,
            optimize=compiled.optimization,
            invalidation_mode=compiled.mode,
        )
    except (OSError, py_compile.PyCompileError):
        return


def _mode_of(file: Path) -> py_compile.PycInvalidationMode:
    with file.open("rb") as opened:
        flags = int.from_bytes(opened.read(8)[4:], "little")
    return _MODES.get(flags, py_compile.PycInvalidationMode.TIMESTAMP)
