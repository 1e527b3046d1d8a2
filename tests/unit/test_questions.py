"""What a timer asks Redis: it says whether Redis is well, and leaves next to nothing."""

from __future__ import annotations

from typing import Any

import pytest
from redis.asyncio import RedisCluster
from redis.asyncio.cluster import ClusterNode

from lab.redis_server import RedisServer
from litellm.responses.litellm_completion_transformation.redis_session_patch.questions import (
    ask_to_read,
    ask_to_store,
)

from .support.stores import PREFIX, load, store_on
from .test_store_cluster import make_a_cluster_of_one, port_for_a_cluster

both = pytest.mark.parametrize("ask", [ask_to_read, ask_to_store])


def calling(client: Any) -> Any:
    return lambda command: command(client)


@both
async def test_a_redis_that_is_well_answers_also_one_that_has_been_started_anew(redis_client, ask):
    for _ in range(20):
        await ask(calling(redis_client), PREFIX)
    await redis_client.script_flush()
    await ask(calling(redis_client), PREFIX)


@both
@pytest.mark.parametrize("prefix", [PREFIX, f"blue:{PREFIX}"])
async def test_what_it_leaves_has_the_store_s_prefix_and_a_short_life(redis_client, ask, prefix):
    for _ in range(100):
        await ask(calling(redis_client), prefix)
    keys = [key.decode() for key in await redis_client.keys()]
    assert keys and all(key.startswith(prefix) for key in keys)
    assert len(keys) <= 16 * 4
    for key in keys:
        assert 0 < await redis_client.ttl(key) <= 11


async def test_nobody_finds_anything_under_its_names(redis_client):
    for _ in range(100):
        await ask_to_store(calling(redis_client), PREFIX)
    store = store_on(redis_client)
    names = [key.decode().removeprefix(f"{PREFIX}session:") for key in await redis_client.keys(f"{PREFIX}session:*")]
    assert names
    for name in names:
        assert (await load(store, name)).value == "unknown"


async def test_the_question_to_read_reads_what_it_has_stored(redis_client):
    """So that it needs all the rights that reading does."""
    replies = []

    async def call(command: Any) -> Any:
        replies.append(await command(redis_client))
        return replies[-1]

    await ask_to_read(call, PREFIX)
    assert [b"1", b"?"] in replies


@both
async def test_it_is_asked_on_a_cluster_too(ask):
    with RedisServer(port=port_for_a_cluster(), cluster_enabled="yes") as server:
        await make_a_cluster_of_one(server)
        client = RedisCluster(startup_nodes=[ClusterNode(server.host, server.port)])
        try:
            await ask(calling(client), PREFIX)
        finally:
            await client.aclose()
