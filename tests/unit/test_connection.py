"""Which Redis is used, how it is named in logs, and how it is opened."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from types import SimpleNamespace
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ConnectionError, TimeoutError

from lab.redis_server import RedisServer
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.connection import (
    Connection,
    arguments_of,
    find_connection,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.runtime import Runtime

from .support.runtimes import pretend_a_proxy_runs
from .support.stores import inputs_of, say, settings_of

KEEPALIVE = {
    "on": (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
    "idle": (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
    "between": (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
    "probes": (socket.IPPROTO_TCP, socket.TCP_KEEPCNT),
}

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
    "limit, most", [(None, None), ("", None), (1, 1), ("4", 4), (1_000, 1_000), (0, None), ("many", None)]
)
def test_an_operator_s_limit_of_connections_is_known(limit, most):
    assert Connection("X", {"max_connections": limit}).most_connections == most


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


@pytest.fixture
def opened(places) -> Iterator[Callable[..., Any]]:
    """Opens clients, which are closed afterwards."""
    with ExitStack() as stack:
        yield lambda origin, seconds=5: stack.enter_context(find_connection(*places[origin]()).open(seconds))


@every_origin
def test_an_opened_client_reaches_its_redis_and_answers_in_bytes(opened, redis_client, origin):
    client = opened(origin)
    client.set("a", "b")
    assert client.get("a") == redis_client.get("a") == b"b"


@every_origin
def test_each_answer_is_waited_for_so_long_and_not_twice(opened, redis_client, origin):
    client = opened(origin, seconds=0.5)
    client.ping()
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        client.blpop("nothing", timeout=2)
    assert 0.5 <= time.monotonic() - began < 0.95


@every_origin
def test_a_connection_that_a_middlebox_dropped_is_found_before_anybody_asks_by_it(opened, origin):
    """TCP keepalive finds it, within a minute."""
    client = opened(origin)
    client.ping()
    (connection,) = client.connection_pool._available_connections
    options = {name: connection._sock.getsockopt(*option) for name, option in KEEPALIVE.items()}
    assert options["on"] and options["idle"] + options["between"] * options["probes"] <= 60


@every_origin
def test_connections_that_the_server_has_closed_cost_no_failure(opened, redis_client, origin):
    """As after a restart, or a load balancer's idle timeout: all connections of the pool are gone at once."""
    client = opened(origin)
    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(lambda _: client.ping(), range(50)))
        redis_client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        assert all(threads.map(lambda _: client.ping(), range(50)))


@pytest.mark.parametrize(
    "connection_to",
    [
        lambda path: Connection("REDIS_SESSION_PATCH_URL", {"url": f"unix://{path}"}),
        lambda path: Connection("the proxy's cache", {"url": f"unix://{path}"}),
        lambda path: Connection("the proxy's cache", {"host": "localhost", "unix_socket_path": path}),
    ],
    ids=["own", "cache by url", "cache by path"],
)
def test_a_unix_socket_is_a_way_too(bare_environment, tmp_path, connection_to):
    """It knows nothing of TCP's keepalive."""
    path = str(tmp_path / "socket")
    with RedisServer(unixsocket=path), connection_to(path).open(0.1) as client:
        assert client.ping()
        with pytest.raises(TimeoutError):
            client.blpop("nothing", timeout=2)


def test_a_redis_that_is_away_is_asked_twice_and_no_more(undecided):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port, accepted = listening.getsockname()[1], []

        def hang_up() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    accepted.append(connection.recv(1 << 16))
                    connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        with find_connection(f"redis://127.0.0.1:{port}", {}).open(5) as client, pytest.raises(ConnectionError):
            client.ping()
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(5)
    assert len(accepted) == 2


async def test_a_burst_is_served_by_as_many_connections_as_there_are_places(places, redis_client):
    connection = find_connection(*places["cache by host"]())
    runtime = Runtime(settings_of(), connection)
    stored = await asyncio.gather(*(say(runtime.store, "hello") for _ in range(100)))
    assert await asyncio.gather(*(inputs_of(runtime.store, place) for place in stored)) == [["hello"]] * 100
    assert connection.most_connections == 3 and len(redis_client.client_list()) <= 3 + 1


@pytest.mark.parametrize("name, value", [("read_from_replicas", True), ("load_balancing_strategy", "round_robin")])
def test_a_replica_is_never_asked(monkeypatch, name, value):
    """It may not have the newest turn yet."""
    given: dict[str, Any] = {}
    monkeypatch.setattr("litellm._redis.get_redis_client", lambda **kwargs: given.update(kwargs) or Redis())
    Connection("the proxy's cache", {"startup_nodes": [{"host": "a", "port": 1}], name: value}).open(1)
    assert name not in given and given["startup_nodes"]


def test_a_url_of_our_own_is_not_mixed_with_litellm_s_variables(undecided, redis_server, redis_client):
    undecided.setenv("REDIS_PASSWORD", "wrong")
    undecided.setenv("REDIS_CLUSTER_NODES", '[{"host": "elsewhere", "port": 1}]')
    with find_connection(redis_server.url, {}).open(5) as client:
        assert client.ping()


def test_a_password_in_litellm_s_variables_is_used(undecided):
    with RedisServer(password="right") as server:
        for name, value in server.environment.items():
            undecided.setenv(name, value)
        with find_connection(None, server.environment).open(5) as client:
            assert client.ping()
