"""The Lua scripts' text, and what they really call."""

from __future__ import annotations

import re

import pytest

from lab.monitor import monitored
from lab.redis_server import RedisServer
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.probe import probe_all

from .support.clients import SCRIPTS, Twice
from .support.stores import ALICE, PREFIX, follow, inputs_of, keys_of, say, store_on, talk

every_script = pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)


def calls_in(script: str) -> list[list[str]]:
    """The words of each `redis.call` and `redis.pcall`, as they are written."""
    calls = []
    for found in re.finditer(r"redis\.p?call\(", script):
        words, depth = [""], 1
        for token in re.findall(r"'[^']*'|.", script[found.end() :], re.DOTALL):
            depth += {"(": 1, ")": -1}.get(token, 0)
            if not depth:
                break
            if token == "," and depth == 1:
                words.append("")
            else:
                words[-1] += token
        calls.append([word.strip() for word in words])
    return calls


@every_script
def test_every_call_names_its_key_as_a_literal_of_keys(script):
    """So that a proxy in front of Redis that checks scripts takes them."""
    calls = calls_in(script)
    assert calls
    for command, *rest in calls:
        assert re.fullmatch(r"'[A-Z]+'", command)
        keys = rest if command == "'UNLINK'" else rest[: command != "'TIME'"]
        assert all(re.fullmatch(r"KEYS\[(?:[1-4]|i)\]", key) for key in keys)


@every_script
def test_no_call_is_written_with_more_than_four_words(script):
    assert [call for call in calls_in(script) if len(call) > 4] == []


async def test_no_call_has_more_than_four_words(redis_client, redis_server, store):
    """Not even one whose words are made when it runs."""
    with monitored(redis_server.host, redis_server.port) as seen:
        probe_all(PREFIX, redis_client)
        places = await talk(store, "abc")
        await store.delete(places[-1], ALICE)
    assert {call[0] for call in seen.inner} >= {"HSET", "ZADD", "UNLINK", "EXPIRE", "SET", "GET", "ZREM"}
    assert [call for call in seen.inner if len(call) > 4] == []


async def test_redis_survives_scripts_of_others_that_shorten_what_it_keeps_for_calls():
    """See scripts.py: with longer calls of ours, a Redis 6.2 without jemalloc ended by SIGABRT."""
    with RedisServer() as server, server.client() as client:
        store = store_on(client)
        client.eval("return redis.call('MGET', unpack(KEYS))", 30, *map(str, range(30)))
        for number in range(20):
            client.eval("return redis.call('INCRBYFLOAT', KEYS[1], ARGV[1])", 1, "spent", "0.5")
            inputs = [f"{number}a", f"{number}b"]
            assert await inputs_of(store, (await talk(store, inputs))[-1]) == inputs
        assert server.is_running()


async def test_a_turn_that_is_stored_again_after_a_lost_answer_is_there_once(redis_client, store):
    first = await say(store, "a")
    last = await follow(store_on(Twice(redis_client, "append", "read")), first, "b")
    assert await inputs_of(store, last) == ["a", "b"]
    turns, tree, lives = keys_of(first)
    assert (redis_client.hlen(turns), redis_client.zcard(tree), redis_client.zcard(lives)) == (2 + 2, 2, 2)
