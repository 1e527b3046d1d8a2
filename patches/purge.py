"""Removes the fork's keys: SCAN finds them a page at a time, UNLINK frees them without holding up
the server.

`DEL litellm_patch:*` would delete nothing: Redis does not expand patterns there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from patches.errors import PatchError
from patches.redis_address import RedisAddress
from patches.resp import Connection, RedisRefusal, Reply

KEY_PREFIX = "litellm_patch:"
_KEYS_A_PAGE = 1000


@dataclass(frozen=True)
class Purged:
    """`found` and `removed` count keys (a key that expired meanwhile is found but not removed)."""

    found: int
    removed: int
    nodes: int


def purge_keys(
    address: RedisAddress,
    namespace: str = "",
    dry_run: bool = False,
    timeout_seconds: float = 30.0,
    progress: Callable[[Purged], None] = lambda purged: None,
) -> Purged:
    """Visits every master of a cluster, or the one server; calls `progress` after each page. Raises
    PatchError."""
    pattern = key_pattern(namespace)
    total = Purged(0, 0, 0)
    with ExitStack() as stack:
        first = stack.enter_context(Connection(address, timeout_seconds))
        masters = _masters(first, address)
        nodes = (
            [first] if masters is None else (stack.enter_context(Connection(node, timeout_seconds)) for node in masters)
        )
        for node in nodes:
            total = Purged(total.found, total.removed, total.nodes + 1)
            # SCAN may report a key twice; a dry run must not count it twice.
            seen: set[bytes] = set()
            for page in _pages(node, pattern):
                fresh = [key for key in dict.fromkeys(page) if key not in seen]
                if dry_run:
                    seen.update(fresh)
                removed = 0 if dry_run else _remove(node, fresh)
                total = Purged(total.found + len(fresh), total.removed + removed, total.nodes)
                progress(total)
    return total


def key_pattern(namespace: str = "") -> str:
    """The glob for the fork's keys; characters that mean something in a glob are taken
    literally."""
    prefix = f"{namespace}:{KEY_PREFIX}" if namespace else KEY_PREFIX
    return re.sub(r"([\\*?\[\]^-])", r"\\\1", prefix) + "*"


def _pages(node: Connection, pattern: str) -> Iterator[list[bytes]]:
    cursor: Reply = b"0"
    while True:
        reply = node.ask("SCAN", _as_bytes(cursor), "MATCH", pattern, "COUNT", _KEYS_A_PAGE)
        if not isinstance(reply, list) or len(reply) != 2 or not isinstance(reply[1], list):
            raise PatchError(f"{node.address}: SCAN gave an answer that is none", "is this a Redis server?")
        cursor = reply[0]
        yield [_as_bytes(key) for key in reply[1]]
        if cursor == b"0":
            return


def _remove(node: Connection, keys: list[bytes]) -> int:
    """One command a key, all in one go: in a cluster a command may not name keys of two slots."""
    replies = node.ask_all(("UNLINK", key) for key in keys)
    if any(isinstance(reply, RedisRefusal) and "unknown command" in str(reply).lower() for reply in replies):
        replies = node.ask_all(("DEL", key) for key in keys)
    for reply in replies:
        # MOVED means that the slot went to another node meanwhile: running again gets it there.
        if isinstance(reply, RedisRefusal):
            raise node.refused("UNLINK", reply)
    return sum(reply for reply in replies if isinstance(reply, int))


def _masters(first: Connection, address: RedisAddress) -> list[RedisAddress] | None:
    """The masters of the cluster, or None for a single server."""
    (reply,) = first.ask_all([("CLUSTER", "SLOTS")])
    if isinstance(reply, RedisRefusal):
        if any(word in str(reply).lower() for word in ("cluster support disabled", "unknown command", "noperm")):
            return None
        raise first.refused("CLUSTER SLOTS", reply)
    if not isinstance(reply, list) or not reply:
        return None
    masters: dict[RedisAddress, None] = {}
    for slot in reply:
        host, port = slot[2][:2] if isinstance(slot, list) and isinstance(slot[2], list) else (b"", 0)
        # A node that does not know its own name leaves it empty: then it is the one asked.
        name = host.decode() if isinstance(host, bytes) and host not in (b"", b"?") else address.host
        masters[address.at(name, port if isinstance(port, int) else 0)] = None
    return list(masters)


def _as_bytes(reply: Reply) -> bytes:
    return reply if isinstance(reply, bytes) else str(reply).encode()
