"""`python -m patches purge`: removes the fork's keys. SCAN finds them a page at a time, UNLINK frees them without
holding up the server.

`DEL litellm_patch:*` would delete nothing: Redis does not expand patterns there.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from patches.answer import Answer
from patches.reach import add_redis_arguments, open_redis, telling

KEY_PREFIX = "litellm_patch:"
_KEYS_A_PAGE = 1000


@dataclass(frozen=True)
class Purged:
    """`found` and `removed` count keys (a key that expired meanwhile is found but not removed)."""

    found: int = 0
    removed: int = 0


def add_purge_arguments(parser: argparse.ArgumentParser) -> None:
    add_redis_arguments(parser)
    parser.add_argument("--dry-run", action="store_true", help="only count the keys")


def run_purge(options: argparse.Namespace) -> Answer:
    """Raises PatchError."""
    pattern = key_pattern(options.namespace)
    with open_redis(options.url) as (title, client):
        tell = telling("purge")

        def report(purged: Purged) -> None:
            tell(f"{purged.found} found" if options.dry_run else f"{purged.removed} removed")

        purged = purge_keys(client, pattern, options.dry_run, report)
    result = f"{purged.found} keys would be removed" if options.dry_run else f"{purged.removed} keys removed"
    body = {"redis": title, "pattern": pattern, "dry_run": options.dry_run, **vars(purged)}
    return Answer(body, (f"redis     {title}, keys {pattern}", f"result    {result}"))


def purge_keys(
    client: Any, pattern: str, dry_run: bool, progress: Callable[[Purged], None] = lambda purged: None
) -> Purged:
    """Visits every master; calls `progress` after each page."""
    found = removed = 0
    seen: set[bytes] = set()  # SCAN may report a key twice; a dry run must not count it twice
    page: list[bytes] = []

    def end_page() -> Purged:
        nonlocal found, removed
        fresh = [key for key in dict.fromkeys(page) if key not in seen]
        seen.update(fresh if dry_run else ())
        found += len(fresh)
        removed += 0 if dry_run or not fresh else _remove(client, fresh)
        page.clear()
        progress(Purged(found, removed))
        return Purged(found, removed)

    for key in client.scan_iter(match=pattern, count=_KEYS_A_PAGE):
        page.append(key)
        if len(page) >= _KEYS_A_PAGE:
            end_page()
    return end_page()


def key_pattern(namespace: str = "") -> str:
    """The glob for the fork's keys; characters that mean something in a glob are taken literally."""
    prefix = f"{namespace}:{KEY_PREFIX}" if namespace else KEY_PREFIX
    return re.sub(r"([\\*?\[\]^-])", r"\\\1", prefix) + "*"


def _remove(client: Any, keys: list[bytes]) -> int:
    """One command a key, all in one go: in a cluster a command may not name keys of two slots."""
    replies: list[object] = []
    for command in ("UNLINK", "DEL"):  # DEL where an operator took UNLINK away
        pipeline = client.pipeline(transaction=False)
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
