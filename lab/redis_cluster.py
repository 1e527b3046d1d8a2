"""A real Redis Cluster, each node behind a door: what clients and nodes are told are the doors' addresses."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Callable, Mapping

from redis import RedisError
from redis.cluster import RedisCluster as ClusterClient

from .processes import free_port, wait_until
from .redis_node import Node, running_node

SLOTS = 16_384
BUS = 10_000  # Redis talks among its nodes on the port so much above the clients'
READY_SECONDS = 60
NODE_TIMEOUT_MS = 2_000


class RedisCluster:
    """`masters` nodes that share the slots evenly, each with `replicas`. Options are redis.conf names."""

    def __init__(self, masters: int = 3, replicas: int = 1, **options: str) -> None:
        self._masters, self._replicas = masters, replicas
        self._options = {"cluster_node_timeout": str(NODE_TIMEOUT_MS), **options}
        self.nodes: list[Node] = []
        self._stack = contextlib.ExitStack()

    @property
    def environment(self) -> Mapping[str, str]:
        return {"REDIS_CLUSTER_NODES": json.dumps(self.startup_nodes)}

    @property
    def startup_nodes(self) -> list[dict]:
        return [{"host": node.door.host, "port": node.door.port} for node in self.nodes]

    def start(self) -> RedisCluster:
        for _ in range(self._masters * (1 + self._replicas)):
            self.nodes.append(self._start_node())
        first, *others = self.nodes
        for node in others:
            first.ask("CLUSTER", "MEET", node.door.host, node.door.port, node.server.port + BUS)
        for number, node in enumerate(self.masters_first):
            slots = range(SLOTS * number // self._masters, SLOTS * (number + 1) // self._masters)
            node.ask("CLUSTER", "ADDSLOTS", *slots)
        everybody = len(self.nodes)
        self.wait("all nodes", lambda: all(info(node)["cluster_known_nodes"] == str(everybody) for node in self.nodes))
        for number, node in enumerate(self.nodes[self._masters :]):
            node.ask("CLUSTER", "REPLICATE", self.nodes[number % self._masters].id)
        self.wait("the whole cluster", self.is_whole)
        return self

    @property
    def masters_first(self) -> list[Node]:
        return self.nodes[: self._masters]

    def _start_node(self) -> Node:
        port = bus_port() - BUS
        announced = {
            "cluster_announce_ip": "127.0.0.1",
            "cluster_announce_port": "{door}",
            "cluster_announce_bus_port": str(port + BUS),
        }
        options = {"cluster_enabled": "yes", "repl_diskless_sync_delay": "0", **announced, **self._options}
        return self._stack.enter_context(running_node(port=port, **options))

    def is_whole(self, without: Node | None = None) -> bool:
        """Whether every node that lives serves all slots, and every replica has its master's data."""
        living = [node for node in self.nodes if node.server.is_running() and node is not without]
        try:
            return all(
                info(node)["cluster_state"] == "ok"
                and info(node)["cluster_slots_ok"] == str(SLOTS)
                and (node.is_master() or node.ask("ROLE")[3] == b"connected")
                for node in living
            )
        except RedisError:
            return False

    def wait(self, what: str, is_so: Callable[[], bool]) -> None:
        wait_until(is_so, READY_SECONDS, what, 0.05)

    def client(self) -> ClusterClient:
        """For a look at the data, through the doors."""
        return ClusterClient(host=self.nodes[0].door.host, port=self.nodes[0].door.port)

    def masters(self) -> list[Node]:
        return [node for node in self.nodes if node.server.is_running() and node.is_master()]

    def replicas_of(self, master: Node) -> list[Node]:
        ids = {line.split()[0].decode() for line in master.ask("CLUSTER", "REPLICAS", master.id)}
        return [node for node in self.nodes if node.server.is_running() and node.id in ids]

    def slots_of(self, master: Node) -> list[int]:
        wanted = master.id.encode()
        ranges = [each for each in master.ask("CLUSTER", "SLOTS") if each[2][2] == wanted]
        return [slot for first, last, *_ in ranges for slot in range(first, last + 1)]

    def move_slot(self, slot: int, source: Node, target: Node) -> None:
        """As `redis-cli --cluster reshard` does it: with the keys in it, while clients go on."""
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)
        while keys := source.ask("CLUSTER", "GETKEYSINSLOT", slot, 100):
            source.ask("MIGRATE", target.server.host, target.server.port, "", 0, 5_000, "KEYS", *keys)
        for node in (target, source):
            node.ask("CLUSTER", "SETSLOT", slot, "NODE", target.id)

    def stop(self) -> None:
        self._stack.close()

    def __enter__(self) -> RedisCluster:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_: object) -> None:
        self.stop()


def info(node: Node) -> dict[str, str]:
    return dict(line.split(":") for line in str(node.ask("CLUSTER", "INFO"), "ascii").split())


def bus_port() -> int:
    """A free port for the bus, with a free one for the clients so far below it."""
    while True:
        port = free_port()
        if port - BUS > 1_024 and is_free(port - BUS):
            return port


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
