"""What may happen to a proxy's Redis, each as a context: wrong inside, right again afterwards.

Real wherever Redis does it on demand; the door (`lab.door`) has the rest.
"""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .door import Door
from .processes import wait_until
from .troubles import NO_TROUBLE, Trouble, breaking_replies, losing_replies, refusing
from .ways import Way

PERIOD_SECONDS = 0.5
SAVING_SECONDS = 20
TOPOLOGIES = ("cluster", "sentinel")
ONE_SERVER = (None,)


Happening = Callable[[Way], contextlib.AbstractContextManager[None]]


@dataclass(frozen=True)
class Fault:
    """`happen(way)` is the context.

    keeps: nothing may be lost in it.
    heals: Redis gets well by itself, while the context is still open.
    on: the topologies that it can happen to, by their names; None: a single server.
    """

    name: str
    happen: Happening
    keeps: bool = False
    heals: bool = False
    on: tuple[str | None, ...] = (None, *TOPOLOGIES)


@contextlib.contextmanager
def killed(way: Way) -> Iterator[None]:
    """SIGKILL for every server; they come back empty."""
    for node in way.nodes:
        node.server.crash()
    try:
        yield
    finally:
        for node in way.nodes:
            node.server.start()


@contextlib.contextmanager
def stopped(way: Way) -> Iterator[None]:
    """SIGSTOP for every server: connections stay open, nothing is answered."""
    for node in way.nodes:
        node.server.pause()
    try:
        yield
    finally:
        for node in way.nodes:
            node.server.resume()


def troubled(trouble: Callable[[Door], Trouble]) -> Happening:
    @contextlib.contextmanager
    def happen(way: Way) -> Iterator[None]:
        for node in way.nodes:
            node.door.trouble = trouble(node.door)
        try:
            yield
        finally:
            for node in way.nodes:
                node.door.trouble = NO_TROUBLE

    return happen


def again_and_again(act: Callable[[Door], object]) -> Happening:
    """`act` on every door, at once and then each half second."""

    @contextlib.contextmanager
    def happen(way: Way) -> Iterator[None]:
        is_over = threading.Event()

        def act_on() -> None:
            while not is_over.is_set():
                for node in way.nodes:
                    act(node.door)
                is_over.wait(PERIOD_SECONDS)

        acting = threading.Thread(target=act_on, name="fault")
        acting.start()
        try:
            yield
        finally:
            is_over.set()
            acting.join()

    return happen


@contextlib.contextmanager
def configured(way: Way, **values: str) -> Iterator[None]:
    """`CONFIG SET` on every server, by a connection that is open before and stays so."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(node.client()) for node in way.nodes]
        connections = [stack.enter_context(client.client()) for client in clients]
        before = [{name: connection.config_get(name)[name] for name in values} for connection in connections]
        for connection in connections:
            for name, value in values.items():
                connection.config_set(name, value)
        try:
            yield
        finally:
            for connection, old in zip(connections, before, strict=True):
                for name, value in old.items():
                    connection.config_set(name, value)


def full(way: Way) -> contextlib.AbstractContextManager[None]:
    """OOM: what needs memory is refused, what is there is served."""
    return configured(way, maxmemory="1", **{"maxmemory-policy": "noeviction"})


@contextlib.contextmanager
def without_password(way: Way) -> Iterator[None]:
    """NOAUTH: a password is set, which the proxy has not got."""
    with configured(way, requirepass="changed"):
        for node in way.nodes:
            node.door.close_all()
        yield


@contextlib.contextmanager
def without_place(way: Way) -> Iterator[None]:
    """Each server has as many clients as it may have, and the proxy is none of them."""
    for node in way.nodes:
        node.door.close_all()
    with configured(way, maxclients="1"):
        yield


@contextlib.contextmanager
def read_only(way: Way) -> Iterator[None]:
    """READONLY: each server is the replica of one that is not there, and serves what it has."""
    for node in way.nodes:
        node.ask("REPLICAOF", "127.0.0.1", 1)
    try:
        yield
    finally:
        for node in way.nodes:
            node.ask("REPLICAOF", "NO", "ONE")


@contextlib.contextmanager
def unable_to_save(way: Way) -> Iterator[None]:
    """MISCONF: a snapshot failed, so Redis takes no writes."""

    def status() -> set[str]:
        return {str(node.ask("INFO", "persistence")["rdb_last_bgsave_status"]) for node in way.nodes}

    with configured(way, save="3600 1", dir="/proc"):
        for node in way.nodes:
            node.ask("BGSAVE")
        wait_until(lambda: status() == {"err"}, SAVING_SECONDS, "a snapshot that fails")
        yield
    for node in way.nodes:
        node.ask("BGSAVE")
    wait_until(lambda: status() == {"ok"}, SAVING_SECONDS, "a snapshot")


LOADING = frozenset({b"HELLO", b"AUTH", b"CLIENT", b"SELECT", b"INFO", b"COMMAND"})

OUTAGES = (
    Fault("killed", killed),
    Fault("stopped", stopped),
    Fault("refused", troubled(lambda door: Trouble(is_refused=True))),
    Fault("dropped", troubled(lambda door: Trouble(is_silent=True))),
    Fault("slow-50ms", troubled(lambda door: Trouble(delay_seconds=0.05)), keeps=True),
    Fault("slow-2s", troubled(lambda door: Trouble(delay_seconds=2.0))),
    Fault("closed", again_and_again(lambda door: door.close_all()), keeps=True),
    Fault("reset", again_and_again(lambda door: door.reset_all()), keeps=True),
    Fault("replies-lost", troubled(lambda door: losing_replies(0.1, random.Random(door.port)))),
    Fault("replies-broken", troubled(lambda door: breaking_replies(random.Random(door.port)))),
    Fault("LOADING", troubled(lambda door: refusing("LOADING Redis is loading the dataset in memory", LOADING))),
    Fault("MOVED", troubled(lambda door: refusing(f"MOVED 7 127.0.0.1:{door.port}"))),
    Fault("CLUSTERDOWN", troubled(lambda door: refusing("CLUSTERDOWN The cluster is down"))),
    Fault("OOM", full),
    Fault("NOAUTH", without_password, on=ONE_SERVER),
    Fault("maxclients", without_place, on=ONE_SERVER),
    Fault("READONLY", read_only, on=ONE_SERVER),
    Fault("MISCONF", unable_to_save),
)
