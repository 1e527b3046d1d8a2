"""The connections to a Cluster's nodes, which LiteLLM opens without half of their options up to 1.106."""

from __future__ import annotations

import itertools
import socket

import pytest
from redis.exceptions import RedisClusterException

from lab.redis_cluster import RedisCluster
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.connection import Connection

SECONDS = 0.3


@pytest.mark.parametrize("origin", ["the proxy's cache", "REDIS_CLUSTER_NODES"])
def test_every_node_is_waited_for_so_long_and_its_connection_kept_alive(origin: str) -> None:
    with RedisCluster(masters=3, replicas=0) as cluster:
        client = Connection(origin, {"startup_nodes": cluster.startup_nodes}).open(SECONDS)
        with client:
            for number in range(30):
                client.set(f"key {number}", "")
            pools = [node.redis_connection.connection_pool for node in client.get_nodes()]
            assert [bool(pool._available_connections) for pool in pools] == [True] * 3
            for connection in itertools.chain.from_iterable(pool._available_connections for pool in pools):
                assert connection.socket_timeout == connection.socket_connect_timeout == SECONDS
                assert connection._sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                assert connection._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) <= 60
            for node in cluster.nodes:
                node.ask("CLIENT", "PAUSE", 2_000, "ALL")
            with pytest.raises(RedisClusterException, match="Timeout reading"):
                client.get("key 1")
