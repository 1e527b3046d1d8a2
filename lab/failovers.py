"""What happens to one server of several: a Cluster or a Sentinel heals itself while it lasts."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Iterator

from .faults import TOPOLOGIES, Fault
from .processes import wait_until
from .redis_node import Node
from .redis_sentinel import RedisSentinel
from .ways import Way

HEALING_SECONDS = 90
SLOTS_APART = 3


def a_master(way: Way) -> Node:
    return way.topology.master() if isinstance(way.topology, RedisSentinel) else way.topology.masters()[0]


@contextlib.contextmanager
def master_killed(way: Way) -> Iterator[None]:
    """It comes back empty, as a replica of its successor."""
    master = a_master(way)
    master.server.crash()
    try:
        yield
        be_replaced(way, master)
    finally:
        master.server.start()
    come_back(way, master)


@contextlib.contextmanager
def master_hangs(way: Way) -> Iterator[None]:
    """Its successor takes over; then it wakes up and believes for a moment that it is still the master."""
    master = a_master(way)
    master.server.pause()
    try:
        yield
        be_replaced(way, master)
    finally:
        master.server.resume()
    come_back(way, master)


def be_replaced(way: Way, master: Node) -> None:
    wait_until(lambda: way.topology.is_whole(without=master), HEALING_SECONDS, "the failover")


def come_back(way: Way, master: Node) -> None:
    wait_until(lambda: way.is_whole() and not master.is_master(), HEALING_SECONDS, "the old master as a replica")


@contextlib.contextmanager
def master_lost(way: Way) -> Iterator[None]:
    """A master that has no replica: its slots are nobody's until it comes back, empty."""
    master = a_master(way)
    lost = [*way.topology.replicas_of(master), master]
    for node in lost:
        node.server.crash()
    try:
        yield
    finally:
        for node in reversed(lost):
            node.server.start()
        wait_until(way.is_whole, HEALING_SECONDS, "the whole cluster")


@contextlib.contextmanager
def slots_moved(way: Way) -> Iterator[None]:
    """Slots go from master to master all the time, with the conversations in them."""
    is_over = threading.Event()

    def move() -> None:
        masters = itertools.cycle(way.topology.masters())
        target = next(masters)
        while not is_over.is_set():
            source, target = target, next(masters)
            for slot in way.topology.slots_of(source)[::SLOTS_APART]:
                if not is_over.is_set():
                    way.topology.move_slot(slot, source, target)

    moving = threading.Thread(target=move, name="slots")
    moving.start()
    try:
        yield
    finally:
        is_over.set()
        moving.join()


FAILOVERS = (
    Fault("master-killed", master_killed, heals=True, on=TOPOLOGIES),
    Fault("master-hangs", master_hangs, heals=True, on=TOPOLOGIES),
    Fault("master-lost", master_lost, on=("cluster",)),
    Fault("slots-moved", slots_moved, keeps=True, on=("cluster",)),
)
