"""What reaches Redis: how many round trips, which keys, how many bytes. Counted on the server, by itself too."""

from __future__ import annotations

import random
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.crc import key_slot
from redis.utils import str_if_bytes

from lab.redis_server import RedisServer
from litellm.responses.litellm_completion_transformation.redis_session_patch.conversation import NO_TURNS, Chain
from litellm.responses.litellm_completion_transformation.redis_session_patch.results import Miss
from litellm.responses.litellm_completion_transformation.redis_session_patch.store import Reservation

from .support.clients import RoundTrips, monitored
from .support.stores import (
    BOB,
    PREFIX,
    SESSION,
    chain_of,
    follow,
    inputs_of,
    load,
    noise_of,
    reserve,
    say,
    store_on,
    talk,
    turn_of,
)


async def branched(store: Any, turns: int) -> str:
    """The last response of a conversation whose every turn has a sibling."""
    last = await say(store, "0")
    for number in range(1, turns):
        parent = last
        last = await follow(store, parent, str(number))
        await follow(store, parent, "sibling")
    return last


async def sent_by_clients(client: Any, operation: Any) -> dict[str, int]:
    """The commands that a client sends, as Redis counts them; those that scripts use are left out."""
    await client.config_resetstat()
    await operation
    stats = await client.info("commandstats")
    calls = {name.removeprefix("cmdstat_"): numbers["calls"] for name, numbers in stats.items()}
    return {name: calls[name] for name in ("get", "eval", "evalsha", "exists") if name in calls}


@pytest.mark.parametrize("length", [1, 2, 60])
async def test_a_conversation_of_any_length_is_read_in_two_round_trips(redis_client, store, length):
    inputs = list(map(str, range(length)))
    last = (await talk(store, inputs))[-1]
    trips = RoundTrips(redis_client)
    assert await inputs_of(store_on(trips), last) == inputs
    assert trips.names == ["get", "read"]
    sent = await sent_by_clients(redis_client, load(store, last))
    assert sent == {"get": 1, "evalsha": 2}  # Both scripts go in one pipeline.


async def test_a_conversation_of_many_branches_is_read_in_two_round_trips(redis_client, store):
    last, trips = await branched(store, 30), RoundTrips(redis_client)
    assert await inputs_of(store_on(trips), last) == list(map(str, range(30)))
    assert len(trips.names) == 2


@pytest.mark.parametrize("length", [0, 1, 60])
async def test_a_turn_is_written_in_one_round_trip(redis_client, store, length):
    last = await talk(store, map(str, range(length)))
    chain, trips = (await chain_of(store, last[-1]) if length else NO_TURNS), RoundTrips(redis_client)
    await say(store_on(trips), "new", chain)
    assert trips.names == ["append"]
    sent = await sent_by_clients(redis_client, say(store, "newer", chain))
    assert sent["evalsha"] == 2 and "eval" not in sent


async def test_a_given_history_is_written_with_its_follow_up_and_one_look_at_erasures(redis_client):
    trips = RoundTrips(redis_client)
    given = Chain(tuple(map(turn_of, "abc")))
    response_id = await say(store_on(trips), "d", given)
    assert trips.names == ["append", "erased_ago"]
    assert await inputs_of(store_on(redis_client), response_id) == list("abcd")


async def test_what_a_given_history_says_again_costs_next_to_nothing(store):
    given = Chain(tuple(map(turn_of, [noise_of(0)] * 10)))
    chain = await chain_of(store, await say(store, "b", given))
    assert chain.record.size > 40_000 > 10 * chain.record.bytes


async def test_a_reserved_turn_is_written_in_one_round_trip_too(redis_client, store):
    reservation, trips = await reserve(store, "x"), RoundTrips(redis_client)
    await say(store_on(trips), "new", as_id="x", id_is_out=True, reservation=reservation)
    assert trips.names == ["append"]


async def test_a_redis_that_does_not_know_the_scripts_yet_is_told_them_once(redis_client, store):
    """After a restart, and on each node of a Cluster."""
    await redis_client.script_flush()
    last, reservation = (await talk(store, "abc"))[-1], Reservation("x")
    assert await store.reserve(reservation)
    await redis_client.script_flush()
    assert await inputs_of(store, last) == list("abc")
    await redis_client.script_flush()
    await store.release(reservation)
    unknown, known = RoundTrips(redis_client), RoundTrips(redis_client)
    last = await follow(store_on(unknown), last, "d")
    assert unknown.names == ["get", "read", "read", "append", "append"]
    await follow(store_on(known), last, "e")
    assert known.names == ["get", "read", "append"]


