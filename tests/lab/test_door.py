"""The way to a Redis and its troubles, seen by a real client of a real server."""

import random
import socket
import time
from pathlib import Path

import pytest
import redis
import trustme

from lab.door import Door
from lab.processes import ProcessFailed
from lab.redis_server import RedisServer
from lab.troubles import ALLOWED, BREAKS, NO_TROUBLE, Trouble, breaking_replies, losing_replies, refusing


@pytest.fixture
def server():
    with RedisServer() as server:
        yield server


@pytest.fixture
def door(server):
    with Door((server.host, server.port)) as door:
        yield door


@pytest.fixture(params=[2, 3])
def client(request, door):
    """Without retries and with a short patience, so that every trouble shows."""
    with redis.Redis(host=door.host, port=door.port, protocol=request.param, retry=None, socket_timeout=0.3) as client:
        yield client


def test_without_trouble_every_kind_of_reply_passes(client, door):
    client.hset("h", mapping={"a": 1, "b": "x" * 100_000})
    client.zadd("z", {"m": 1.5})
    client.rpush("l", b"\r\n", b"")
    with client.pipeline() as pipeline:
        pipeline.hgetall("h").zrange("z", 0, -1, withscores=True).lrange("l", 0, -1).get("nothing")
        whole = pipeline.execute()
    assert whole[0] == {b"a": b"1", b"b": b"x" * 100_000}
    assert [tuple(each) for each in whole[1]] == [(b"m", 1.5)]
    assert whole[2:] == [[b"\r\n", b""], None]
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        client.get("h")
    assert door.commands[b"HGETALL"] == 1


def test_a_reply_may_come_late(door, server):
    with redis.Redis(host=door.host, port=door.port) as client:
        client.ping()
        door.trouble = Trouble(delay_seconds=0.1)
        started = time.monotonic()
        client.ping()
        assert time.monotonic() - started >= 0.1


def test_a_silent_way_lets_wait_and_then_goes_on(client, door):
    client.set("a", 1)
    door.trouble = Trouble(is_silent=True)
    with pytest.raises(redis.TimeoutError):
        client.get("a")
    client.connection_pool.disconnect()
    with pytest.raises(redis.TimeoutError):
        client.get("a")
    door.trouble = NO_TROUBLE
    assert client.get("a") == b"1"


def test_a_silenced_connection_hears_nothing_any_more_and_a_new_one_is_served(client, door):
    client.set("a", 1)
    assert door.silence_all() == 2  # with the server's side of it
    with pytest.raises(redis.TimeoutError):
        client.get("a")
    client.connection_pool.disconnect()
    assert client.get("a") == b"1"


def test_a_refusing_way_resets_what_is_open_and_takes_nothing_new(client, door):
    client.set("a", 1)
    door.trouble = Trouble(is_refused=True)
    for _ in range(2):
        with pytest.raises(redis.ConnectionError):
            client.get("a")
    door.trouble = NO_TROUBLE
    assert client.get("a") == b"1"


def test_connections_end_by_a_reset_or_in_good_order(door):
    with socket.create_connection(door.address) as plain:
        plain.sendall(b"*1\r\n$4\r\nPING\r\n")
        assert plain.recv(100) == b"+PONG\r\n"
        door.close_all()
        assert plain.recv(100) == b""
    with socket.create_connection(door.address) as plain:
        plain.sendall(b"*1\r\n$4\r\nPING\r\n")
        assert plain.recv(100) == b"+PONG\r\n"
        door.reset_all()
        with pytest.raises(ConnectionResetError):
            plain.recv(100)


def test_a_server_that_dies_ends_its_connections_and_one_that_is_back_serves(client, door, server):
    client.set("a", 1)
    server.crash()
    with pytest.raises(redis.ConnectionError):
        client.get("a")
    server.start()
    assert client.get("a") is None


def test_a_command_gets_the_error_that_it_is_told(client, door):
    client.set("a", 1)
    door.trouble = refusing("LOADING Redis is loading the dataset in memory")
    with pytest.raises(redis.exceptions.BusyLoadingError):
        client.get("a")
    door.trouble = refusing("OOM command not allowed when used memory > 'maxmemory'.", ALLOWED | {b"GET"})
    assert client.get("a") == b"1"
    with pytest.raises(redis.ResponseError):
        client.set("a", 2)
    assert client.get("a") == b"1"


def test_a_lost_reply_is_one_to_a_command_that_was_carried_out(client, door):
    door.trouble = losing_replies(1.0, random.Random(1))
    with pytest.raises(redis.ConnectionError):
        client.set("a", 1)
    door.trouble = NO_TROUBLE
    assert client.get("a") == b"1"


def test_a_broken_reply_is_none_that_the_server_gave(client, door):
    client.set("a", '"one"')
    door.trouble = breaking_replies(random.Random(1))
    seen = set()
    for _ in range(10 * len(BREAKS)):
        try:
            seen.add(repr(client.get("a")))
        except redis.RedisError as error:
            seen.add(type(error).__name__)
    assert repr(b'"one"') not in seen
    assert len(seen) > 3


def test_a_way_with_tls_and_one_over_a_unix_socket(server, tmp_path: Path):
    authority, certificate = trustme.CA(), tmp_path / "server.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(certificate)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with Door((server.host, server.port), certificate=certificate) as door:
        client = redis.Redis.from_url(f"rediss://127.0.0.1:{door.port}/0?ssl_ca_certs={tmp_path / 'ca.pem'}")
        client.set("a", "x" * 1_000_000)
        door.reset_all()
        assert len(client.get("a")) == 1_000_000
    with Door((server.host, server.port), path=tmp_path / "socket") as door:
        client = redis.Redis(unix_socket_path=str(tmp_path / "socket"), socket_timeout=0.3, retry=None)
        assert len(client.get("a")) == 1_000_000
        door.trouble = Trouble(is_silent=True)
        client.connection_pool.disconnect()
        with pytest.raises(redis.TimeoutError):
            client.ping()


def test_a_door_that_cannot_open_says_so_and_leaves_no_process(server, tmp_path: Path):
    door = Door((server.host, server.port), certificate=tmp_path / "nowhere.pem")
    with pytest.raises(ProcessFailed, match="has ended"):
        door.start()
    assert not door._process.is_alive()
