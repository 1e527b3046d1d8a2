"""Cluster and Sentinel as they are built here: real servers, real failover, all behind doors."""

import redis

from lab.processes import wait_until
from lab.redis_cluster import RedisCluster
from lab.redis_sentinel import SERVICE, RedisSentinel

FAILOVER_SECONDS = 60


def test_a_cluster_moves_slots_and_survives_the_loss_of_a_master():
    with RedisCluster() as cluster, cluster.client() as client:
        values = {f"key-{number}": str(number).encode() for number in range(200)}
        for key, value in values.items():
            client.set(key, value)
        source, target, _ = cluster.masters()
        held = [node.client().dbsize() for node in (source, target)]
        for slot in cluster.slots_of(source)[:1_000]:
            cluster.move_slot(slot, source, target)
        assert source.client().dbsize() < held[0] and target.client().dbsize() > held[1]
        assert {key: client.get(key) for key in values} == values
        client.wait(1, 5_000, target_nodes=redis.RedisCluster.PRIMARIES)
        source.server.crash()
        wait_until(lambda: cluster.is_whole(), FAILOVER_SECONDS, "the failover")
        assert {key: client.get(key) for key in values} == values
        source.server.start()
        wait_until(lambda: not source.is_master() and cluster.is_whole(), FAILOVER_SECONDS, "the old master")
        assert sum(node.door.commands[b"GET"] for node in cluster.nodes) >= 2 * len(values)


def test_a_sentinel_replaces_a_master_that_hangs():
    with RedisSentinel() as servers:
        old = servers.master()
        client = redis.Sentinel(servers.sentinel_nodes).master_for(SERVICE)
        client.set("a", 1)
        client.wait(1, 5_000)
        client.connection_pool.disconnect()
        old.server.pause()
        wait_until(lambda: servers.master() is not old and servers.master().is_master(), FAILOVER_SECONDS, "failover")
        assert client.get("a") == b"1"
        old.server.resume()
        wait_until(lambda: not old.is_master() and servers.is_whole(), FAILOVER_SECONDS, "the old master")
        assert client.get("a") == b"1"
