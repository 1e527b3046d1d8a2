"""A cache that LiteLLM lets read from replicas: conversations are read from masters, which have every turn."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab.asking import Asker, asking
from lab.provider import Provider
from lab.proxy import Proxy, ProxyOptions
from lab.redis_cluster import RedisCluster
from lab.trees import tree
from lab.ways import cache

FOLLOW_UPS = 12


@pytest.fixture
def servers() -> Iterator[RedisCluster]:
    with RedisCluster(masters=3, replicas=1) as servers:
        yield servers


@pytest.fixture
def asker(servers: RedisCluster, provider: Provider) -> Iterator[Asker]:
    settings = cache(redis_startup_nodes=servers.startup_nodes, read_from_replicas=True)
    options = ProxyOptions(provider.url, tree("patched"), litellm_settings=settings)
    with Proxy(options) as proxy, asking(proxy, provider) as asker:
        yield asker


def test_follow_ups_are_whole_though_no_replica_answers(asker: Asker, servers: RedisCluster) -> None:
    for _ in range(FOLLOW_UPS):  # All nodes are known to the proxy then.
        asker.ask("And?", asker.ask("hello"))
    replicas = [node for node in servers.nodes if not node.is_master()]
    assert len(replicas) == 3
    for node in replicas:
        node.server.pause()
    try:
        firsts = [asker.ask("hello") for _ in range(FOLLOW_UPS)]
        assert [asker.ask("And?", first).said for first in firsts] == [
            ["hello", first.reply.text, "And?"] for first in firsts
        ]
    finally:
        for node in replicas:
            node.server.resume()
