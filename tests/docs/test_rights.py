"""The rights that the README lists are those that the fork needs of Redis: with one less, a start names what fails."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from redis import Redis

from lab.redis_server import RedisServer
from lab.ways import rights
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis import (
    job_scripts,
    object_scripts,
    scripts,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.probe import probe_all
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.store import KEY_PREFIX

NAMED = {**vars(job_scripts), **vars(object_scripts), **vars(scripts)}
SCRIPTS = [script for script in NAMED.values() if isinstance(script, scripts.Script)]
CALLED = {command.lower() for script in SCRIPTS for command in re.findall(r"redis\.p?call\('([A-Z]+)'", script)}
NEEDED = sorted({*CALLED, "eval", "evalsha"})
# To erase and purge, for the health route, of another database, of a Cluster.
OTHERS = {"scan", "hkeys", "info", "select", "cluster|slots", "command"}


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def limited(server: RedisServer) -> Iterator[Redis]:
    """A client of a user with the README's rights; the server is as new."""
    with server.client() as admin:
        admin.flushall()
        admin.script_flush()
        command = ("ACL", "SETUSER", "limited", "reset", "on", ">secret", "~litellm_patch:*", *rights().split())
        admin.execute_command(*command)
    with Redis(host=server.host, port=server.port, username="limited", password="secret") as client:
        yield client


def test_the_rights_are_those_that_the_scripts_need_and_a_few_for_other_purposes() -> None:
    listed = [right.removeprefix("+") for right in rights().split()]
    assert sorted(listed) == sorted([*NEEDED, *OTHERS])


def test_with_these_rights_a_start_finds_nothing_amiss(limited: Redis) -> None:
    for _ in range(2):  # A second worker finds what the first one left.
        assert probe_all(KEY_PREFIX, limited) == ()


@pytest.mark.parametrize("right", NEEDED)
def test_with_one_right_less_a_start_names_what_redis_does_not_do(
    right: str, server: RedisServer, limited: Redis
) -> None:
    with server.client() as admin:
        admin.execute_command("ACL", "SETUSER", "limited", f"-{right}")
    assert probe_all(KEY_PREFIX, limited)
