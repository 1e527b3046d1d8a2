"""The patch at work in one process: settings, the way to Redis, breakers, what is counted and logged."""

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable
from functools import partial
from importlib.util import find_spec
from typing import Any, TypeVar

from .breaker import Breaker
from .cipher import Cipher
from .connection import Connection, find_connection, proxy_module
from .defects import count_with, report
from .guard import Budget, Guard
from .link import Link
from .metrics import Metrics
from .questions import ask_to_read, ask_to_store
from .rare_log import RareLog
from .results import StoreError
from .settings import SettingError, Settings, read_settings
from .store import Call, SessionStore, key_prefix
from .version import FORK_VERSION, litellm_release

T = TypeVar("T")
Operation = Callable[[SessionStore, Budget], Awaitable[T]]

logger = logging.getLogger("litellm.redis_session_patch")


class Runtime:
    """One process's way to the store.

    ``open_client`` makes an asyncio Redis client, which belongs to an event loop; ``address`` says of which Redis,
    without secrets. ``places``: operations at once, and so connections, of each loop.
    """

    def __init__(
        self,
        settings: Settings,
        open_client: Callable[[], Any],
        *,
        address: str = "",
        namespace: str | None = None,
        places: int = 16,
        clock: Callable[[], float] = time.monotonic,
        metrics: Metrics | None = None,
    ):
        self.settings = settings
        self.metrics = metrics or Metrics()
        self.rare_log = RareLog(logger, clock)
        self.address = address
        self.open_client = open_client
        self.namespace = namespace
        self.places = places
        self._cipher = Cipher(settings.encryption_keys, required=settings.encryption_required)
        self._links: dict[asyncio.AbstractEventLoop, tuple[Link, SessionStore]] = {}
        prefix = key_prefix(namespace)
        # Apart, because a full Redis refuses writes while it still serves what it has.
        self.reads = self._guard("read", "reading", partial(ask_to_read, prefix=prefix))
        self.writes = self._guard("write", "storing", partial(ask_to_store, prefix=prefix))

    async def read(self, operation: Operation[T]) -> T:
        """The result of ``operation``. Raises StoreUnavailable, at once while the breaker is open."""
        return await self.reads.run(*self._link_and_store(), operation)

    async def write(self, operation: Operation[T]) -> T:
        """Raises StoreError."""
        return await self.writes.run(*self._link_and_store(), operation)

    async def memory(self) -> dict[str, Any] | None:
        """What Redis says of its memory; ``None`` where it is away or must not be asked. Breakers are not told."""
        try:
            return await asyncio.wait_for(self._link_and_store()[1].memory(), self.settings.timeout_seconds)
        except (StoreError, asyncio.TimeoutError):
            return None

    def _link_and_store(self) -> tuple[Link, SessionStore]:
        loop = asyncio.get_running_loop()
        if loop not in self._links:
            self._links = {each: both for each, both in self._links.items() if not each.is_closed()}
            link = Link(self.open_client, self.places)
            self._links[loop] = (
                link,
                SessionStore(
                    link.call,
                    self.settings,
                    self._cipher,
                    namespace=self.namespace,
                    observe_turn_bytes=self.metrics.observe_turn_bytes,
                ),
            )
        return self._links[loop]

    def set_used(self, is_used: bool) -> None:
        """``False``: another one has its place. Requests that began with it go on; no timer asks its Redis."""
        for operation, guard in (("read", self.reads), ("write", self.writes)):
            guard.is_used = is_used
            self.metrics.set_breaker_open(operation, is_used and guard.breaker.is_open)

    def _guard(self, operation: str, doing: str, question: Callable[[Call], Awaitable[None]]) -> Guard:
        def changed(is_open: bool, reason: str) -> None:
            if guard.is_used:
                self.metrics.set_breaker_open(operation, is_open)
            if is_open:
                logger.warning("Redis fails at %s conversations (%s); going on without it.", doing, reason)
            else:
                logger.warning("Redis works again for %s conversations.", doing)

        self.metrics.set_breaker_open(operation, False)
        guard = Guard(
            Breaker(changed),
            self.settings.timeout_seconds,
            question,
            lambda seconds: self.metrics.observe_redis(operation, seconds),
            report,
        )
        return guard


_NOT_LOOKED = object()

_runtime: Runtime | None = None
_is_fixed = False
_seen_cache: Any = _NOT_LOOKED
_connection: Connection | None = None


def current() -> Runtime | None:
    """The runtime of this process; ``None`` outside a proxy, when switched off, or while there is no Redis."""
    if not _is_fixed:
        proxy = proxy_module()
        # The proxy gets its cache after its first requests may come, and another one with a new configuration.
        if proxy is not None and getattr(proxy, "redis_usage_cache", None) is not _seen_cache:
            _decide(getattr(proxy, "redis_usage_cache", None))
    return _runtime


def use(runtime: Runtime | None) -> None:
    """Makes ``runtime`` the one that ``current`` gives, for an embedding application or a test."""
    global _is_fixed
    _is_fixed = True
    _take(runtime)


def configured() -> tuple[Settings, Connection | None]:
    """The settings and the Redis of this process. Raises SettingError."""
    settings = read_settings(os.environ)
    return settings, find_connection(settings.url, os.environ) if settings.enabled else None


def _take(runtime: Runtime | None) -> None:
    global _runtime
    if _runtime is not None:
        _runtime.set_used(False)
    if runtime is not None:
        runtime.set_used(True)
    _runtime = runtime


def _decide(cache: Any) -> None:
    global _seen_cache, _connection
    _seen_cache = cache
    try:
        settings, connection = configured()
    except SettingError as error:
        logger.error("%s Conversations are not stored.", error)
        use(None)
        return
    if not settings.enabled or find_spec("redis") is None:
        use(None)
        return
    if connection is None or connection == _connection:
        return
    if _runtime is not None:
        logger.warning("Redis session patch: the proxy has another cache now, Redis %s.", connection.describe())
    metrics = _runtime.metrics if _runtime is not None else None
    _connection = connection
    runtime = Runtime(
        settings,
        connection.open,
        address=connection.describe(),
        namespace=connection.namespace,
        places=connection.places,
        metrics=metrics,
    )
    _take(runtime)
    runtime.metrics.set_info(FORK_VERSION, litellm_release(), bool(settings.encryption_keys))
    count_with(runtime.metrics.count_defect)
