"""A Redis that is full and makes room by itself: it takes out what its policy says, of conversations too."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Iterator

from redis import RedisError

from .faults import ONE_SERVER, Fault, Happening, configured
from .redis_node import Node
from .ways import Way

ROOM_BYTES = 2_000_000
VALUE_BYTES = 20_000
PAUSE_SECONDS = 0.01
LONG_SECONDS = 30 * 86_400  # more than conversations live, so that those go first


@contextlib.contextmanager
def others_write(node: Node) -> Iterator[None]:
    """Somebody else fills the same Redis, and has it cleared in the end."""
    is_over = threading.Event()

    def write() -> None:
        with node.client() as client:
            for number in itertools.count():
                with contextlib.suppress(RedisError):
                    client.set(f"others:{number}", b"x" * VALUE_BYTES, ex=LONG_SECONDS)
                if is_over.wait(PAUSE_SECONDS):
                    break
            for key in client.scan_iter("others:*", count=1_000):
                client.unlink(key)

    writing = threading.Thread(target=write, name="others")
    writing.start()
    try:
        yield
    finally:
        is_over.set()
        writing.join()


def full_with(policy: str) -> Happening:
    @contextlib.contextmanager
    def happen(way: Way) -> Iterator[None]:
        (node,) = way.nodes
        with node.client() as client:
            room = client.info("memory")["used_memory"] + ROOM_BYTES
        with configured(way, maxmemory=str(room), **{"maxmemory-policy": policy}), others_write(node):
            yield

    return happen


EVICTIONS = tuple(
    Fault(policy, full_with(policy), on=ONE_SERVER)
    for policy in ("noeviction", "allkeys-lru", "allkeys-random", "volatile-ttl")
)
