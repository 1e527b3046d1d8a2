"""A conversation lives in one slot of a Redis Cluster."""

from __future__ import annotations

import asyncio

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode

from lab.processes import free_port
from lab.redis_server import RedisServer

from .support.stores import follow, inputs_of, load, reserve, say, store_on, talk


def port_for_a_cluster() -> int:
    """The nodes of a cluster talk on a port 10,000 above."""
    return next(port for _ in range(100) if (port := free_port()) <= 55_535)


async def make_a_cluster_of_one(server: RedisServer) -> None:
    async with Redis.from_url(server.url) as client:
        await client.execute_command("CLUSTER ADDSLOTS", *range(16_384))
        for _ in range(500):
            if (await client.execute_command("CLUSTER INFO"))["cluster_state"] == "ok":
                return
            await asyncio.sleep(0.02)
    raise AssertionError("the cluster of one node is not ready")


async def test_it_works_on_a_redis_cluster():
    with RedisServer(port=port_for_a_cluster(), cluster_enabled="yes") as server:
        await make_a_cluster_of_one(server)
        client = RedisCluster(startup_nodes=[ClusterNode(server.host, server.port)])
        try:
            store = store_on(client)
            ids = await talk(store, map(str, range(10)))
            branch = await follow(store, ids[4], "branch")
            reservation = await reserve(store, "x")
            await say(store, "a", as_id="x", id_is_out=True, reservation=reservation)
            await store.release(await reserve(store, "y"))
            assert await inputs_of(store, ids[-1]) == list("0123456789")
            assert await inputs_of(store, branch) == [*"01234", "branch"]
            assert await inputs_of(store, "x") == ["a"] and not await store.is_taken("y")
            assert (await load(store, "y")).value == "unknown"
        finally:
            await client.aclose()