async def test_everything_else_takes_one_round_trip(redis_client):
    trips = RoundTrips(redis_client)
    reservation = await reserve(store_on(trips), "x")
    await store_on(trips).release(reservation)
    await store_on(trips).is_taken("x")
    await store_on(trips).ping()
    assert trips.names == ["commit", "release", "exists", "ping"]


@pytest.mark.parametrize("as_id, miss", [("unknown", Miss.UNKNOWN), ("mine", Miss.DENIED)])
async def test_an_unknown_or_denied_response_costs_one_round_trip(redis_client, store, as_id, miss):
    await say(store, "a", as_id="mine")
    trips = RoundTrips(redis_client)
    assert await load(store_on(trips), as_id, BOB) is miss
    assert trips.names == ["get"]


async def test_a_conversation_costs_the_same_bytes_with_every_turn(redis_client, store):
    chance, sizes, last = random.Random(1), [], None
    for number in range(1, 201):
        text = f"{chance.getrandbits(2_000):x}"
        last = await (follow(store, last, text) if last else say(store, text))
        if number in (50, 200):
            sizes.append(sum([await redis_client.memory_usage(key) for key in await redis_client.keys("*")]))
    assert sizes[1] < 6 * sizes[0]  # four times the turns; Redis packs short lists more tightly
    assert sizes[1] < 200 * 2_000


async def test_what_a_client_says_again_in_every_turn_costs_next_to_nothing(redis_client, store):
    """As an agent does that sends its whole transcript each time."""
    chance, said, last = random.Random(1), "", None
    for _ in range(20):
        said += f"{chance.getrandbits(2_000):x}\n"
        last = await (follow(store, last, said) if last else say(store, said))
    record = (await chain_of(store, last)).record
    assert record.bytes < 1.5 * len(said)


async def run_every_operation(store: Any) -> None:
    ids = await talk(store, "abc")
    await follow(store, ids[0], "branch")
    await say(store, "repeated", as_id=ids[0])
    await load(store, ids[0], BOB)
    await load(store, "unknown")
    chain = await chain_of(store, ids[-1])
    reservation = await reserve(store, "reserved")
    await say(store, "d", chain, as_id="reserved", id_is_out=True, reservation=reservation)
    await store.release(reservation)
    assert not await store.reserve(Reservation("reserved"))
    assert await store.is_taken("reserved")
    await store.ping()


async def test_every_command_has_keys_of_one_slot_and_every_key_our_prefix(redis_client, redis_server):
    async with monitored(redis_server.host, redis_server.port) as seen:
        await run_every_operation(store_on(redis_client))
    commands = [
        command for command in seen.commands if command[0] not in ("PING", "CLIENT", "HELLO", "SELECT", "COMMAND")
    ]
    assert {command[0] for command in commands} == {"GET", "EVALSHA", "EXISTS"}
    for command in commands:
        keys = command[3 : 3 + int(command[2])] if command[0].startswith("EVAL") else command[1:2]
        assert len({key_slot(str_if_bytes(key).encode()) for key in keys}) == 1, command
        assert all(key.startswith(PREFIX) for key in keys), command


async def test_all_keys_begin_with_the_one_prefix(redis_client, store):
    await talk(store, "abc")
    kinds = sorted(key.decode().rsplit(":", 1)[-1] for key in await redis_client.keys(f"{PREFIX}{{*"))
    assert kinds == ["lives", "tree", "turns"]
    assert len(await redis_client.keys("*")) == 3 + len(await redis_client.keys(f"{SESSION}*")) == 6


async def test_a_namespace_stands_before_the_prefix_and_keeps_apart(redis_client, store):
    spaced = store_on(redis_client, namespace="blue")
    response_id = await say(spaced, "a")
    assert {key.split(b":")[0] for key in await redis_client.keys("*")} == {b"blue"}
    assert await load(store, response_id) is Miss.UNKNOWN
    assert await inputs_of(spaced, response_id) == ["a"]


async def test_redis_survives_scripts_of_others_that_shorten_what_it_keeps_for_calls():
    """See scripts.py: with longer calls of ours, a Redis 6.2 without jemalloc ended by SIGABRT."""
    with RedisServer() as server:
        client = Redis.from_url(server.url)
        store = store_on(client)
        await client.eval("return redis.call('MGET', unpack(KEYS))", 30, *map(str, range(30)))
        for number in range(20):
            await client.eval("return redis.call('INCRBYFLOAT', KEYS[1], ARGV[1])", 1, "spent", "0.5")
            inputs = [f"{number}a", f"{number}b"]
            assert await inputs_of(store, (await talk(store, inputs))[-1]) == inputs
        await client.aclose()
        assert server.is_running()
