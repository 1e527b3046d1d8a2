"""What reaches Redis: how many round trips, which keys, how many bytes. Counted, on the real server."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.crc import key_slot
from redis.utils import str_if_bytes

from lab.processes import free_port
from lab.redis_server import RedisServer
from litellm.responses.litellm_completion_transformation.redis_session_patch.store import Miss

from .support.clients import RoundTrips, monitored
from .support.stores import BOB, SESSION, TURNS, chain_of, follow, inputs_of, load, say, store_on, talk


async def branched(store, turns: int) -> str:
    """The last response of a conversation whose every turn has a sibling: a path of as many ranges."""
    last = await say(store, 0)
    for number in range(1, turns):
        parent = last
        last = await follow(store, parent, number)
        await follow(store, parent, "sibling")
    return last


@pytest.mark.parametrize("length", [1, 2, 60])
async def test_a_straight_conversation_of_any_length_is_read_in_two_round_trips(any_client, length):
    last = (await talk(store_on(any_client), range(length)))[-1]
    trips = RoundTrips(any_client)
    assert await inputs_of(store_on(trips), last) == list(range(length))
    assert trips.count == 2


async def test_a_conversation_of_many_branches_is_read_in_two_round_trips(any_client):
    last = await branched(store_on(any_client), 30)
    trips = RoundTrips(any_client)
    chain = await chain_of(store_on(trips), last)
    assert [turn.input for turn in chain.turns] == list(range(30)) and len(chain.record.path) > 20
    assert trips.count == 2


@pytest.mark.parametrize("length", [0, 1, 60])
async def test_a_turn_is_written_in_two_round_trips(any_client, length):
    store, trips = store_on(any_client), RoundTrips(any_client)
    parent = await chain_of(store, (await talk(store, range(length)))[-1]) if length else None
    await say(store_on(trips), "new", parent)
    assert trips.count == 2


async def test_a_reserved_turn_is_written_in_two_round_trips_too(redis_client):
    reservation = await store_on(redis_client).reserve("x")
    trips = RoundTrips(redis_client)
    await say(store_on(trips), "new", as_id="x", id_is_out=True, reservation=reservation)
    assert trips.count == 2


async def test_reserving_and_releasing_take_one_round_trip_each(redis_client):
    trips = RoundTrips(redis_client)
    reservation = await store_on(trips).reserve("x")
    assert trips.count == 1
    await store_on(trips).release(reservation)
    assert trips.count == 2


@pytest.mark.parametrize("reader, miss", [(None, Miss.UNKNOWN), (BOB, Miss.DENIED)])
async def test_an_unknown_or_denied_response_costs_one_round_trip(any_client, reader, miss):
    mine = await say(store_on(any_client), "a")
    trips = RoundTrips(any_client)
    assert await (load(store_on(trips), mine, reader) if reader else load(store_on(trips), "unknown")) is miss
    assert trips.count == 1


async def test_a_conversation_of_200_turns_grows_by_the_same_bytes_with_every_turn(redis_client):
    store, sizes, last = store_on(redis_client), [], None
    for number in range(200):
        text = f"{number:03} " + "x" * 500
        last = await (follow(store, last, text) if last else say(store, text))
        if number + 1 in (50, 100, 150, 200):
            sizes.append(sum([await redis_client.memory_usage(key) for key in await redis_client.keys("*")]))
    growth = [after - before for before, after in itertools.pairwise(sizes)]
    assert max(growth) < 1.2 * min(growth)
    assert sizes[-1] < 200 * 2_500


async def run_every_operation(store) -> None:
    ids = await talk(store, "abc")
    await follow(store, ids[0], "branch")
    await say(store, "repeated", as_id=ids[0])
    await load(store, ids[0], BOB)
    await load(store, "unknown")
    parent = await chain_of(store, ids[-1])
    reservation = await store.reserve("reserved")
    await say(store, "d", parent, as_id="reserved", id_is_out=True, reservation=reservation)
    await store.release(await store.reserve("reserved"))
    await store.ping()


async def test_every_command_has_keys_of_one_slot_and_every_key_our_prefix(redis_client, redis_server):
    async with monitored(redis_server.host, redis_server.port) as seen:
        await run_every_operation(store_on(redis_client))
    commands = [
        command for command in seen.commands if command[0] not in ("PING", "CLIENT", "HELLO", "SELECT", "COMMAND")
    ]
    assert {command[0] for command in commands} >= {"GET", "LRANGE", "EXPIRE", "RPUSH", "RPUSHX", "SET", "EVAL"}
    for command in commands:
        keys = await redis_client.execute_command("COMMAND GETKEYS", *command)
        assert len({key_slot(str_if_bytes(key).encode()) for key in keys}) == 1, command
        assert all(str_if_bytes(key).startswith((SESSION, TURNS)) for key in keys), command


async def test_no_command_can_touch_more_than_it_names(redis_client, redis_server):
    async with monitored(redis_server.host, redis_server.port) as seen:
        await run_every_operation(store_on(redis_client))
    assert {command[0] for command in seen.commands}.isdisjoint(
        {"KEYS", "SCAN", "FLUSHALL", "FLUSHDB", "MULTI", "WATCH"}
    )


async def test_all_keys_begin_with_the_one_prefix(any_client):
    store = store_on(any_client)
    await talk(store, "abc")
    kinds = sorted(key.decode().rsplit(":", 1)[0] for key in await any_client.keys("*"))
    assert kinds == ["litellm_patch:session"] * 3 + ["litellm_patch:turns"]


async def test_a_namespace_stands_before_the_prefix_and_keeps_apart(any_client):
    spaced, plain = store_on(any_client, namespace="blue"), store_on(any_client)
    response_id = await say(spaced, "a")
    assert all([key.startswith(b"blue:litellm_patch:") for key in await any_client.keys("*")])
    assert await load(plain, response_id) is Miss.UNKNOWN
    assert await inputs_of(spaced, response_id) == ["a"]


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
            await run_every_operation(store)
            ids = await talk(store, range(10))
            assert await inputs_of(store, ids[-1]) == list(range(10))
        finally:
            await client.aclose()
