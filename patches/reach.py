"""The Redis that the fork uses, reached by the fork's own code: for `purge` and `erase`.

Its modules are taken from where this tool is, under another name, so LiteLLM need not be there for that. It is needed
where Redis is not named by a URL: LiteLLM then makes the client, as it does in the proxy.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from types import ModuleType
from typing import Any

from patches.errors import PatchError
from patches.manifest import FOLDER
from patches.own import fork_root

NO_DOWNLOAD = ("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # else LiteLLM's import waits for one
_PACKAGE = "litellm_session_fork"
_OWN = "REDIS_SESSION_PATCH_URL"
_FORMS = "give --url as redis://[user:password@]host:port/db, rediss:// or unix:///path?db=0"
_SECONDS = 30.0


def add_redis_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--url",
        help="redis://[user:password@]host:port/db, rediss:// or unix:///path?db=0; of a cluster, any node (default: "
        "REDIS_SESSION_PATCH_URL, else REDIS_CLUSTER_NODES, REDIS_SENTINEL_NODES, REDIS_URL or REDIS_HOST)",
    )
    parser.add_argument("--namespace", default="", metavar="NS", help="the proxy's cache namespace, if it has one")


def fork_module(name: str) -> Any:
    """A module of the fork's own."""
    if _PACKAGE not in sys.modules:
        package = ModuleType(_PACKAGE)
        package.__path__ = [str(fork_root().joinpath(FOLDER))]
        sys.modules[_PACKAGE] = package
    return import_module(f"{_PACKAGE}.{name}")


@contextmanager
def open_redis(url: str | None) -> Iterator[tuple[str, Any]]:
    """(the address without its password, a client). What Redis refuses becomes a PatchError."""
    try:
        from redis import exceptions
    except ImportError as error:
        next_step = "run it with the Python that runs LiteLLM, or pip install redis"
        raise PatchError("redis-py is missing in this Python", next_step) from error
    connection = _connection(url)
    title = connection.describe().removesuffix(f" ({_OWN})")
    clients = []
    try:
        clients.append(_open(connection))
        clients.append(_whole_cluster(clients[0], connection.kwargs.get("url")))
        yield title, clients[-1]
    except (exceptions.ConnectionError, exceptions.TimeoutError) as error:
        if any(isinstance(each, exceptions.AuthenticationError) for each in (error, error.__cause__)):
            raise PatchError(f"{title}: login refused", "check user and password in the URL") from error
        sentence = f"{title}: cannot be reached ({str(error)[:200]})"
        raise PatchError(sentence, "check the address and that Redis runs") from error
    except exceptions.RedisError as error:
        raise PatchError(f"{title}: refused ({error})", "check what this Redis user may do") from error
    finally:
        for client in clients:
            client.close()


def _connection(url: str | None) -> Any:
    settings = fork_module("values.settings")
    try:
        given = {_OWN: url or os.environ.get(_OWN, "")}
        connection = fork_module("redis.connection").find_connection(settings.read_settings(given).url, os.environ)
    except settings.SettingError:
        raise PatchError("this is no Redis URL", _FORMS) from None
    if connection is None:
        names = "REDIS_SESSION_PATCH_URL, REDIS_CLUSTER_NODES, REDIS_SENTINEL_NODES, REDIS_URL and REDIS_HOST"
        raise PatchError(f"no Redis given: {names} are unset", _FORMS)
    return connection


def _open(connection: Any) -> Any:
    os.environ.setdefault(*NO_DOWNLOAD)
    if connection.origin == "REDIS_URL":  # a URL says all
        connection = replace(connection, origin=_OWN)
    try:
        return connection.open(_SECONDS)
    except ImportError as error:
        raise PatchError(f"{error}", f"run it with the Python that runs LiteLLM, or {_FORMS}") from error
    except (TypeError, ValueError) as error:
        next_step = f"set it, and what belongs to it, as LiteLLM wants it, or {_FORMS}"
        raise PatchError(f"{connection.origin} cannot be used ({error})", next_step) from error


def _whole_cluster(client: Any, url: str | None) -> Any:
    """The client, or of a node of a cluster one that knows all of them."""
    from redis import RedisCluster, exceptions

    try:
        is_node = url and client.info("cluster").get("cluster_enabled") == 1
    except exceptions.NoPermissionError:
        is_node = False
    return RedisCluster.from_url(url) if is_node else client
