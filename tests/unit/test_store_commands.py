"""What reaches Redis: how many commands, which keys, how many bytes. Counted on the server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from redis.crc import key_slot

from lab.monitor import monitored
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.guard import LARGE_BYTES
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.ids import Place
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.results import Miss
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.turns import NO_TURNS, Chain, Turn

from .support.clients import Watching, script_name
from .support.stores import (
    ALICE,
    BOB,
    PREFIX,
    chain_of,
    follow,
    inputs_of,
    keys_of,
    load,
    noise_of,
    say,
    store_on,
    talk,
    turn_of,
)

NOWHERE = Place("n0t-st0red-", "1")


async def branched(store: Any, turns: int) -> Place:
    """The last response of a conversation whose every turn has a sibling."""
    last = await say(store, "0")
    for number in range(1, turns):
        parent = last
        last = await follow(store, parent, str(number))
        await follow(store, parent, "sibling")
    return last


@pytest.fixture
def sent(redis_server, redis_client):
    """The scripts that clients sent meanwhile, and nothing else may have been sent."""

    async def watch(asked: Any) -> list[str]:
        with monitored(redis_server.host, redis_server.port) as seen:
            await asked
        assert {command[0] for command in seen.commands} <= {"EVALSHA"}, seen.commands
        return [script_name(command[1]) for command in seen.commands]

    return watch


@pytest.mark.parametrize("length", [1, 2, 60])
async def test_a_conversation_of_any_length_is_read_by_one_command(sent, store, length):
    last = (await talk(store, map(str, range(length))))[-1]
    assert await sent(load(store, last)) == ["read"]
    assert await inputs_of(store, last) == list(map(str, range(length)))


async def test_a_conversation_of_many_branches_is_read_by_one_command(sent, store):
    last = await branched(store, 30)
    assert await sent(load(store, last)) == ["read"]
    assert await inputs_of(store, last) == list(map(str, range(30)))


async def test_a_large_conversation_is_read_by_two(sent, store):
    """The first one says how large it is."""
    small, large = (noise_of(1, int(LARGE_BYTES * share)) for share in (1.6, 2.4))  # packed to about half of that
    place = await say(store, Turn(small))
    assert await sent(load(store, place)) == ["read"]
    place = await say(store, Turn(large))
    assert await sent(load(store, place)) == ["read", "read"]
    assert await inputs_of(store, place) == [large]


@pytest.mark.parametrize("length", [0, 1, 60])
async def test_a_turn_is_stored_by_one_command(sent, store, length):
    last = await talk(store, map(str, range(length)))
    chain = await chain_of(store, last[-1]) if length else NO_TURNS
    assert await sent(say(store, "new", chain)) == ["append"]


async def test_follow_ups_of_one_response_at_once_are_a_branch_each(store):
    chain = await chain_of(store, (await talk(store, "ab"))[-1])
    said = [str(number) for number in range(20)]
    places = await asyncio.gather(*(say(store, text, chain) for text in said))
    assert await asyncio.gather(*(inputs_of(store, place) for place in places)) == [["a", "b", text] for text in said]


async def test_a_large_turn_is_stored_by_one_command(redis_client):
    watching = Watching(redis_client)
    await say(store_on(watching), Turn(noise_of(1, 3 * LARGE_BYTES)))
    assert watching.names == ["append"]


async def test_a_given_history_is_stored_by_one_command_and_a_look_at_each_erasure(sent, store):
    given = Chain(tuple(map(turn_of, "abc")))
    assert await sent(say(store, "d", given)) == ["append", *["erased_ago"] * 3]  # of the user, the team and the key


@pytest.mark.parametrize("reader", [ALICE, BOB])
async def test_a_miss_costs_one_command_whatever_its_reason(sent, store, reader):
    mine, deleted = await say(store, "a"), await say(store, "b")
    await store.delete(deleted, ALICE)
    for place in (NOWHERE, deleted, *([mine] if reader is BOB else [])):
        assert await sent(load(store, place, reader)) == ["read"]


async def test_a_deletion_is_one_command(sent, store):
    place = await say(store, "a")
    assert await sent(store.delete(place, ALICE)) == ["end"]
    assert await load(store, place) is Miss.DELETED


async def test_a_redis_that_does_not_know_the_scripts_yet_is_told_them_once(redis_client):
    """After a restart, and on each node of a Cluster."""
    redis_client.script_flush()
    watching = Watching(redis_client)
    store = store_on(watching)
    places = await talk(store, "abc")
    assert watching.names == ["append", "append", "read", "read", "append", "read", "append"]
    assert await inputs_of(store, places[-1]) == list("abc")


async def test_every_command_has_keys_of_one_slot_and_every_key_our_prefix(redis_client, redis_server, store):
    with monitored(redis_server.host, redis_server.port) as seen:
        places = await talk(store, "abc")
        await follow(store, places[0], "branch")
        await say(store, "d", Chain(tuple(map(turn_of, "abc"))))
        await load(store, places[0], BOB)
        await store.delete(places[0], ALICE)
    names = {script_name(command[1]) for command in seen.commands}
    assert names == {"append", "read", "end", "erased_ago"}
    for command in seen.commands:
        keys = command[3 : 3 + int(command[2])]
        assert len({key_slot(key.encode()) for key in keys}) == 1, command
        assert all(key.startswith(PREFIX) for key in keys), command


async def test_a_conversation_is_three_keys(redis_client, store):
    places = await talk(store, "abc")
    assert {key.decode() for key in redis_client.keys("*")} == set(keys_of(places[0]))


async def test_a_namespace_stands_before_the_prefix_and_keeps_apart(redis_client, store):
    spaced = store_on(redis_client, namespace="blue")
    place = await say(spaced, "a")
    assert {key.split(b":")[0] for key in redis_client.keys("*")} == {b"blue"}
    assert await load(store, place) is Miss.UNKNOWN
    assert await inputs_of(spaced, place) == ["a"]


async def test_a_conversation_costs_the_same_bytes_with_every_turn(redis_client, store):
    sizes, last = [], None
    for number in range(1, 101):
        text = noise_of(number, 500)
        last = await (follow(store, last, text) if last else say(store, text))
        if number in (25, 100):
            sizes.append(sum(redis_client.memory_usage(key) for key in redis_client.keys("*")))
    assert sizes[1] < 6 * sizes[0]  # four times the turns; Redis packs short lists more tightly
    assert sizes[1] < 100 * 2_000


async def test_what_is_said_again_in_every_turn_costs_next_to_nothing(store):
    """As by an agent that sends its whole transcript each time."""
    said, last = "", None
    for number in range(20):
        said += noise_of(number, 500)
        last = await (follow(store, last, said) if last else say(store, said))
    tip = (await chain_of(store, last)).tip
    assert tip.bytes < 1.5 * len(said) < tip.size / 5


async def test_the_bytes_of_a_turn_are_observed_and_are_those_in_redis(redis_client):
    observed: list[int] = []
    store = store_on(redis_client, record=lambda name, value, *_: name == "turn_bytes" and observed.append(value))
    last = (await talk(store, ["a", noise_of(0), "c" * 5_000]))[-1]
    values = [value for name, value in redis_client.hgetall(keys_of(last)[0]).items() if name.isdigit()]
    assert sorted(map(len, values)) == sorted(observed)
    heads = sum(len(value.partition(b"\n")[0]) + 1 for value in values)
    assert (await chain_of(store, last)).tip.bytes == sum(observed) - heads > 1_000
