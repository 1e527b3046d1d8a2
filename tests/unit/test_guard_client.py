"""The one client of a process: what its errors mean, and when it is replaced."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from redis import exceptions as redis

from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.guard import (
    BYTES_PER_SECOND,
    Lane,
    Lanes,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.results import (
    OddValue,
    StoreUnavailable,
)

from .support.guards import failing_with, work


class Clients:
    """Opens clients, and knows them."""

    def __init__(self) -> None:
        self.opened: list[object] = []
        self.client = Lane(self._open, 1, 1, "a test")

    def _open(self, seconds: float) -> object:
        self.opened.append(object())
        return self.opened[-1]

    def used(self) -> Any:
        return self.client.run(lambda client: client)


@pytest.fixture
def clients() -> Clients:
    return Clients()


UNANSWERED = [
    redis.ConnectionError("a private text"),
    redis.TimeoutError("a private text"),
    redis.AuthenticationError("a private text"),
    redis.BusyLoadingError("a private text"),
    redis.RedisClusterException("a private text"),
    ConnectionResetError("a private text"),
    OSError("a private text"),
    EOFError(),
    TimeoutError(),
]

ANSWERED = [
    (redis.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."), "OutOfMemoryError"),
    (redis.ReadOnlyError("You can't write against a read only replica."), "ReadOnlyError"),
    (redis.NoPermissionError("this user has no permissions"), "NoPermissionError"),
    (redis.ResponseError("MISCONF Redis is configured to save RDB snapshots"), "MISCONF"),
    (redis.ResponseError("Error running script: @user_script:1: OOM command not allowed"), "OOM"),
    (redis.ResponseError("a private text\nlitellm_patch:session:x"), "ResponseError"),
    (redis.ResponseError("a private BOOM, a room"), "ResponseError"),
]


@pytest.mark.parametrize("error", UNANSWERED, ids=repr)
def test_after_an_operation_without_an_answer_there_is_another_client(clients, error):
    """Its other connections may be as dead as that one."""
    first = clients.used()
    with pytest.raises(StoreUnavailable) as caught:
        clients.client.run(failing_with(error))
    assert str(caught.value) and "private" not in str(caught.value)
    assert clients.used() is not first and len(clients.opened) == 2


@pytest.mark.parametrize("error, reason", ANSWERED, ids=repr)
def test_after_an_answer_that_is_an_error_the_client_stays_and_the_reason_is_its_code_alone(clients, error, reason):
    first = clients.used()
    with pytest.raises(StoreUnavailable) as caught:
        clients.client.run(failing_with(error))
    assert str(caught.value) == reason
    assert clients.used() is first


@pytest.mark.parametrize(
    "error, reason",
    [
        (redis.AuthenticationError("wrong"), "AuthenticationError"),
        (redis.BusyLoadingError(), "BusyLoadingError"),
        (redis.MasterDownError("MASTERDOWN"), "MASTERDOWN"),
        (redis.ClusterDownError("CLUSTERDOWN The cluster is down"), "CLUSTERDOWN"),
        (redis.ConnectionError("a private text"), "ConnectionError"),
    ],
    ids=repr,
)
def test_a_connection_that_is_refused_is_told_by_its_code(clients, error, reason):
    with pytest.raises(StoreUnavailable) as caught:
        clients.client.run(failing_with(error))
    assert str(caught.value) == reason


def test_a_key_of_another_type_is_an_odd_value(clients):
    first = clients.used()
    with pytest.raises(OddValue) as caught:
        clients.client.run(failing_with(redis.ResponseError("WRONGTYPE Operation against a key a private text")))
    assert "private" not in str(caught.value) and clients.used() is first


def test_an_error_of_our_own_goes_through_as_it_is(clients):
    first = clients.used()
    with pytest.raises(ZeroDivisionError):
        clients.client.run(failing_with(ZeroDivisionError()))
    assert clients.used() is first


def test_a_client_that_cannot_be_made_is_unavailable_and_does_not_show_its_url():
    def fail(seconds: float) -> None:
        raise ValueError("redis://:s3cret@h")

    with pytest.raises(StoreUnavailable) as caught:
        Lane(fail, 1, 1, "a test").run(work)
    assert "s3cret" not in str(caught.value) and "ValueError" in str(caught.value)


def test_the_client_of_large_operations_waits_longer_by_the_time_that_most_bytes_take():
    lanes = Lanes(lambda seconds: seconds, 0.5, 4 * BYTES_PER_SECOND)
    assert [lane.run(lambda client: client) for lane in (lanes.small, lanes.large)] == [0.5, 4.5]


def test_many_that_fail_together_make_one_new_client(clients):
    together = threading.Barrier(16)

    def fail(client: Any) -> None:
        together.wait(10)
        raise ConnectionResetError

    with ThreadPoolExecutor(16) as threads:
        outcomes = [threads.submit(clients.client.run, fail) for _ in range(16)]
    assert all(isinstance(each.exception(), StoreUnavailable) for each in outcomes)
    with ThreadPoolExecutor(16) as threads:
        used = {threads.submit(clients.used).result() for _ in range(16)}
    assert len(clients.opened) == 2 and used == {clients.opened[1]}


def test_an_operation_that_fails_late_does_not_take_away_the_new_client(clients):
    def fail_late(client: Any) -> None:
        with pytest.raises(StoreUnavailable):
            clients.client.run(failing_with(ConnectionResetError()))
        clients.used()
        raise ConnectionResetError

    with pytest.raises(StoreUnavailable):
        clients.client.run(fail_late)
    assert clients.used() is clients.opened[1] and len(clients.opened) == 2
