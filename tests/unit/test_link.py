"""The way to Redis: a client is replaced when its connections break, and closed when nobody uses it any more."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
from redis import exceptions as redis
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from litellm.responses.litellm_completion_transformation.redis_session_patch.link import Link
from litellm.responses.litellm_completion_transformation.redis_session_patch.results import OddValue, StoreUnavailable

from .support.clients import Interposed
from .support.waiting import until


class Clients:
    """Opens clients that are watched; `link` uses them."""

    def __init__(self, client: Any = None):
        self.opened: list[Interposed] = []
        self._client = client
        self.link = Link(self._open, 16)

    def _open(self) -> Interposed:
        self.opened.append(Interposed(self._client))
        return self.opened[-1]

    @property
    def closed(self) -> list[int]:
        return [client.times_closed for client in self.opened]

    async def all_closed(self, expected: list[int]) -> None:
        await until(lambda: self.closed == expected)


class Failing:
    """A command that fails with ``errors``, one after the other, and then gives ``done``."""

    def __init__(self, *errors: BaseException):
        self.clients: list[Any] = []
        self._errors = list(errors)

    async def __call__(self, client: Any) -> str:
        self.clients.append(client)
        await asyncio.sleep(0)  # Others are at work too.
        if self._errors:
            raise self._errors.pop(0)
        return "done"


BROKEN = [
    redis.ConnectionError("a private text"),
    redis.AuthenticationError("a private text"),
    redis.BusyLoadingError("a private text"),
    redis.RedisClusterException("a private text"),
    ConnectionResetError("a private text"),
    OSError("a private text"),
    EOFError(),
    TimeoutError(),
    RuntimeError("unable to perform operation; the handler is closed"),
]


@pytest.mark.parametrize("error", BROKEN, ids=repr)
async def test_after_a_broken_connection_a_command_runs_once_more_on_a_new_client(error):
    clients, command = Clients(), Failing(error)
    assert await clients.link.call(command) == "done"
    assert command.clients == clients.opened and len(clients.opened) == 2
    await clients.all_closed([1, 0])


@pytest.mark.parametrize("error", BROKEN, ids=repr)
async def test_a_connection_that_breaks_twice_is_unavailable_and_says_nothing_private(error):
    clients, command = Clients(), Failing(error, error)
    with pytest.raises(StoreUnavailable) as caught:
        await clients.link.call(command)
    assert len(command.clients) == 2 and "private" not in str(caught.value) and str(caught.value)
    await clients.all_closed([1, 1])
    assert await clients.link.call(Failing()) == "done"


async def test_a_timeout_is_not_waited_for_twice():
    clients, command = Clients(), Failing(redis.TimeoutError("a private text"))
    with pytest.raises(StoreUnavailable):
        await clients.link.call(command)
    assert len(command.clients) == 1
    await clients.all_closed([1])


@pytest.mark.parametrize(
    "error, reason",
    [
        (redis.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."), "OOM"),
        (redis.ReadOnlyError("You can't write against a read only replica."), "READONLY"),
        (redis.NoPermissionError("this user has no permissions"), "NOPERM"),
        (redis.ResponseError("MISCONF Redis is configured to save RDB snapshots"), "MISCONF"),
        (redis.ResponseError("Error running script: @user_script:1: OOM command not allowed"), "OOM"),
        (redis.ResponseError("a private text\nlitellm_patch:session:x"), "ResponseError"),
        (redis.ResponseError("a private BOOM, a room"), "ResponseError"),
        (redis.RedisError(), "RedisError"),
    ],
    ids=repr,
)
async def test_a_refusal_of_redis_is_told_by_its_code_and_nothing_else(error, reason):
    clients, command = Clients(), Failing(error)
    with pytest.raises(StoreUnavailable) as caught:
        await clients.link.call(command)
    assert str(caught.value) == reason
    assert len(command.clients) == 1 and clients.closed == [0]


@pytest.mark.parametrize(
    "error", [redis.AuthenticationError("wrong"), redis.BusyLoadingError(), redis.MasterDownError("MASTERDOWN")]
)
async def test_a_connection_that_is_refused_is_told_by_its_code(error):
    with pytest.raises(StoreUnavailable) as caught:
        await Clients().link.call(Failing(error, error))
    assert str(caught.value) in ("NOAUTH", "LOADING", "MASTERDOWN")


async def test_a_key_of_another_type_is_an_odd_value_and_no_failure_of_redis():
    clients = Clients()
    with pytest.raises(OddValue):
        await clients.link.call(Failing(redis.ResponseError("WRONGTYPE Operation against a key a private text")))
    assert clients.closed == [0]


async def test_an_error_of_our_own_goes_through_as_it_is():
    clients, command = Clients(), Failing(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await clients.link.call(command)
    assert len(command.clients) == 1 and clients.closed == [0]


async def test_a_client_that_cannot_be_made_is_unavailable_and_does_not_show_its_url():
    def fail() -> None:
        raise ValueError("redis://:s3cret@h")

    with pytest.raises(StoreUnavailable) as caught:
        await Link(fail, 1).call(Failing())
    assert "s3cret" not in str(caught.value) and "ValueError" in str(caught.value)


async def test_one_client_serves_all_commands():
    clients = Clients()
    await asyncio.gather(*(clients.link.call(Failing()) for _ in range(20)))
    assert len(clients.opened) == 1 and clients.closed == [0]


async def test_a_replaced_client_is_closed_when_its_last_user_leaves():
    clients, leave = Clients(), asyncio.Event()

    async def stay(client: Any) -> None:
        await leave.wait()

    users = [asyncio.ensure_future(clients.link.call(stay)) for _ in range(3)]
    await asyncio.sleep(0)
    await clients.link.call(Failing(ConnectionResetError()))
    assert clients.closed == [0, 0]
    assert await clients.link.call(Failing()) == "done" and len(clients.opened) == 2
    leave.set()
    await asyncio.gather(*users)
    await clients.all_closed([1, 0])


async def test_many_that_break_together_make_one_new_client():
    clients, commands = Clients(), [Failing(ConnectionResetError()) for _ in range(16)]
    assert await asyncio.gather(*(clients.link.call(each) for each in commands)) == ["done"] * 16
    assert len(clients.opened) == 2
    await clients.all_closed([1, 0])


async def test_a_client_can_be_replaced_by_hand():
    clients = Clients()
    clients.link.replace_client()
    await clients.link.call(Failing())
    clients.link.replace_client()
    await clients.link.call(Failing())
    assert len(clients.opened) == 2


async def test_a_client_that_fails_to_close_does_no_harm():
    class Stubborn:
        async def aclose(self) -> None:
            raise ConnectionResetError

    link, seen = Link(Stubborn, 1), []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: seen.append(context))
    for _ in range(3):
        assert await link.call(Failing(ConnectionResetError())) == "done"
    await until(lambda: not link._closing)
    gc.collect()  # Which is when asyncio says that nobody asked for a task's exception.
    assert seen == []


@pytest.mark.parametrize("stale", [1, 16])
async def test_connections_that_the_server_has_closed_cost_a_retry_each_and_no_failure(
    redis_server, redis_client, stale
):
    """As after a restart, or a load balancer's idle timeout: all connections of the pool are gone at once."""
    link = Link(lambda: Redis.from_url(redis_server.url, retry=Retry(NoBackoff(), 0)), 16)

    async def ping(client: Any) -> bool:
        return await client.ping()

    try:
        await asyncio.gather(*(link.call(ping) for _ in range(stale)))
        await redis_client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        assert all(await asyncio.gather(*(link.call(ping) for _ in range(stale))))
    finally:
        await link.call(lambda client: client.aclose())
