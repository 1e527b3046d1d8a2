"""Which Redis: one of the patch's own, else the proxy's, else the one in LiteLLM's environment variables."""

import inspect
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

_OWN_SETTING = "REDIS_SESSION_PATCH_URL"

# Operations at once on one event loop. More connections would not be faster, and a burst of new ones would be slower.
_MOST_PLACES = 16

# Without a timeout of its own a command costs a third less processor time, and every operation has an end anyway.
# Clients of several nodes need one, to go on to the next.
_NODE_SECONDS = 2.0

_NODES = {"startup_nodes": "REDIS_CLUSTER_NODES", "sentinel_nodes": "REDIS_SENTINEL_NODES"}
_TRUE = ("true", "1", "yes", "on")


@dataclass(frozen=True)
class Connection:
    """How to reach Redis. ``origin`` names the setting it comes from, ``kwargs`` are LiteLLM's Redis arguments."""

    origin: str
    kwargs: Mapping[str, Any]
    namespace: str | None = None

    @property
    def places(self) -> int:
        """Operations at once: no more than the pool that was configured has connections."""
        limit = str(self.kwargs.get("max_connections") or "")
        return max(1, min(_MOST_PLACES, int(limit))) if limit.isdigit() else _MOST_PLACES

    @property
    def is_ours_alone(self) -> bool:
        """Whether it was configured for conversations, and not for LiteLLM's cache and counters too."""
        return self.origin == _OWN_SETTING

    @property
    def _has_nodes(self) -> bool:
        return any(name in self.kwargs for name in _NODES) or self.origin in _NODES.values()

    def describe(self) -> str:
        """For logs: the address without user and password, and where it was configured."""
        return f"{_address(self.kwargs)} ({self.origin})"

    def open(self) -> Any:
        """A new asyncio client that answers in bytes; the caller closes it."""
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        seconds = _NODE_SECONDS if self._has_nodes else None
        options = {"decode_responses": False, "socket_timeout": seconds, "socket_connect_timeout": seconds}
        if self.origin == _OWN_SETTING:  # LiteLLM would mix its REDIS_* variables in
            from redis.asyncio import Redis

            client = Redis.from_url(**self.kwargs, **options)
        else:
            from litellm._redis import get_redis_async_client

            client = get_redis_async_client(**{**self.kwargs, **options})
        client.set_retry(Retry(NoBackoff(), 0))  # our link does it, with a new client
        return client


def proxy_module() -> ModuleType | None:
    """The running proxy. Looked up, never imported: the import alone would pull in the whole proxy."""
    return sys.modules.get("litellm.proxy.proxy_server")


def has_database() -> bool:
    """Whether the proxy has a database, whose lookup knows a response by the provider's own id."""
    return getattr(proxy_module(), "prisma_client", None) is not None


def find_connection(own_url: str | None, environ: Mapping[str, str]) -> Connection | None:
    """The Redis to use, or ``None`` where none is configured."""
    if own_url:
        return Connection(_OWN_SETTING, {"url": own_url})
    cache = getattr(proxy_module(), "redis_usage_cache", None)
    if cache is not None:
        return Connection("the proxy's cache", dict(cache.redis_kwargs), getattr(cache, "namespace", None) or None)
    for name in (*_NODES.values(), "REDIS_URL", "REDIS_HOST"):
        if environ.get(name):
            return Connection(name, arguments_of(environ))
    return None


def arguments_of(environ: Mapping[str, str]) -> dict[str, Any]:
    """Arguments of a Redis client from LiteLLM's variables, ``REDIS_`` + an argument's name.

    LiteLLM reads these itself, but with some redis-py versions finds no arguments in them.
    """
    if environ.get("REDIS_URL"):
        return {"url": environ["REDIS_URL"]}
    from redis.asyncio import Redis

    found = {}
    for name, parameter in inspect.signature(Redis.__init__).parameters.items():
        text = environ.get(f"REDIS_{name.upper()}", "")
        if text and (value := _value_of(name, text, parameter.default)) is not None:
            found[name] = value
    return found


def _value_of(name: str, text: str, default: Any) -> Any:
    if isinstance(default, bool):
        return text.lower() in _TRUE
    if name in ("port", "db", "max_connections"):
        return int(text) if text.isdigit() else None  # Kubernetes puts REDIS_PORT=tcp://… beside a service named redis.
    if isinstance(default, int | float):
        return float(text) if text.replace(".", "", 1).isdigit() else None
    return text


def _address(kwargs: Mapping[str, Any]) -> str:
    if kwargs.get("url"):
        return _address_of_url(str(kwargs["url"]))
    for name in _NODES:
        if kwargs.get(name):
            return f"{name.replace('_', ' ')} {_hosts(kwargs[name])}"
    if kwargs.get("host"):
        return f"{kwargs['host']}:{kwargs.get('port') or 6379}"
    return "as in LiteLLM's REDIS_* variables"


def _address_of_url(url: str) -> str:
    """Scheme, host, port and database; nothing at all of a URL whose password may reach over its borders."""
    try:
        parts = urlsplit(url)
        port = parts.port or 6379
    except ValueError:
        return "a URL that cannot be read"
    if "@" in parts.path or "@" in parts.query or "@" in parts.fragment:
        return f"{parts.scheme}://… (a password with / ? or # in it must be written with %XX)"
    if parts.scheme == "unix":
        return f"unix://{parts.path}"
    return f"{parts.scheme}://{parts.hostname or 'localhost'}:{port}{parts.path}"


def _hosts(nodes: Any) -> str:
    if not isinstance(nodes, (list, tuple)):
        return "configured"
    pairs = [(node.get("host"), node.get("port")) if isinstance(node, dict) else tuple(node) for node in nodes]
    return ", ".join(f"{host}:{port}" for host, port in pairs)
