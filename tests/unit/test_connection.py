"""Which Redis is used, how it is named in logs, and how it is opened."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from lab.redis_server import RedisServer
from litellm.responses.litellm_completion_transformation.redis_session_patch.connection import (
    Connection,
    find_connection,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.runtime import Runtime
from litellm.responses.litellm_completion_transformation.redis_session_patch.settings import Settings
from litellm.responses.litellm_completion_transformation.redis_session_patch.store import StoreUnavailable

from .support.bridge import pretend_a_proxy_runs
from .support.stores import inputs_of, say

OWN = "redis://own:6379/0"
URL, HOST = {"REDIS_URL": "redis://env:6379"}, {"REDIS_HOST": "cache", "REDIS_PORT": "6380", "REDIS_PASSWORD": "s3cret"}


def cache_of(namespace: str | None = None) -> SimpleNamespace:
    return SimpleNamespace(redis_kwargs={"host": "shared", "port": 6379}, namespace=namespace)


@pytest.mark.parametrize(
    "own_url, cache, environ, origin",
    [
        (OWN, cache_of(), URL, "REDIS_SESSION_PATCH_URL"),
        (None, cache_of(), URL, "the proxy's cache"),
        (None, None, {**URL, **HOST}, "REDIS_URL"),
        (None, None, HOST, "REDIS_HOST"),
        (None, None, {"REDIS_CLUSTER_NODES": "[]"}, "REDIS_CLUSTER_NODES"),
        (None, None, {"REDIS_SENTINEL_NODES": "[]"}, "REDIS_SENTINEL_NODES"),
    ],
)
def test_its_own_redis_goes_before_the_proxy_s_and_that_before_the_environment(
    undecided, own_url, cache, environ, origin
):
    pretend_a_proxy_runs(undecided, redis_usage_cache=cache)
    assert find_connection(own_url, environ).origin == origin


@pytest.mark.parametrize("environ", [{}, {"REDIS_URL": ""}, {"REDIS_HOST": ""}, {"REDIS_PORT": "6379"}])
def test_without_any_redis_there_is_no_connection(undecided, environ):
    assert find_connection(None, environ) is None


def test_the_namespace_of_the_proxy_s_cache_is_taken_over(undecided):
    pretend_a_proxy_runs(undecided, redis_usage_cache=cache_of("blue"))
    assert find_connection(None, {}).namespace == "blue"
    assert find_connection(OWN, {}).namespace is None


@pytest.mark.parametrize(
    "connection, address",
    [
        (Connection("X", {"url": "redis://h:6380/2"}), "redis://h:6380/2"),
        (Connection("X", {"url": "rediss://user:s3cret@h"}), "rediss://h:6379"),
        (Connection("X", {"url": "redis://:s3cret@h:1/0?password=s3cret"}), "redis://h:1/0"),
        (Connection("X", {"url": "unix://user:s3cret@/run/redis.sock?password=s3cret"}), "unix:///run/redis.sock"),
        (Connection("X", {"host": "h", "port": "6380", "password": "s3cret"}), "h:6380"),
        (Connection("X", {"host": "h", "username": "s3cret"}), "h:6379"),
        (Connection("X", {"startup_nodes": [{"host": "a", "port": 1}, {"host": "b", "port": 2}]}), "a:1, b:2"),
        (Connection("X", {"sentinel_nodes": [["a", 1]], "sentinel_password": "s3cret"}), "a:1"),
        (Connection("X", {"url": "redis://:s3cret/word@h:6379"}), ""),
        (Connection("X", {"url": "redis://h:s3cret"}), ""),
        (Connection("X", {"url": "redis://[s3cret"}), ""),
        (Connection("X", {}), ""),
    ],
)
def test_a_connection_is_described_by_its_address_without_secrets(connection, address):
    described = connection.describe()
    assert address in described and described.endswith("(X)")
    assert "s3cret" not in described and "user" not in described


@pytest.mark.parametrize("port", ["", "tcp://10.0.0.1:6379"])
def test_a_port_that_kubernetes_sets_is_not_taken_for_one(undecided, port):
    assert "cache:6379" in find_connection(None, {"REDIS_HOST": "cache", "REDIS_PORT": port}).describe()


@pytest.mark.parametrize("origin", ["own", "REDIS_URL", "REDIS_HOST", "the proxy's cache"])
async def test_an_opened_client_reaches_its_redis_and_answers_in_bytes(undecided, redis_client, redis_server, origin):
    host = {"host": redis_server.host, "port": redis_server.port}
    environ = {
        "REDIS_URL": {"REDIS_URL": redis_server.url},
        "REDIS_HOST": {"REDIS_HOST": redis_server.host, "REDIS_PORT": str(redis_server.port)},
    }.get(origin, {})
    if origin == "the proxy's cache":
        pretend_a_proxy_runs(
            undecided, redis_usage_cache=SimpleNamespace(redis_kwargs={**host, "decode_responses": True})
        )
    client = find_connection(redis_server.url if origin == "own" else None, environ).open()
    try:
        await client.set("a", "b")
        assert await client.get("a") == await redis_client.get("a") == b"b"
    finally:
        await client.aclose()


@pytest.mark.parametrize("origin", ["own", "the proxy's cache"])
async def test_a_burst_of_requests_is_served(undecided, redis_client, redis_server, origin):
    arguments = {"host": redis_server.host, "port": redis_server.port}
    pretend_a_proxy_runs(undecided, redis_usage_cache=SimpleNamespace(redis_kwargs=arguments))
    connection = find_connection(redis_server.url if origin == "own" else None, {})
    client = connection.open()
    runtime = Runtime(Settings(timeout_seconds=10), lambda: client)
    try:
        ids = await asyncio.gather(*(runtime.write(lambda store: say(store, "hello")) for _ in range(300)))
        found = await asyncio.gather(*(runtime.read(lambda store, each=each: inputs_of(store, each)) for each in ids))
        assert found == [["hello"]] * 300
    finally:
        await client.aclose()


async def test_a_refused_password_is_told_from_a_redis_that_does_not_answer(undecided):
    with RedisServer(password="right") as server:
        client = find_connection(server.url.replace("right", "s3cret"), {}).open()
        assert client.get_retry().get_retries() <= 1  # More would wait until the time is up.
        try:
            with pytest.raises(StoreUnavailable) as caught:
                await Runtime(Settings(timeout_seconds=3), lambda: client).read(lambda store: store.ping())
        finally:
            await client.aclose()
    assert "Authentication" in str(caught.value) and "s3cret" not in str(caught.value)
