"""Which Redis: one of the patch's own, else the proxy's, else the one in LiteLLM's environment variables."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

_OWN_SETTING = "REDIS_SESSION_PATCH_URL"


@dataclass(frozen=True)
class Connection:
    """How to reach Redis. ``origin`` names the setting it comes from, ``kwargs`` are LiteLLM's Redis arguments."""

    origin: str
    kwargs: Mapping[str, Any]
    namespace: str | None = None

    def describe(self) -> str:
        """For logs: the address without user and password, and where it was configured."""
        return f"{_address(self.kwargs)} ({self.origin})"

    def open(self) -> Any:
        """A new asyncio client that answers in bytes; the caller closes it."""
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        # Once, for a connection that went stale; redis-py's own backoff would hide an error behind the timeout.
        options = {"decode_responses": False, "retry": Retry(NoBackoff(), 1)}
        if self.origin in (_OWN_SETTING, "REDIS_URL"):
            from redis.asyncio import Redis

            return Redis.from_url(**self.kwargs, **options)
        if self.origin == "REDIS_HOST":
            from redis.asyncio import Redis

            return Redis(**self.kwargs, **options)
        from litellm._redis import get_redis_async_client

        return get_redis_async_client(**{**self.kwargs, **options})


def proxy_module() -> ModuleType | None:
    """The running proxy. Looked up, never imported: the import alone would pull in the whole proxy."""
    return sys.modules.get("litellm.proxy.proxy_server")


def find_connection(own_url: str | None, environ: Mapping[str, str]) -> Connection | None:
    """The Redis to use, or ``None`` where none is configured."""
    if own_url:
        return Connection(_OWN_SETTING, {"url": own_url})
    cache = getattr(proxy_module(), "redis_usage_cache", None)
    if cache is not None:
        return Connection("the proxy's cache", dict(cache.redis_kwargs), getattr(cache, "namespace", None) or None)
    for name in ("REDIS_CLUSTER_NODES", "REDIS_SENTINEL_NODES"):
        if environ.get(name):
            return Connection(name, {})  # LiteLLM reads these itself.
    if environ.get("REDIS_URL"):
        return Connection("REDIS_URL", {"url": environ["REDIS_URL"]})
    if environ.get("REDIS_HOST"):
        return Connection("REDIS_HOST", _host_arguments(environ))
    return None


def _host_arguments(environ: Mapping[str, str]) -> dict[str, Any]:
    # Read here: with some redis-py versions LiteLLM finds no arguments in these variables.
    texts = {name: environ.get(f"REDIS_{name.upper()}") or None for name in ("host", "username", "password")}
    numbers = {
        name: _number(environ.get(f"REDIS_{name.upper()}", ""), default)
        for name, default in (("port", 6379), ("db", 0))
    }
    return {**texts, **numbers, "ssl": environ.get("REDIS_SSL", "").lower() in ("true", "1")}


def _number(text: str, default: int) -> int:
    # Kubernetes puts REDIS_PORT=tcp://… beside a service named redis.
    return int(text) if text.isdigit() else default


def _address(kwargs: Mapping[str, Any]) -> str:
    if kwargs.get("url"):
        return _address_of_url(str(kwargs["url"]))
    for name in ("startup_nodes", "sentinel_nodes"):
        if kwargs.get(name):
            return f"{name.replace('_', ' ')} {_hosts(kwargs[name])}"
    if kwargs.get("host"):
        return f"{kwargs['host']}:{kwargs.get('port') or 6379}"
    return "as in LiteLLM's REDIS_* variables"


def _address_of_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port or 6379
    except ValueError:
        return "a URL that cannot be read"
    if parts.scheme == "unix":
        return f"unix://{parts.path}"
    return f"{parts.scheme}://{parts.hostname or 'localhost'}:{port}{parts.path}"


def _hosts(nodes: Any) -> str:
    if not isinstance(nodes, (list, tuple)):
        return "configured"
    pairs = [(node.get("host"), node.get("port")) if isinstance(node, dict) else tuple(node) for node in nodes]
    return ", ".join(f"{host}:{port}" for host, port in pairs)
