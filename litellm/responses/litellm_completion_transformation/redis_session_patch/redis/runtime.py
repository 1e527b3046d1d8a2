"""The patch at work in one process: settings, the way to Redis, the store, what is counted and logged."""

import logging
import os
from functools import partial
from importlib.util import find_spec
from typing import Any

from ..values.compactions import Seal
from ..values.results import StoreError
from ..values.settings import SettingError, Settings, read_settings
from ..version import FORK_VERSION, litellm_release
from .connection import Connection, find_connection, installation_secret, proxy_authenticates, proxy_module
from .conversation_store import ConversationStore
from .defects import RareLog, count_with
from .guard import Guard, Lanes
from .jobs import JobStore
from .metrics import Metrics
from .probe import probe_all, probe_reading, probe_storing
from .store import key_prefix

logger = logging.getLogger("litellm.redis_session_patch")


class Runtime:
    """One process's store in the Redis of ``connection``."""

    def __init__(self, settings: Settings, connection: Connection, metrics: Metrics | None = None):
        self.settings, self.connection = settings, connection
        self.open_client, self.prefix = connection.open, key_prefix(connection.namespace)
        self.metrics, self.rare_log = metrics or Metrics(), RareLog(logger)
        self.problems: tuple[str, ...] = ()
        seconds, most_bytes, prefix = settings.timeout_seconds, settings.max_conversation_bytes, self.prefix
        lanes = Lanes(connection.open, seconds, most_bytes, connection.most_connections)
        # Apart, because a full Redis refuses writes while it still serves what it has.
        self.reads = Guard("read", lanes, seconds, partial(probe_reading, prefix), self.metrics)
        self.writes = Guard("write", lanes, seconds, partial(probe_storing, prefix), self.metrics)
        self.store = ConversationStore(settings, self.reads, self.writes, prefix, self.metrics)
        is_open, most = not proxy_authenticates(), settings.max_conversation_bytes
        self.seal = Seal(settings.encryption_keys, installation_secret(), is_open=is_open, most_bytes=most)
        self.jobs = JobStore(settings, self.reads, self.writes, prefix, self.metrics)

    async def probe(self) -> None:
        """Finds out what Redis does not do of all that the store may ask: ``problems``. Raises StoreError."""
        self.problems = await self.reads.run(partial(probe_all, self.prefix))

    async def memory(self) -> dict[str, Any] | None:
        """What Redis says of its memory: bytes used, the most it may use (0: no limit), and what it evicts then.

        ``None`` where it is away or must not be asked; that is held against nobody.
        """
        try:
            info = await self.reads.run(lambda client: client.info("memory"), is_judged=False)
        except StoreError:
            return None
        if "used_memory" not in info:  # A Cluster's client gives a dictionary for each node.
            info = next(iter(info.values()), {})
        return {name: info.get(name) for name in ("used_memory", "maxmemory", "maxmemory_policy")}

    def set_used(self, is_used: bool) -> None:
        """``False``: another one has its place. Requests that began with it go on; nothing asks its Redis by itself."""
        for guard in (self.reads, self.writes):
            guard.set_used(is_used)


_NOT_LOOKED = object()

_runtime: Runtime | None = None
_is_fixed = False
_seen_cache: Any = _NOT_LOOKED


def current() -> Runtime | None:
    """The runtime of this process; ``None`` outside a proxy, when switched off, or while there is no Redis."""
    if not _is_fixed and (proxy := proxy_module()) is not None:
        # The proxy gets its cache after its first requests may come, and another one with a new configuration.
        cache = getattr(proxy, "redis_usage_cache", None)
        if cache is not _seen_cache:
            _decide(cache)
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


def state_of(settings: Settings, connection: Connection | None) -> tuple[str, str]:
    """(``active``, ``off`` or ``inactive``; why it is not active)."""
    if not settings.enabled:
        return "off", "REDIS_SESSION_PATCH_ENABLED=false"
    if find_spec("redis") is None:
        return "inactive", "the redis package is not installed"
    if connection is None:
        return "inactive", "no Redis is configured; set REDIS_SESSION_PATCH_URL or REDIS_URL"
    return "active", ""


def _take(runtime: Runtime | None) -> None:
    global _runtime
    if _runtime is not None:
        _runtime.set_used(False)
    if runtime is not None:
        runtime.set_used(True)
    _runtime = runtime


def _decide(cache: Any) -> None:
    global _seen_cache
    _seen_cache = cache
    try:
        settings, connection = configured()
    except SettingError as error:
        logger.error("%s Conversations are not stored.", error)
        use(None)
        return
    before = _runtime
    if not settings.enabled or find_spec("redis") is None:
        use(None)
    elif connection is not None and (before is None or before.connection != connection):
        if before is not None:
            logger.warning("Redis session patch: the proxy has another cache now, Redis %s.", connection.describe())
        runtime = Runtime(settings, connection, before.metrics if before is not None else None)
        _take(runtime)
        encrypted = str(bool(settings.encryption_keys)).lower()
        runtime.metrics.record("info", 1, FORK_VERSION, litellm_release(), encrypted)
        count_with(lambda: runtime.metrics.record("defects", 1))
