"""`GET /health/session_store`: for administrators, and without anybody's secret."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from lab.custom_auth import bearer
from lab.lines import Manner
from lab.provider import Provider
from lab.proxies import ProxyPool
from lab.proxy import Proxy, ProxyOptions
from lab.redis_server import RedisServer
from litellm.responses.litellm_completion_transformation.redis_session_patch.version import FORK_VERSION

from .raw import ask, openai_client
from .sizes import IDENTITIES

PATH = "/health/session_store"
PASSWORD = "password-of-redis"


@pytest.fixture(scope="module")
def locked_redis() -> Iterator[RedisServer]:
    with RedisServer(password=PASSWORD, maxmemory="100mb", maxmemory_policy="volatile-ttl") as server:
        yield server


@pytest.fixture
def watched(proxies: ProxyPool, identity_options: ProxyOptions, locked_redis: RedisServer, provider: Provider) -> Proxy:
    """A proxy whose keys have no role of an administrator, and whose Redis has a password."""
    return proxies.get(replace(identity_options, environment={"REDIS_SESSION_PATCH_URL": locked_redis.url}))


def get(proxy: Proxy, path: str = PATH, key: str | None = None) -> httpx.Response:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return httpx.get(proxy.url + path, headers=headers, timeout=30, trust_env=False)


def health(proxy: Proxy) -> dict[str, Any]:
    reply = get(proxy, key=proxy.key)
    assert reply.status_code == 200, reply.text
    assert PASSWORD not in reply.text
    return reply.json()


@IDENTITIES
def test_the_master_key_sees_what_runs_and_how_its_redis_is(
    watched: Proxy, locked_redis: RedisServer, release: str
) -> None:
    said = health(watched)
    assert (said["fork"], said["release"], said["active"]) == (FORK_VERSION, release, True)
    assert f"127.0.0.1:{locked_redis.port}" in said["redis"]
    assert said["breaker_open"] == {"read": False, "write": False}
    assert (said["encrypted"], said["ttl_seconds"]) == (False, 86_400)
    memory = said["redis_memory"]
    assert (memory["maxmemory"], memory["maxmemory_policy"]) == (100 * 1024 * 1024, "volatile-ttl")
    assert memory["used_memory"] > 0


@IDENTITIES
def test_turns_and_lookups_show(watched: Proxy) -> None:
    before = health(watched)["counts"]
    with openai_client(watched, bearer(user="alice")) as client:
        first = ask(client, Manner("chat-model"))
        ask(client, Manner("chat-model", True), after=first)
    after = health(watched)["counts"]
    assert after["turns"]["stored"] == before["turns"]["stored"] + 2
    assert after["lookups"]["found"] == before["lookups"]["found"] + 1


@pytest.mark.parametrize(
    "rules, what",
    [
        (("~other:*", "+@all"), "it cannot store a turn ("),
        (("~litellm_patch:*", "+@all", "-zrem"), "it cannot delete a response ("),
        (("~litellm_patch:*", "+@all", "-unlink"), "it cannot erase a conversation ("),
    ],
    ids=["of other keys", "without ZREM", "without UNLINK"],
)
def test_what_redis_does_not_let_do_is_named_at_start_and_by_the_route(
    rules: tuple[str, ...], what: str, plain_options: ProxyOptions
) -> None:
    with RedisServer() as server, server.client() as redis:
        redis.execute_command("ACL", "SETUSER", "poor", "on", f">{PASSWORD}", *rules)
        url = f"redis://poor:{PASSWORD}@{server.host}:{server.port}/0"
        with Proxy(replace(plain_options, environment={"REDIS_SESSION_PATCH_URL": url})) as proxy:
            (line,) = [line for line in proxy.log_text().splitlines() if "Redis session patch " in line]
            assert what in line and PASSWORD not in line
            assert any(problem.startswith(what) for problem in health(proxy)["redis_problems"])


@IDENTITIES
def test_another_key_is_refused(watched: Proxy) -> None:
    reply = get(watched, key=bearer(user="alice"))
    assert reply.status_code == 403
    assert FORK_VERSION not in reply.text


def test_without_a_key_it_is_refused_as_upstreams_own_routes_are(proxy: Proxy) -> None:
    reply = get(proxy)
    assert reply.status_code == get(proxy, "/v1/models").status_code >= 400
    assert FORK_VERSION not in reply.text


@IDENTITIES
def test_without_redis_the_proxy_is_ready_and_the_route_says_what_failed(
    watched: Proxy, locked_redis: RedisServer
) -> None:
    locked_redis.crash()
    try:
        with openai_client(watched, bearer(user="alice")) as client:
            for _ in range(4):
                ask(client, Manner("chat-model"))
        for path in ("/health/readiness", "/health/liveliness"):
            assert get(watched, path, watched.key).status_code == 200
        said = health(watched)
        assert said["redis_memory"] is None
        assert said["breaker_open"]["write"] and said["last_error"]["write"]
        assert said["counts"]["turns"]["failed"] >= 4
    finally:
        locked_redis.start()
