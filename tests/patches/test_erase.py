"""`erase` on a real Redis, on values that the fork's own store wrote. With a proxy: tests/e2e/test_erasing.py."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from redis import Redis, RedisCluster

from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.store import SessionStore
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.owner import digest_of, owner_of
from tests.patches.test_purge import Server, cluster, server
from tests.unit.support.stores import OF_ALICE, follow, say, store_on, talk

__all__ = ["cluster", "server"]
REPOSITORY = Path(__file__).resolve().parents[2]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("REDIS_")}
    command = [sys.executable, "-m", "patches", "erase", *arguments]
    return subprocess.run(
        command, cwd=REPOSITORY, env={**clean, **environment}, capture_output=True, text=True, timeout=120
    )


def fill(open_client: Callable[[], Any], talk_to: Callable[[SessionStore], Awaitable[None]], **options: Any) -> None:
    client = open_client()
    try:
        asyncio.run(talk_to(store_on(client, **options)))
    finally:
        client.close()


OTHER_KEY = owner_of({**OF_ALICE, "user_api_key_hash": "k2"})


async def two_keys(store: SessionStore) -> None:
    """Three conversations: one key's, of three turns and two branches, one that both took part in, the other's."""
    first = await talk(store, ["first-1", "first-2"])
    await follow(store, first[0], "first-3")
    both = await say(store, "both-1")
    await follow(store, both, "both-2", owner=OTHER_KEY)
    await say(store, "other-1", owner=OTHER_KEY)


def test_what_a_key_took_part_in_goes_and_all_else_stays(server: Server) -> None:
    fill(lambda: Redis.from_url(server.url()), two_keys)
    with server.client() as client:
        client.set("other", "1")
        before = client.dbsize()
    dry = run("--url", server.url(), "--key-hash", "k1", "--dry-run")
    assert dry.stdout.splitlines()[-1] == "result    2 conversations with 5 responses would be erased"
    assert before == len(server.client().keys())

    done = run("--url", server.url(), "--key-hash", "k1")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        f"redis     {server.url()}",
        "result    2 conversations with 5 responses erased",
    ]
    (audit,) = done.stderr.splitlines()
    assert audit.endswith(" Redis session patch: erased 2 conversations with 5 responses, asked for by key_hash.")
    with server.client() as client:
        assert len(client.keys("*:tree")) == 1 and client.exists("other")
    again = json.loads(run("--url", server.url(), "--key-hash", "k1", "--json").stdout)
    assert (again["conversations"], again["responses"], again["exit_code"]) == (0, 0, 0)
    assert (again["by"], again["dry_run"], "k1" in json.dumps({**again, "redis": ""})) == (["key_hash"], False, False)


def test_by_an_organization_and_with_the_proxy_s_time_to_live(server: Server) -> None:
    """Marks of what was erased live as long as what they guard."""
    organization = digest_of("acme")
    with server.client() as client:
        client.hset("litellm_patch:session:{a}:turns", mapping={"by": f"..k..{organization}", "1": "P"})
    done = run("--url", server.url(), "--organization", "acme", REDIS_SESSION_PATCH_TTL="200000")
    assert done.stdout.endswith("result    1 conversations with 0 responses erased\n")
    with server.client() as client:
        marks = client.keys("*")
        assert len(marks) == 2 and all(client.ttl(mark) > 199_000 for mark in marks)


def test_a_namespace_is_another_house(server: Server) -> None:
    for namespace in ("one", "two"):
        fill(lambda: Redis.from_url(server.url()), two_keys, namespace=namespace)
    assert "0 conv" in run("--url", server.url(), "--key-hash", "k1").stdout
    assert "2 conv" in run("--url", server.url(), "--namespace", "one", "--key-hash", "k1").stdout
    with server.client() as client:
        assert [len(client.keys(f"{name}:*:tree")) for name in ("one", "two")] == [1, 3]


def test_every_node_of_a_cluster_is_looked_at(cluster: list[int]) -> None:
    fill(lambda: RedisCluster(host="127.0.0.1", port=cluster[0]), two_keys)
    done = run("--url", f"redis://127.0.0.1:{cluster[1]}", "--team", "red")
    assert done.stdout.endswith("result    3 conversations with 6 responses erased\n")


@pytest.mark.parametrize(
    ("arguments", "exit_code", "said"),
    [
        ((), 2, "is required"),
        (("--user", "a", "--team", "b"), 2, "not allowed with"),
        (("--user", ""), 1, "--user is empty"),
        (("--user", "a"), 1, "no Redis given"),
        (("--user", "a", "--url", "redis://127.0.0.1:1"), 1, "cannot be reached"),
    ],
)
def test_a_mistake_is_one_clear_line(arguments: tuple[str, ...], exit_code: int, said: str) -> None:
    done = run(*arguments)
    assert (done.returncode, said in done.stderr.splitlines()[0], done.stdout) == (exit_code, True, "")


def test_a_setting_that_the_proxy_would_refuse_is_one_clear_line() -> None:
    done = run("--user", "a", "--url", "redis://127.0.0.1:1", REDIS_SESSION_PATCH_TTL="0")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: REDIS_SESSION_PATCH_TTL='0': expected a whole number of at least 1.")


def test_without_litellm_a_response_cannot_be_named() -> None:
    command = [sys.executable, "-S", "-m", "patches", "erase", "--response", "resp_x", "--url", "redis://127.0.0.1:1"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.splitlines()) == (
        1,
        ["error: only LiteLLM reads a response's id", "next:  run it with the Python that runs LiteLLM"],
    )
