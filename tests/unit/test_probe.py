"""What Redis is asked at start and while it is left alone: it shows whether Redis is well, and leaves little."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import RedisError

from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.probe import (
    probe_all,
    probe_reading,
    probe_storing,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.results import StoreUnavailable

from .support.clients import SCRIPTS, Garbling, Watching
from .support.stores import ALICE, PREFIX

every_probe = pytest.mark.parametrize("probe", [probe_reading, probe_storing, probe_all])

COMMANDS = sorted({each for script in SCRIPTS.values() for each in re.findall(r"redis\.p?call\('([A-Z]+)'", script)})
RIGHTS = [f"+{command.lower()}" for command in ("EVAL", "EVALSHA", *COMMANDS)]
# A right for each thing that the store may ask.
NEEDED = {
    "store a turn": "HSET",
    "read a conversation": "HGET",
    "make a conversation": "ZADD",
    "begin in a conversation": "HLEN",
    "note a compaction": "HGET",
    "hold a conversation": "HGET",
    "list a conversation": "ZSCORE",
    "delete a response": "ZREM",
    "erase a conversation": "UNLINK",
    "claim an owner's room": "ZADD",
    "mark an erasure": "SET",
    "look for an erasure": "GET",
    "begin a background response": "HSET",
    "keep its events": "RPUSH",
    "read its events": "LRANGE",
    "cancel a background response": "HGET",
    "count background responses": "ZREMRANGEBYSCORE",
    "note whose an answer is": "SET",
    "look whose an answer is": "GET",
}


@every_probe
def test_a_redis_that_is_well_answers_also_one_that_has_been_started_anew(redis_client, probe):
    for _ in range(3):
        assert not probe(PREFIX, redis_client)
    redis_client.script_flush()
    assert not probe(PREFIX, redis_client)


@every_probe
@pytest.mark.parametrize("prefix", [PREFIX, f"blue:{PREFIX}"])
def test_what_it_leaves_has_the_store_s_prefix_and_a_short_life(redis_client, probe, prefix):
    for _ in range(100):
        probe(prefix, redis_client)
    keys = [key.decode() for key in redis_client.keys("*")]
    assert keys and all(key.startswith(prefix) for key in keys)
    assert len(keys) <= (100 * 2 if probe is probe_all else 16 * 3)
    assert all(0 < redis_client.ttl(key) <= 80 for key in keys)


def test_all_scripts_run_at_start(redis_client):
    watching = Watching(redis_client)
    probe_all(PREFIX, watching)
    assert sorted(watching.names) == sorted(SCRIPTS)


def test_reading_is_probed_by_a_read_that_finds_what_it_stored_and_renews_it(redis_client):
    replies: dict[str, Any] = {}
    watching = Watching(redis_client)
    watching.changed = lambda name, result: replies.update({name: result}) or result
    probe_reading(PREFIX, watching)
    assert replies["read"][0] == b"found" and watching.names == ["append", "read"]


@pytest.mark.parametrize("reply", [0, None])
def test_a_redis_that_does_not_keep_what_was_stored_cannot_store(redis_client, reply):
    with pytest.raises(StoreUnavailable):
        probe_storing(PREFIX, Garbling(redis_client, "append", reply))


@pytest.fixture
def poor(redis_server, redis_client) -> Iterator[Redis]:
    """A client of a user who may do what is needed, and nothing else."""
    command = ("ACL", "SETUSER", "poor", "reset", "on", ">pw", f"~{PREFIX}*", *RIGHTS)
    redis_client.execute_command(*command)
    try:
        with Redis(host=redis_server.host, port=redis_server.port, username="poor", password="pw") as client:
            yield client
    finally:
        redis_client.execute_command("ACL", "DELUSER", "poor")


def test_a_user_with_the_rights_that_are_needed_has_no_problem(poor):
    for _ in range(2):  # Whatever the first one left.
        assert probe_all(PREFIX, poor) == ()


@pytest.mark.parametrize("what", NEEDED)
def test_each_start_names_what_a_missing_right_prevents(redis_client, poor, what):
    """Several workers start one after the other."""
    redis_client.execute_command("ACL", "SETUSER", "poor", f"-{NEEDED[what].lower()}")
    for _ in range(2):
        assert any(problem.startswith(f"it cannot {what} (") for problem in probe_all(PREFIX, poor))


@pytest.mark.parametrize("command", COMMANDS)
def test_no_right_that_a_script_needs_is_missing_unnoticed(redis_client, poor, command):
    redis_client.execute_command("ACL", "SETUSER", "poor", f"-{command.lower()}")
    assert probe_all(PREFIX, poor)


def test_a_user_of_other_keys_can_do_nothing_of_it(redis_client, poor):
    redis_client.execute_command("ACL", "SETUSER", "poor", "resetkeys", "~other:*")
    assert len(probe_all(PREFIX, poor)) == len(NEEDED)
    for probe in (probe_reading, probe_storing):
        with pytest.raises(RedisError):
            probe(PREFIX, poor)


def test_nobody_s_conversation_is_none_that_an_id_can_name(redis_client):
    """Names of conversations have eleven characters."""
    for _ in range(100):
        probe_storing(PREFIX, redis_client)
        probe_all(PREFIX, redis_client)
    names = {key.decode().partition("{")[2].partition("}")[0] for key in redis_client.keys(f"{PREFIX}{{*")}
    assert names and all(len(name) != 11 for name in names)
    assert ALICE.identity != "nobody"
