"""The ways in which a proxy may be connected to Redis: topologies, security, and where it is configured.

Each is a real server or several, behind doors, and the configuration that a proxy needs; nothing else differs.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trustme
from redis import Redis

from .proxy import ProxyOptions
from .redis_cluster import RedisCluster
from .redis_node import Node, running_node
from .redis_sentinel import SERVICE, RedisSentinel
from .trees import ROOT

USER, PASSWORD = "litellm", "correct-horse"
NAMESPACE = "team-a"
OWN_URL = "REDIS_SESSION_PATCH_URL"


@dataclass(frozen=True)
class Way:
    """A proxy's Redis, running.

    nodes: its servers, each with the door through which the proxy goes.
    environment, litellm_settings: how the proxy is told.
    client: opens one that sees all data, past the doors where it can.
    whole: whether all servers that live are in their places (replicas included).
    """

    name: str
    nodes: Sequence[Node]
    client: Callable[[], Redis]
    environment: Mapping[str, str] = field(default_factory=dict)
    litellm_settings: Mapping[str, Any] = field(default_factory=dict)
    is_whole: Callable[[], bool] = lambda: True
    topology: RedisCluster | RedisSentinel | None = None

    def options(self, provider_url: str, tree: Path | None, **others: Any) -> ProxyOptions:
        environment = {**self.environment, **others.pop("environment", {})}
        return ProxyOptions(provider_url, tree, environment, litellm_settings=self.litellm_settings, **others)


def cache(**cache_params: Any) -> dict[str, Any]:
    """The proxy's own cache, without which most proxies do not run; it caches no answers."""
    return {"cache": True, "cache_params": {"type": "redis", "supported_call_types": [], **cache_params}}


@contextlib.contextmanager
def own_url() -> Iterator[Way]:
    with running_node() as node:
        yield Way("url", [node], node.client, {OWN_URL: f"redis://127.0.0.1:{node.door.port}/0"})


@contextlib.contextmanager
def environment() -> Iterator[Way]:
    with running_node() as node:
        variables = {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(node.door.port)}
        yield Way("environment", [node], node.client, variables)


@contextlib.contextmanager
def proxy_cache() -> Iterator[Way]:
    with running_node() as node:
        settings = cache(host="127.0.0.1", port=node.door.port)
        yield Way("cache", [node], node.client, litellm_settings=settings)


@contextlib.contextmanager
def namespace() -> Iterator[Way]:
    with running_node() as node:
        settings = cache(host="127.0.0.1", port=node.door.port, namespace=NAMESPACE)
        yield Way("namespace", [node], node.client, litellm_settings=settings)


@contextlib.contextmanager
def behind_tls() -> Iterator[tuple[Node, Path]]:
    """A node whose door speaks TLS, and the file of the authority that signed its certificate."""
    with tempfile.TemporaryDirectory(prefix="tls-") as folder:
        authority, certificate = trustme.CA(), Path(folder) / "server.pem"
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(certificate)
        authority.cert_pem.write_to_path(file := Path(folder) / "authority.pem")
        with running_node(certificate) as node:
            yield node, file


@contextlib.contextmanager
def tls_url() -> Iterator[Way]:
    with behind_tls() as (node, file):
        url = f"rediss://127.0.0.1:{node.door.port}/0?ssl_ca_certs={file}"
        yield Way("tls-url", [node], node.client, {OWN_URL: url})


@contextlib.contextmanager
def tls_cache() -> Iterator[Way]:
    """The cache configured by a URL."""
    with behind_tls() as (node, file):
        settings = cache(url=f"rediss://127.0.0.1:{node.door.port}/0?ssl_ca_certs={file}")
        yield Way("tls-cache", [node], node.client, litellm_settings=settings)


@contextlib.contextmanager
def tls_cache_by_host() -> Iterator[Way]:
    with behind_tls() as (node, file):
        settings = cache(host="127.0.0.1", port=node.door.port, ssl=True, ssl_ca_certs=str(file))
        yield Way("tls-cache-host", [node], node.client, litellm_settings=settings)


@contextlib.contextmanager
def limited_user() -> Iterator[Way]:
    """A user with the rights that the README names, and no others."""
    with tempfile.TemporaryDirectory(prefix="users-") as folder:
        (users := Path(folder) / "users.acl").write_text(
            f"user default on nopass ~* &* +@all\nuser {USER} on >{PASSWORD} ~litellm_patch:* {rights()}\n"
        )
        with running_node(aclfile=str(users)) as node:
            url = f"redis://{USER}:{PASSWORD}@127.0.0.1:{node.door.port}/0"
            yield Way("user", [node], node.client, {OWN_URL: url})


def rights() -> str:
    """The README's list of commands, as Redis' rules name them."""
    readme = (ROOT / "README.md").read_text()
    listed = re.search(r"\*\*Rights\.\*\*(.*?)Redis 5 or newer", readme, re.DOTALL)
    return " ".join(f"+{name.lower().replace(' ', '|')}" for name in re.findall(r"`([A-Z][A-Z ]*)`", listed[1]))


@contextlib.contextmanager
def unix_socket() -> Iterator[Way]:
    with tempfile.TemporaryDirectory(prefix="redis-") as folder, running_node(path=Path(folder) / "socket") as node:
        yield Way("unix", [node], node.client, {OWN_URL: f"unix://{node.door.path}"})


@contextlib.contextmanager
def cluster() -> Iterator[Way]:
    with RedisCluster() as servers:
        yield Way("cluster", servers.nodes, servers.client, servers.environment, {}, servers.is_whole, servers)


@contextlib.contextmanager
def cluster_cache() -> Iterator[Way]:
    with RedisCluster() as servers:
        settings = cache(redis_startup_nodes=servers.startup_nodes)
        yield Way("cluster-cache", servers.nodes, servers.client, {}, settings, servers.is_whole, servers)


@contextlib.contextmanager
def sentinel() -> Iterator[Way]:
    with RedisSentinel() as servers:
        yield Way("sentinel", servers.nodes, servers.client, servers.environment, {}, servers.is_whole, servers)


@contextlib.contextmanager
def sentinel_cache() -> Iterator[Way]:
    with RedisSentinel() as servers:
        settings = cache(sentinel_nodes=servers.sentinel_nodes, service_name=SERVICE)
        yield Way("sentinel-cache", servers.nodes, servers.client, {}, settings, servers.is_whole, servers)


WAYS: Mapping[str, Callable[[], contextlib.AbstractContextManager[Way]]] = {
    "url": own_url,
    "environment": environment,
    "cache": proxy_cache,
    "namespace": namespace,
    "tls-url": tls_url,
    "tls-cache": tls_cache,
    "tls-cache-host": tls_cache_by_host,
    "user": limited_user,
    "unix": unix_socket,
    "cluster": cluster,
    "cluster-cache": cluster_cache,
    "sentinel": sentinel,
    "sentinel-cache": sentinel_cache,
}
