"""`python -m patches purge`: removes the fork's keys. SCAN finds them a page at a time, UNLINK frees them without
holding up the server.

`DEL litellm_patch:*` would delete nothing: Redis does not expand patterns there.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from patches.answer import Answer
from patches.redis_client import add_redis_arguments, open_masters

if TYPE_CHECKING:
    from redis import Redis

KEY_PREFIX = "litellm_patch:"
_KEYS_A_PAGE = 1000
_SECONDS_BETWEEN_LINES = 2.0


@dataclass(frozen=True)
class Purged:
    """`found` and `removed` count keys (a key that expired meanwhile is found but not removed)."""

    found: int = 0
    removed: int = 0
    nodes: int = 0

    def plus(self, found: int = 0, removed: int = 0, nodes: int = 0) -> Purged:
        return Purged(self.found + found, self.removed + removed, self.nodes + nodes)


def add_purge_arguments(parser: argparse.ArgumentParser) -> None:
    add_redis_arguments(parser)
    parser.add_argument("--dry-run", action="store_true", help="only count the keys")


def run_purge(options: argparse.Namespace) -> Answer:
    """Raises PatchError."""
    pattern = key_pattern(options.namespace)
    with open_masters(options.url, os.environ) as (title, masters):
        purged = purge_keys(masters, pattern, options.dry_run, _reporter(options.dry_run))
    result = f"{purged.found} keys would be removed" if options.dry_run else f"{purged.removed} keys removed"
    about = {"redis": title, "pattern": pattern, "dry_run": options.dry_run}
    body = {**about, "found": purged.found, "removed": purged.removed, "nodes": purged.nodes}
    return Answer(body, (f"redis     {title}, keys {pattern}", f"result    {result}"))


def purge_keys(
    masters: list[Redis], pattern: str, dry_run: bool, progress: Callable[[Purged], None] = lambda purged: None
) -> Purged:
    """Visits every master; calls `progress` after each page."""
    total = Purged()
    for master in masters:
        total = total.plus(nodes=1)
        seen: set[bytes] = set()  # SCAN may report a key twice; a dry run must not count it twice
        cursor = 0
        while True:
            cursor, page = master.scan(cursor, match=pattern, count=_KEYS_A_PAGE)
            fresh = [key for key in dict.fromkeys(page) if key not in seen]
            if dry_run:
                seen.update(fresh)
            total = total.plus(len(fresh), 0 if dry_run else _remove(master, fresh))
            progress(total)
            if cursor == 0:
                break
    return total


def key_pattern(namespace: str = "") -> str:
    """The glob for the fork's keys; characters that mean something in a glob are taken literally."""
    prefix = f"{namespace}:{KEY_PREFIX}" if namespace else KEY_PREFIX
    return re.sub(r"([\\*?\[\]^-])", r"\\\1", prefix) + "*"


def _remove(master: Redis, keys: list[bytes]) -> int:
    """One command a key, all in one go: in a cluster a command may not name keys of two slots."""
    replies: list[object] = []
    for command in ("UNLINK", "DEL"):  # DEL where an operator took UNLINK away
        pipeline = master.pipeline(transaction=False)
        for key in keys:
            pipeline.execute_command(command, key)
        replies = pipeline.execute(raise_on_error=False)
        if not any(isinstance(reply, Exception) and "unknown command" in str(reply).lower() for reply in replies):
            break
    for reply in replies:
        # MOVED means that the slot went to another node meanwhile: running again gets it there.
        if isinstance(reply, Exception):
            raise reply
    return sum(reply for reply in replies if isinstance(reply, int))


def _reporter(dry_run: bool) -> Callable[[Purged], None]:
    """A line now and then, on the error stream, so that the result stays alone on the other."""
    last = time.monotonic()

    def report(purged: Purged) -> None:
        nonlocal last
        if time.monotonic() - last >= _SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            count = f"{purged.found} found" if dry_run else f"{purged.removed} removed"
            print(f"purge     {count} so far", file=sys.stderr, flush=True)

    return report
