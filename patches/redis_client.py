"""The Redis that the proxy's environment names, reached through redis-py, which every LiteLLM with Redis has."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from patches.errors import PatchError

if TYPE_CHECKING:
    from redis import Redis

SECONDS = 30.0
_FORMS = "redis://[user:password@]host:port/db, rediss:// or unix:///path?db=0"
_TLS = ("cert_reqs", "ca_certs", "ca_path", "certfile", "keyfile", "check_hostname")


def add_redis_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--url",
        help="redis://[user:password@]host:port/db, rediss:// or unix:///path?db=0; of a cluster, any node (default: "
        "REDIS_SESSION_PATCH_URL, else REDIS_CLUSTER_NODES, REDIS_SENTINEL_NODES, REDIS_URL or REDIS_HOST)",
    )
    parser.add_argument("--namespace", default="", metavar="NS", help="the proxy's cache namespace, if it has one")


@contextmanager
def open_masters(url: str | None, environment: Mapping[str, str]) -> Iterator[tuple[str, list[Redis]]]:
    """(the address without its password, a client for each master). What Redis refuses becomes a PatchError."""
    try:
        from redis import exceptions
    except ImportError as error:
        raise PatchError(
            "redis-py is missing in this Python", "run it with the Python that runs LiteLLM, or pip install redis"
        ) from error
    title, clients = "Redis", []
    try:
        title, first = _open(url, environment)
        clients.append(first)
        yield title, _masters(first, clients)
    except exceptions.AuthenticationError as error:
        raise PatchError(f"{title}: login refused ({_code(error)})", "check user and password in the URL") from error
    except (exceptions.ConnectionError, exceptions.TimeoutError) as error:
        raise PatchError(f"{title}: cannot be reached ({error})", "check the address and that Redis runs") from error
    except exceptions.RedisError as error:
        raise PatchError(f"{title}: refused ({error})", "check what this Redis user may do") from error
    finally:
        for client in clients:
            client.close()


def _open(url: str | None, environment: Mapping[str, str]) -> tuple[str, Any]:
    """In the order that the fork itself asks: see the runtime's connection.py."""
    from redis import Redis, RedisCluster, Sentinel
    from redis.cluster import ClusterNode

    url = url or environment.get("REDIS_SESSION_PATCH_URL")
    common = {"socket_timeout": SECONDS, "socket_connect_timeout": SECONDS}
    login = {**common, **_login(environment)}
    if not url and environment.get("REDIS_CLUSTER_NODES"):
        nodes = [(str(each["host"]), int(each["port"])) for each in _nodes(environment, "REDIS_CLUSTER_NODES")]
        cluster = RedisCluster(startup_nodes=[ClusterNode(*node) for node in nodes], **login)
        return f"cluster {_list(nodes)}", cluster
    if not url and environment.get("REDIS_SENTINEL_NODES"):
        nodes = [(str(host), int(port)) for host, port in _nodes(environment, "REDIS_SENTINEL_NODES")]
        service = environment.get("REDIS_SERVICE_NAME") or environment.get("REDIS_SENTINEL_SERVICE_NAME")
        if not service:
            raise PatchError("REDIS_SENTINEL_NODES is set and REDIS_SERVICE_NAME is not", "set it, or give --url")
        asking = {**login, "password": environment.get("REDIS_SENTINEL_PASSWORD") or None}
        sentinel = Sentinel(nodes, sentinel_kwargs=asking)
        master = sentinel.master_for(service, db=_number(environment, "REDIS_DB", 0), **login)
        return f"sentinel {service} of {_list(nodes)}", master
    url = url or environment.get("REDIS_URL")
    if url:
        try:
            client = Redis.from_url(url, **common)
        except ValueError:
            raise PatchError("this is no Redis URL", f"give --url as {_FORMS}") from None
        return _title(client), client
    if not environment.get("REDIS_HOST"):
        names = "REDIS_SESSION_PATCH_URL, REDIS_CLUSTER_NODES, REDIS_SENTINEL_NODES, REDIS_URL and REDIS_HOST"
        raise PatchError(f"no Redis given: {names} are unset", f"give --url as {_FORMS}")
    place = {"port": _number(environment, "REDIS_PORT", 6379), "db": _number(environment, "REDIS_DB", 0)}
    client = Redis(host=environment["REDIS_HOST"], **place, **login)
    return _title(client), client


def _masters(first: Any, clients: list[Any]) -> list[Redis]:
    """Of a cluster every master, whichever node was named; else the one server."""
    from redis import Redis, RedisCluster, exceptions

    if isinstance(first, Redis):
        try:
            is_cluster = first.info("cluster").get("cluster_enabled") == 1
        except exceptions.NoPermissionError:
            is_cluster = False
        if not is_cluster:
            return [first]
        known = {**first.connection_pool.connection_kwargs}
        kept = ("host", "port", "username", "password", "socket_timeout", "socket_connect_timeout")
        options = {name: value for name, value in known.items() if name in kept or name.startswith("ssl_")}
        if "ssl" in first.connection_pool.connection_class.__name__.lower():
            options["ssl"] = True
        first = RedisCluster(**options)
        clients.append(first)
    return [first.get_redis_connection(node) for node in first.get_primaries()]


def _login(environment: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {
        name: environment.get(f"REDIS_{name.upper()}") or None for name in ("username", "password")
    }
    if environment.get("REDIS_SSL", "").strip().lower() in ("1", "true", "yes", "on"):
        found["ssl"] = True
        for name in _TLS:
            if value := environment.get(f"REDIS_SSL_{name.upper()}"):
                found[f"ssl_{name}"] = value.lower() in ("1", "true", "yes") if name == "check_hostname" else value
    return found


def _nodes(environment: Mapping[str, str], name: str) -> list[Any]:
    try:
        nodes = json.loads(environment[name])
        if isinstance(nodes, list) and nodes:
            return nodes
    except ValueError:
        pass
    raise PatchError(f"{name} is no list of nodes in JSON", "give it as LiteLLM wants it, or give --url")


def _number(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name, "")
    return int(text) if text.isdigit() else default  # Kubernetes puts REDIS_PORT=tcp://… beside a service named redis


def _title(client: Redis) -> str:
    known = client.connection_pool.connection_kwargs
    if known.get("path"):
        return f"unix://{known['path']}?db={known.get('db') or 0}"
    scheme = "rediss" if "ssl" in client.connection_pool.connection_class.__name__.lower() else "redis"
    host = known.get("host") or "localhost"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{known.get('port') or 6379}/{known.get('db') or 0}"


def _list(nodes: list[tuple[str, int]]) -> str:
    return ", ".join(f"{host}:{port}" for host, port in nodes)


def _code(error: Exception) -> str:
    return str(error).partition(" ")[0].rstrip(":")
