"""`python -m patches purge`: its options, and what it prints while it works."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable

from patches.purge import Purged, key_pattern, purge_keys
from patches.redis_address import address_from_environment, address_from_url

_SECONDS_BETWEEN_LINES = 2.0


def add_purge_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--url",
        help="redis://[user:password@]host:port/db, rediss:// or unix:///path?db=0 "
        "(default: REDIS_SESSION_PATCH_URL, else REDIS_URL, else REDIS_HOST and its companions)",
    )
    parser.add_argument("--namespace", default="", metavar="NS", help="the proxy's cache namespace, if it has one")
    parser.add_argument("--dry-run", action="store_true", help="only count the keys")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")


def run_purge(options: argparse.Namespace) -> int:
    """Returns the exit code; raises PatchError."""
    address = address_from_url(options.url) if options.url else address_from_environment(os.environ)
    pattern = key_pattern(options.namespace)
    if not options.json:
        print(f"redis     {address}, keys {pattern}", flush=True)
    purged = purge_keys(address, options.namespace, options.dry_run, progress=_reporter(options.dry_run))
    if options.json:
        print(
            json.dumps(
                {
                    "redis": str(address),
                    "pattern": pattern,
                    "found": purged.found,
                    "removed": purged.removed,
                    "nodes": purged.nodes,
                    "dry_run": options.dry_run,
                },
                indent=2,
            )
        )
    elif options.dry_run:
        print(f"result    {purged.found} keys would be removed")
    else:
        print(f"result    {purged.removed} keys removed")
    return 0


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
