"""Looks for a function that an anchor names in the neighbouring files, so that the error says where
it went."""

from __future__ import annotations

from pathlib import Path

from patches.errors import AnchorError, PatchError
from patches.source import parse_source, seen_elsewhere


def with_whereabouts(error: PatchError, root: Path) -> PatchError:
    """The same error; for an anchor on a function with where else it was seen, and its signature
    there."""
    if not isinstance(error, AnchorError) or not error.function:
        return error
    folder = (root / error.file).parent
    for path in sorted(folder.glob("*.py")):
        name = path.relative_to(root).as_posix()
        if name == error.file:
            continue
        try:
            seen = seen_elsewhere(parse_source(name, path.read_bytes()), error.function)
        except (OSError, PatchError):
            continue
        if seen:
            return error.with_hint(f"{name} has {', '.join(seen)}")
    return error
