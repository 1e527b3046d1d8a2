"""Redis' clock cannot be moved: what it is compared with is."""

from __future__ import annotations

from typing import Any

from .stores import PREFIX


def pass_time(client: Any, seconds: int) -> None:
    """Makes everything so many seconds older: keys, responses, conversations, and the marks of erasures."""
    for key in client.keys(f"*{PREFIX}*"):
        if (left := client.ttl(key)) >= 0:
            client.expire(key, left - seconds)  # Deletes it where nothing is left.
        if key.endswith((b":lives", b":ends")):
            for member in client.zrange(key, 0, -1):
                client.zincrby(key, -seconds, member)
        elif b"erased:" in key and (client.get(key) or b"").isdigit():
            client.incrby(key, -seconds)


def now_at(client: Any) -> int:
    """In seconds of Redis' own clock."""
    return int(client.time()[0])
