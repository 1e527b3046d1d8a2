"""A real master with replicas under three Sentinels, each data node behind a door."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from redis import Redis, RedisError

from .processes import Child, free_port, wait_until
from .redis_node import Node, running_node
from .redis_server import find_redis_binary

SERVICE = "conversations"
SENTINELS = 3
READY_SECONDS = 60
DOWN_AFTER_MS = 2_000

CONFIG = """\
port {port}
bind 127.0.0.1
dir {folder}
sentinel monitor {service} 127.0.0.1 {master} 2
sentinel down-after-milliseconds {service} {down_after_ms}
sentinel failover-timeout {service} 6000
"""


class RedisSentinel:
    """Options are redis.conf names for the data nodes."""

    def __init__(self, replicas: int = 1, **options: str) -> None:
        self._replicas, self._options = replicas, options
        self.nodes: list[Node] = []
        self.sentinel_ports: list[int] = []
        self._sentinels: list[Child] = []
        self._stack = contextlib.ExitStack()
        self._folder = Path(tempfile.mkdtemp(prefix="sentinel-"))
        self._stack.callback(shutil.rmtree, self._folder, ignore_errors=True)

    @property
    def sentinel_nodes(self) -> list[list]:
        return [["127.0.0.1", port] for port in self.sentinel_ports]

    @property
    def environment(self) -> Mapping[str, str]:
        return {"REDIS_SENTINEL_NODES": json.dumps(self.sentinel_nodes), "REDIS_SERVICE_NAME": SERVICE}

    def start(self) -> RedisSentinel:
        for _ in range(1 + self._replicas):
            self.nodes.append(self._start_node())
        master, *replicas = self.nodes
        for replica in replicas:
            replica.ask("REPLICAOF", master.door.host, master.door.port)
        for number in range(SENTINELS):
            self._sentinels.append(self._start_sentinel(number, master.door.port))
        wait_until(self.is_whole, READY_SECONDS, "the Sentinels")
        return self

    def _start_node(self) -> Node:
        announced = {"replica_announce_ip": "127.0.0.1", "replica_announce_port": "{door}"}
        options = {"repl_diskless_sync_delay": "0", **announced, **self._options}
        return self._stack.enter_context(running_node(**options))

    def _start_sentinel(self, number: int, master: int) -> Child:
        folder = self._folder / str(number)
        folder.mkdir()
        self.sentinel_ports.append(port := free_port())
        config = folder / "sentinel.conf"  # Redis rewrites it
        values = {"port": port, "folder": folder, "master": master}
        config.write_text(CONFIG.format(service=SERVICE, down_after_ms=DOWN_AFTER_MS, **values))
        sentinel = Child([find_redis_binary(), config, "--sentinel"], folder / "log")
        self._stack.callback(sentinel.kill)
        return sentinel

    def master(self) -> Node:
        """The node that most Sentinels name. Raises redis.RedisError while none answers."""
        named = [self._ask_sentinel(port, "GET-MASTER-ADDR-BY-NAME", SERVICE) for port in self.sentinel_ports]
        ports = [int(each[1]) for each in named]
        wanted = max(set(ports), key=ports.count)
        return next(node for node in self.nodes if node.door.port == wanted)

    def is_whole(self, without: Node | None = None) -> bool:
        """Whether the Sentinels know one another, and a master with all its replicas that live."""
        replicas = sum(node.server.is_running() and node is not without for node in self.nodes) - 1
        try:
            master = self.master()
            if master is without:
                return False
            views = [self._ask_sentinel(port, "MASTER", SERVICE) for port in self.sentinel_ports]
            known = [dict(zip(each[::2], each[1::2], strict=True)) for each in views]
            return (
                all(each[b"num-other-sentinels"] == str(SENTINELS - 1).encode() for each in known)
                and all(each[b"flags"] == b"master" for each in known)
                and master.is_master()
                and len(master.ask("ROLE")[2]) >= replicas
            )
        except RedisError:
            return False

    def _ask_sentinel(self, port: int, *command: str) -> Any:
        with Redis(port=port, socket_timeout=5, protocol=2) as client:
            return client.execute_command("SENTINEL", *command)

    def client(self) -> Redis:
        """For a look at the data, straight to the master."""
        return self.master().client()

    def stop(self) -> None:
        self._stack.close()

    def __enter__(self) -> RedisSentinel:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_: object) -> None:
        self.stop()
