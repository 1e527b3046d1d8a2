"""The way to one Redis from one event loop: a client, replaced when its connections fail, and places for its users."""

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable
from typing import Any

from .free_time import FreeTime
from .results import OddValue, StoreError, StoreUnavailable

# The error codes of Redis that tell an operator what to do. redis-py takes some off the text and makes them a class.
_CODES = ("OOM", "READONLY", "NOAUTH", "WRONGPASS", "NOPERM", "LOADING", "MISCONF", "CLUSTERDOWN", "MASTERDOWN")
_CODE_OF_CLASS = {
    "OutOfMemoryError": "OOM",
    "ReadOnlyError": "READONLY",
    "BusyLoadingError": "LOADING",
    "NoPermissionError": "NOPERM",
    "AuthenticationError": "NOAUTH",
    "ClusterDownError": "CLUSTERDOWN",
    "MasterDownError": "MASTERDOWN",
}


class _Client:
    """A Redis client, closed once it is replaced and nobody uses it any more."""

    def __init__(self, redis: Any):
        self.redis = redis
        self.users = 0
        self.is_replaced = False


class Link:
    """``open_client`` makes an asyncio Redis client for the running event loop."""

    def __init__(self, open_client: Callable[[], Any], places: int):
        self.places = asyncio.Semaphore(places)
        self.free_time = FreeTime()
        self._open_client = open_client
        self._client: _Client | None = None
        self._closing: set[asyncio.Task[None]] = set()

    async def call(self, command: Callable[[Any], Awaitable[Any]]) -> Any:
        """The result of ``command`` on the client. Raises StoreError.

        After a broken connection it runs once more, on a new client: a load balancer or a restart breaks all
        connections at once, and of a Cluster the new client learns who is master now.
        """
        from redis import exceptions as redis

        # RuntimeError is uvloop's, of a transport that the other side has reset.
        of_redis = (redis.ConnectionError, redis.TimeoutError, redis.RedisClusterException)
        broken = (*of_redis, OSError, EOFError, RuntimeError)
        for is_last in (False, True):
            client = self._used_client()
            try:
                return await command(client.redis)
            except broken as error:
                self._replace(client)
                if is_last or isinstance(error, redis.TimeoutError):
                    raise StoreUnavailable(reason_of(error)) from error
            except redis.RedisError as error:
                raise _meaning_of(error) from error
            finally:
                self._leave(client)
        raise AssertionError("The second time it returns or raises.")

    def replace_client(self) -> None:
        """From now on another client: this one does not answer."""
        if self._client is not None:
            self._replace(self._client)

    def _used_client(self) -> _Client:
        if self._client is None:
            try:
                self._client = _Client(self._open_client())
            except Exception as error:  # Whatever redis-py or LiteLLM says of a URL or of arguments it cannot use.
                raise StoreUnavailable(f"its address or options cannot be used ({type(error).__name__})") from error
        self._client.users += 1
        return self._client

    def _replace(self, client: _Client) -> None:
        client.is_replaced = True
        if self._client is client:
            self._client = None

    def _leave(self, client: _Client) -> None:
        client.users -= 1
        if client.is_replaced and not client.users:
            closing = asyncio.ensure_future(_close(client.redis))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)


async def _close(redis: Any) -> None:
    with contextlib.suppress(Exception):  # Its connections are broken already.
        await redis.aclose()


def _meaning_of(error: Exception) -> StoreError:
    if "WRONGTYPE" in str(error):
        return OddValue("a key holds another type of value")
    return StoreUnavailable(reason_of(error))


def reason_of(error: Exception) -> str:
    """A code or the error's class, never its text: redis-py quotes the failed command there, which holds messages."""
    name = type(error).__name__
    return _CODE_OF_CLASS.get(name) or next((code for code in _CODES if re.search(rf"\b{code}\b", str(error))), name)
