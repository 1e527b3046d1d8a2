"""The patch at work in one process: settings, store, breakers, counters."""

import asyncio
import logging
import os
import time
import weakref
from collections import Counter
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from typing import Any, TypeVar

from .breaker import Breaker
from .cipher import Cipher
from .connection import Connection, find_connection, proxy_module
from .settings import SettingError, Settings, read_settings
from .store import SessionStore, Skipped, StoreUnavailable

T = TypeVar("T")

logger = logging.getLogger("litellm.redis_session_patch")


# Per event loop. Waiting for a place is not Redis being slow, so it does not count against the timeout; more
# connections than this would not be faster, and a burst of new ones would be slower.
OPERATIONS_AT_ONCE = 16


class _Refused(StoreUnavailable):
    """The breaker is open."""


class Runtime:
    """One process's way to the store.

    ``open_client`` makes an asyncio Redis client; it is called once per event loop, since a client belongs to one.
    ``events`` counts what happened, by name.
    """

    def __init__(
        self,
        settings: Settings,
        open_client: Callable[[], Any],
        *,
        namespace: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.settings = settings
        self.events: Counter[str] = Counter()
        self._open_client = open_client
        self._namespace = namespace
        self._cipher = Cipher(settings.encryption_keys)
        self._stores: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[SessionStore, asyncio.Semaphore]] = (
            weakref.WeakKeyDictionary()
        )
        # Apart, because a full Redis refuses writes while it still serves what it has.
        self._reads = Breaker(clock, lambda is_open, reason: _log_change("reading", is_open, reason))
        self._writes = Breaker(clock, lambda is_open, reason: _log_change("storing", is_open, reason))

    async def read(self, operation: Callable[[SessionStore], Awaitable[T]]) -> T:
        """The result of ``operation``. Raises StoreUnavailable, at once while the breaker is open."""
        return await self._guarded(self._reads, operation)

    async def write(self, operation: Callable[[SessionStore], Awaitable[T]]) -> T:
        return await self._guarded(self._writes, operation)

    def count(self, event: str) -> None:
        self.events[event] += 1

    def _store_and_places(self) -> tuple[SessionStore, asyncio.Semaphore]:
        loop = asyncio.get_running_loop()
        if loop not in self._stores:
            try:
                client = self._open_client()
            except Exception as error:  # Whatever redis-py or LiteLLM says of a URL or of arguments it cannot use.
                raise StoreUnavailable(f"its address or options cannot be used: {type(error).__name__}") from None
            store = SessionStore(
                client,
                ttl_seconds=self.settings.ttl_seconds,
                timeout_seconds=self.settings.timeout_seconds,
                max_turn_bytes=self.settings.max_turn_bytes,
                max_turns=self.settings.max_turns,
                cipher=self._cipher,
                namespace=self._namespace,
            )
            self._stores[loop] = store, asyncio.Semaphore(OPERATIONS_AT_ONCE)
        return self._stores[loop]

    async def _guarded(self, breaker: Breaker, operation: Callable[[SessionStore], Awaitable[T]]) -> T:
        try:
            store, places = self._store_and_places()
            async with places:
                # Asked after the wait: who waited behind a Redis that hangs does not wait for it once more.
                if not breaker.allows():
                    raise _Refused("Redis did not answer before; it is asked again soon")
                result = await operation(store)
        except _Refused:
            raise
        except StoreUnavailable as error:
            breaker.failed(str(error))
            raise
        except Skipped:
            raise
        except Exception as error:
            # A value that cannot be stored or sent, or a defect of ours: the request goes on all the same.
            logger.warning("A conversation could not be kept (%s).", type(error).__name__)
            raise StoreUnavailable(type(error).__name__) from error
        breaker.succeeded()
        return result


_runtime: Runtime | None = None
_decided = False


def current() -> Runtime | None:
    """The runtime of this process; ``None`` outside a proxy, when switched off, or while there is no Redis."""
    if not _decided and proxy_module() is not None:
        _decide()
    return _runtime


def use(runtime: Runtime | None) -> None:
    """Makes ``runtime`` the one that ``current`` gives, for an embedding application or a test."""
    global _runtime, _decided
    _runtime, _decided = runtime, True


def configured() -> tuple[Settings, Connection | None]:
    """The settings and the Redis of this process. Raises SettingError."""
    settings = read_settings(os.environ)
    return settings, find_connection(settings.url, os.environ) if settings.enabled else None


def _decide() -> None:
    try:
        settings, connection = configured()
    except SettingError as error:
        logger.error("%s Conversations are not stored.", error)
        return use(None)
    if not settings.enabled or find_spec("redis") is None:
        return use(None)
    if connection is not None:  # A proxy can get its Redis later, with a new configuration.
        use(Runtime(settings, connection.open, namespace=connection.namespace))


def _log_change(what: str, is_open: bool, reason: str) -> None:
    if is_open:
        logger.warning("Redis fails at %s conversations (%s); going on without it.", what, reason)
    else:
        logger.warning("Redis works again for %s conversations.", what)
