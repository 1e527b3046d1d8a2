"""Which Redis is used, how it is named in logs, and how it is opened."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from lab.redis_server import RedisServer
from litellm.responses.litellm_completion_transformation.redis_session_patch.connection import (
    Connection,
    arguments_of,
    find_connection,
    has_database,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.runtime import Runtime
from litellm.responses.litellm_completion_transformation.redis_session_patch.settings import Settings

from .support.bridge import pretend_a_proxy_runs
from .support.stores import inputs_of, say

OWN = "redis://own:6379/0"
URL, HOST = {"REDIS_URL": "redis://env:6379"}, {"REDIS_HOST": "cache", "REDIS_PORT": "6380", "REDIS_PASSWORD": "s3cret"}


def cache_of(namespace: str | None = None, **kwargs: Any) -> SimpleNamespace:
    return SimpleNamespace(redis_kwargs={"host": "shared", "port": 6379, **kwargs}, namespace=namespace)


@pytest.mark.parametrize(
    "own_url, cache, environ, origin",
    [
        (OWN, cache_of(), URL, "REDIS_SESSION_PATCH_URL"),
        (None, cache_of(), URL, "the proxy's cache"),
        (None, None, {**URL, **HOST}, "REDIS_URL"),
        (None, None, HOST, "REDIS_HOST"),
        (None, None, {"REDIS_CLUSTER_NODES": "[]", **URL}, "REDIS_CLUSTER_NODES"),
        (None, None, {"REDIS_SENTINEL_NODES": "[]", **HOST}, "REDIS_SENTINEL_NODES"),
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
    "limit, places", [(None, 16), ("", 16), (1, 1), ("4", 4), (16, 16), (1_000, 16), (0, 16), ("many", 16)]
)
def test_there_are_no_more_places_than_the_pool_has_connections(limit, places):
    assert Connection("X", {"max_connections": limit}).places == places


@pytest.mark.parametrize(
    "environ, arguments",
    [
        (URL, {"url": "redis://env:6379"}),
        (HOST, {"host": "cache", "port": 6380, "password": "s3cret"}),
        ({**HOST, "REDIS_PORT": "tcp://10.0.0.1:6379"}, {"host": "cache", "password": "s3cret"}),
        ({"REDIS_HOST": "h", "REDIS_PORT": ""}, {"host": "h"}),
        ({"REDIS_HOST": "h", "REDIS_SSL": "True", "REDIS_DB": "3"}, {"host": "h", "ssl": True, "db": 3}),
        ({"REDIS_HOST": "h", "REDIS_SSL": "false"}, {"host": "h", "ssl": False}),
        (
            {"REDIS_HOST": "h", "REDIS_SSL_CA_CERTS": "/ca.pem", "REDIS_SSL_CERT_REQS": "none"},
            {"host": "h", "ssl_ca_certs": "/ca.pem", "ssl_cert_reqs": "none"},
        ),
        ({"REDIS_HOST": "h", "REDIS_MAX_CONNECTIONS": "5"}, {"host": "h", "max_connections": 5}),
        ({"REDIS_HOST": "h", "REDIS_USERNAME": "u", "REDIS_SESSION_PATCH_TTL": "1"}, {"host": "h", "username": "u"}),
    ],
)
def test_arguments_are_taken_from_litellm_s_variables_as_what_they_are(environ, arguments):
    assert arguments_of(environ) == arguments


@pytest.mark.parametrize(
    "kwargs, address",
    [
        ({"url": "redis://h:6380/2"}, "redis://h:6380/2"),
        ({"url": "rediss://user:s3cret@h"}, "rediss://h:6379"),
        ({"url": "redis://:s3cret@h:1/0?password=s3cret"}, "redis://h:1/0"),
        ({"url": "unix://user:s3cret@/run/redis.sock?password=s3cret"}, "unix:///run/redis.sock"),
        ({"host": "h", "port": "6380", "password": "s3cret"}, "h:6380"),
        ({"host": "h", "username": "s3cret"}, "h:6379"),
        ({"startup_nodes": [{"host": "a", "port": 1}, {"host": "b", "port": 2}]}, "a:1, b:2"),
        ({"sentinel_nodes": [["a", 1]], "sentinel_password": "s3cret"}, "a:1"),
        ({"sentinel_nodes": "s3cret"}, "sentinel nodes configured"),
        ({"url": "redis://:s3cret/word@h:6379"}, ""),
        ({"url": "redis://s3cret/x@host"}, "%XX"),
        ({"url": "redis://s3cret?x@host"}, "%XX"),
        ({"url": "redis://s3cret#x@host"}, "%XX"),
        ({"url": "redis://:s3cret?x@host"}, "cannot be read"),
        ({"url": "redis://:s3cret#x@host"}, "cannot be read"),
        ({"url": "redis://h:s3cret"}, "cannot be read"),
        ({"url": "redis://[s3cret"}, "cannot be read"),
        ({}, "REDIS_*"),
    ],
)
def test_a_connection_is_described_by_its_address_without_secrets(kwargs, address):
    described = Connection("X", kwargs).describe()
    assert address in described and described.endswith("(X)")
    assert "s3cret" not in described and "user" not in described


@pytest.fixture
def places(undecided, redis_server) -> dict[str, Any]:
    """Each way to the same server: the own URL, and the environment."""
    host = {"REDIS_HOST": redis_server.host, "REDIS_PORT": str(redis_server.port)}

    def cached(**kwargs: Any) -> tuple[None, dict]:
        pretend_a_proxy_runs(undecided, redis_usage_cache=SimpleNamespace(redis_kwargs=kwargs))
        return None, {}

    def from_environment(**environ: str) -> tuple[None, dict]:
        for name, value in environ.items():
            undecided.setenv(name, value)
        return None, environ

    return {
        "own": lambda: (redis_server.url, {}),
        "REDIS_URL": lambda: from_environment(REDIS_URL=redis_server.url),
        "REDIS_HOST": lambda: from_environment(**host),
        "cache by host": lambda: cached(
            host=redis_server.host, port=redis_server.port, decode_responses=True, max_connections=3
        ),
        "cache by url": lambda: cached(url=redis_server.url),
    }


every_origin = pytest.mark.parametrize("origin", ["own", "REDIS_URL", "REDIS_HOST", "cache by host", "cache by url"])


@every_origin
async def test_an_opened_client_reaches_its_redis_and_answers_in_bytes(places, redis_client, origin):
    client = find_connection(*places[origin]()).open()
    try:
        await client.set("a", "b")
        assert await client.get("a") == await redis_client.get("a") == b"b"
        assert client.get_retry().get_retries() == 0  # The link does it, with a new client.
    finally:
        await client.aclose()


@every_origin
async def test_a_burst_is_served_and_stale_connections_cost_a_retry_each(places, redis_client, origin):
    connection = find_connection(*places[origin]())
    runtime = Runtime(Settings(timeout_seconds=10), connection.open, places=connection.places)
    ids = await asyncio.gather(*(runtime.write(lambda store, _: say(store, "hello")) for _ in range(100)))
    await redis_client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    found = await asyncio.gather(*(runtime.read(lambda store, _, each=each: inputs_of(store, each)) for each in ids))
    assert found == [["hello"]] * 100
    assert len(await redis_client.client_list()) <= connection.places + 1


async def test_a_url_of_our_own_is_not_mixed_with_litellm_s_variables(undecided, redis_server, redis_client):
    undecided.setenv("REDIS_PASSWORD", "wrong")
    undecided.setenv("REDIS_CLUSTER_NODES", '[{"host": "elsewhere", "port": 1}]')
    client = find_connection(redis_server.url, {}).open()
    assert await client.ping()
    await client.aclose()


async def test_a_password_in_litellm_s_variables_is_used(undecided):
    with RedisServer(password="right") as server:
        for name, value in server.environment.items():
            undecided.setenv(name, value)
        client = find_connection(None, server.environment).open()
        assert await client.ping()
        await client.aclose()


@pytest.mark.parametrize("attributes, expected", [({}, False), ({"prisma_client": None}, False)])
def test_without_a_client_of_it_the_proxy_has_no_database(undecided, attributes, expected):
    assert has_database() is False
    pretend_a_proxy_runs(undecided, **attributes)
    assert has_database() is expected


def test_with_a_client_of_it_the_proxy_has_a_database(with_database):
    assert has_database()
