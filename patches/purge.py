"""`python -m patches purge`: removes the fork's keys. SCAN finds them a page at a time, UNLINK frees them without
holding up the server.

`DEL litellm_patch:*` would delete nothing: Redis does not expand patterns there.
"""

from __future__ import annotations

import argparse
import re
from itertools import islice
from typing import Any

from patches.answer import Answer
from patches.reach import add_redis_arguments, open_redis

KEY_PREFIX = "litellm_patch:"
_KEYS_A_PAGE = 1000


def add_purge_arguments(parser: argparse.ArgumentParser) -> None:
    add_redis_arguments(parser)
    parser.add_argument("--dry-run", action="store_true", help="only count the keys")


def run_purge(options: argparse.Namespace) -> Answer:
    """Raises PatchError."""
    pattern = key_pattern(options.namespace)
    with open_redis(options.url) as (title, client):
        found, removed = purge_keys(client, pattern, options.dry_run)
    result = f"{found} keys would be removed" if options.dry_run else f"{removed} keys removed"
    body = {"redis": title, "pattern": pattern, "dry_run": options.dry_run, "found": found, "removed": removed}
    return Answer(body, (f"redis     {title}, keys {pattern}", f"result    {result}"))


def purge_keys(client: Any, pattern: str, dry_run: bool) -> tuple[int, int]:
    """(how many keys were found, and removed): one that expired meanwhile is not removed. Visits every master."""
    found = removed = 0
    seen: set[bytes] = set()  # SCAN may report a key twice; a dry run must not count it twice
    keys = client.scan_iter(match=pattern, count=_KEYS_A_PAGE)
    while page := list(islice(keys, _KEYS_A_PAGE)):
        fresh = [key for key in dict.fromkeys(page) if key not in seen]
        seen.update(fresh if dry_run else ())
        found += len(fresh)
        removed += 0 if dry_run or not fresh else _remove(client, fresh)
    return found, removed


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
