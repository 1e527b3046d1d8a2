"""The manifest of a tree that has none: the fork's first edition (0.1) kept no manifest, and one may be deleted.

What RECORD vouches for, the copy of it that the first edition kept, and the marked blocks tell what was written; only
files in the fork's folder ever count as its own. This module can go once nobody runs 0.1 any more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from patches.blocks import DamagedBlock, read_blocks, remove_blocks
from patches.manifest import FOLDER, Manifest, Patched
from patches.record import digest_of, line_of, matches, parse_record

SAVED_RECORD = "RECORD.redis-session-patch"
_FORK = "0.1"
_MODULES = (
    *("breaker", "bridge", "cipher", "connection", "conversation", "history", "misses", "owner", "reading", "request"),
    *("response_cache", "response_id", "router_usage", "runtime", "settings", "startup", "store", "streams"),
    *("token_count", "version", "websockets", "writing"),
)


def manifest_of_first_edition(
    files: Mapping[str, bytes],
    folder: Mapping[str, bytes],
    own: Mapping[str, bytes],
    record: bytes,
    saved_record: bytes | None,
) -> Manifest | None:
    """None where nothing of any version is in the tree. `record` is empty where there is none."""
    patched = dict(_patched_files(files, record, saved_record))
    if not patched and saved_record is None:
        return None
    files_of_fork = dict(_own_files(folder, own, record))
    return Manifest(_FORK, None, files_of_fork, patched)


def _patched_files(
    files: Mapping[str, bytes], record: bytes, saved_record: bytes | None
) -> Iterator[tuple[str, Patched]]:
    now, before = parse_record(record), parse_record(saved_record or b"")
    for path, data in files.items():
        try:
            blocks, stripped = read_blocks(data), remove_blocks(data)
        except DamagedBlock:
            continue
        if saved_record is not None and path in before and before[path] != now.get(path):
            after = now[path].digest if path in now else digest_of(data)
            yield path, Patched(before[path].digest, (after,), before[path].line)
        elif blocks and (path not in now or matches(now[path], data) is True):
            line = line_of(path, stripped) if path in now else None
            yield path, Patched(digest_of(stripped), (digest_of(data),), line)
        elif blocks:  # RECORD was not changed with them, as after `git apply`
            yield path, Patched(now[path].digest, (digest_of(data),), now[path].line)


def _own_files(
    folder: Mapping[str, bytes], own: Mapping[str, bytes], record: bytes
) -> Iterator[tuple[str, tuple[str, ...]]]:
    listed = {path: entry.digest for path, entry in parse_record(record).items() if path.startswith(f"{FOLDER}/")}
    yield from ((path, (digest,)) for path, digest in listed.items() if path.endswith(".py") and ".." not in path)
    if not listed:
        names = {*own, *(f"{FOLDER}/{name}.py" for name in _MODULES)}
        yield from ((path, (digest_of(data),)) for path, data in folder.items() if path in names)
