"""Which Redis: one of the patch's own, else the proxy's, else the one in LiteLLM's environment variables."""

import inspect
import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

_OWN_SETTING = "REDIS_SESSION_PATCH_URL"

# A connection that a middlebox dropped is found after a minute, before anybody asks by it.
_PROBING = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
_KEEPALIVE = {getattr(socket, name): value for name, value in _PROBING.items() if hasattr(socket, name)}

# What would let a replica answer, which may not have the newest turn yet.
_TO_REPLICAS = ("read_from_replicas", "load_balancing_strategy")

_NODES = {"startup_nodes": "REDIS_CLUSTER_NODES", "sentinel_nodes": "REDIS_SENTINEL_NODES"}
_TRUE = ("true", "1", "yes", "on")
_OTHER_AUTHENTICATION = ("enable_jwt_auth", "enable_oauth2_auth", "enable_oauth2_proxy_auth")


@dataclass(frozen=True)
class Connection:
    """How to reach Redis. ``origin`` names the setting it comes from, ``kwargs`` are LiteLLM's Redis arguments."""

    origin: str
    kwargs: Mapping[str, Any]
    namespace: str | None = None

    @property
    def most_connections(self) -> int | None:
        """As many as the operator allows a pool to have."""
        limit = str(self.kwargs.get("max_connections") or "")
        return int(limit) if limit.isdigit() else None

    @property
    def is_ours_alone(self) -> bool:
        """Whether it was configured for conversations, and not for LiteLLM's cache and counters too."""
        return self.origin == _OWN_SETTING

    def describe(self) -> str:
        """For logs: the address without user and password, and where it was configured."""
        return f"{_address(self.kwargs)} ({self.origin})"

    def open(self, seconds: float) -> Any:
        """A new client for threads, which answers in bytes. ``seconds``: for a connection, and for each answer."""
        options: dict[str, Any] = {
            "decode_responses": False,
            "socket_timeout": seconds,
            "socket_connect_timeout": seconds,
            "health_check_interval": 0,
        }
        if not str(self.kwargs.get("url")).startswith("unix:") and not self.kwargs.get("unix_socket_path"):
            options |= {"socket_keepalive": True, "socket_keepalive_options": _KEEPALIVE}
        if self.is_ours_alone:  # LiteLLM would mix its REDIS_* variables in
            from redis import Redis

            return _retries_once(Redis.from_url(**self.kwargs, **options))
        from litellm._redis import get_redis_client

        kwargs = {name: value for name, value in self.kwargs.items() if name not in _TO_REPLICAS}
        client: Any = get_redis_client(**{**kwargs, **options, "max_connections": None})
        _give_options(client, options)
        return _retries_once(client)


def _give_options(client: Any, options: Mapping[str, Any]) -> None:
    """until 1.106 at the latest: LiteLLM loses those of a URL and of a Cluster."""
    if (manager := getattr(client, "nodes_manager", None)) is not None:
        manager.connection_kwargs.update(options)  # for nodes that it finds later
    nodes = [client] if manager is None else [node.redis_connection for node in client.get_nodes()]
    for pool in [node.connection_pool for node in nodes if node is not None]:
        pool.connection_kwargs.update(options)
        pool.disconnect()
        pool.reset()  # A connection keeps the options that it was made with.


def _retries_once(client: Any) -> Any:
    """After a broken connection a command runs once more: a restart breaks all of them. An unanswered one does not."""
    from redis.backoff import NoBackoff
    from redis.exceptions import ConnectionError as Broken
    from redis.retry import Retry

    if not hasattr(client, "nodes_manager"):  # A Cluster's client has rules of its own, by which it finds new masters.
        client.set_retry(Retry(NoBackoff(), 1, supported_errors=(Broken,)))
    return client


def proxy_module() -> ModuleType | None:
    """The running proxy. Looked up, never imported: the import alone would pull in the whole proxy."""
    return sys.modules.get("litellm.proxy.proxy_server")


def installation_secret() -> str | None:
    """What every proxy of this installation knows and nobody else does; ``None``: there is no such thing."""
    return os.environ.get("LITELLM_SALT_KEY") or getattr(proxy_module(), "master_key", None)


def proxy_authenticates() -> bool:
    proxy = proxy_module()
    if proxy is None:
        return True
    settings = getattr(proxy, "general_settings", None) or {}
    return bool(
        getattr(proxy, "master_key", None)
        or getattr(proxy, "user_custom_auth", None)
        or any(settings.get(name) for name in _OTHER_AUTHENTICATION)
    )


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

    found = {
        name: _value_of(name, environ[variable], parameter.default)
        for name, parameter in inspect.signature(Redis.__init__).parameters.items()
        if environ.get(variable := f"REDIS_{name.upper()}")
    }
    return {name: value for name, value in found.items() if value is not None}


def _value_of(name: str, text: str, default: Any) -> Any:
    if isinstance(default, bool):
        return text.lower() in _TRUE
    if isinstance(default, int) or name == "max_connections":
        return int(text) if text.isdigit() else None  # Kubernetes puts REDIS_PORT=tcp://… beside a service named redis.
    return text


def _address(kwargs: Mapping[str, Any]) -> str:
    if kwargs.get("url"):
        return _address_of_url(str(kwargs["url"]))
    for name in _NODES:
        if nodes := kwargs.get(name):
            known = nodes if isinstance(nodes, list | tuple) else ()
            pairs = [(node.get("host"), node.get("port")) if isinstance(node, dict) else tuple(node) for node in known]
            hosts = ", ".join(f"{host}:{port}" for host, port in pairs)
            return f"{name.replace('_', ' ')} {hosts or 'configured'}"
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
    if "@" in parts.path + parts.query + parts.fragment:
        return f"{parts.scheme}://… (a password with / ? or # in it must be written with %XX)"
    if parts.scheme == "unix":
        return f"unix://{parts.path}"
    return f"{parts.scheme}://{parts.hostname or 'localhost'}:{port}{parts.path}"
