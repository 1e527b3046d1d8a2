"""A Redis Cluster of one node: a start in a fraction of a second, and Redis still refuses what is not in one slot."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from redis.cluster import ClusterNode, RedisCluster

from lab.processes import wait_until
from lab.redis_cluster import BUS, SLOTS, bus_port
from lab.redis_server import RedisServer


@contextmanager
def running_cluster() -> Iterator[RedisCluster]:
    with RedisServer(port=bus_port() - BUS, cluster_enabled="yes") as server:
        with server.client() as client:
            client.execute_command("CLUSTER ADDSLOTS", *range(SLOTS))
            wait_until(lambda: client.execute_command("CLUSTER INFO")["cluster_state"] == "ok", 20, "the cluster", 0.02)
        with RedisCluster(startup_nodes=[ClusterNode(server.host, server.port)]) as cluster:
            yield cluster
