"""A conversation lives in one slot of a Redis Cluster."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis.cluster import RedisCluster

from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.probe import (
    probe_all,
    probe_reading,
    probe_storing,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.results import Miss
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.turns import Chain

from .support.clusters import running_cluster
from .support.stores import ALICE, PREFIX, follow, inputs_of, keys_of, load, say, store_on, talk, turn_of


@pytest.fixture(scope="module")
def cluster() -> Iterator[RedisCluster]:
    with running_cluster() as client:
        yield client


async def test_it_works_on_a_redis_cluster(cluster):
    store = store_on(cluster)
    places = await talk(store, map(str, range(10)))
    branch = await follow(store, places[4], "branch")
    given = await say(store, "d", Chain(tuple(map(turn_of, "abc"))))
    assert await inputs_of(store, places[-1]) == list("0123456789")
    assert await inputs_of(store, branch) == [*"01234", "branch"]
    assert await inputs_of(store, given) == list("abcd")
    assert await store.delete(branch, ALICE) is None
    assert await load(store, branch) is Miss.DELETED


async def test_each_conversation_has_one_slot_and_not_all_the_same(cluster):
    store = store_on(cluster)
    slots = [{cluster.keyslot(key) for key in keys_of(await say(store, "a"))} for _ in range(20)]
    assert {len(each) for each in slots} == {1}
    assert len(set.union(*slots)) > 1


def test_it_is_probed_on_a_cluster_too(cluster):
    assert probe_all(PREFIX, cluster) == ()
    probe_reading(PREFIX, cluster)
    probe_storing(PREFIX, cluster)
