"""A Redis server behind a door."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis import Redis

from .door import Door
from .processes import free_port
from .redis_server import RedisServer

ASKING_SECONDS = 5


@dataclass(frozen=True)
class Node:
    server: RedisServer
    door: Door

    def client(self) -> Redis:
        """Straight to the server, past the door and past its users' rights."""
        return Redis(host=self.server.host, port=self.server.port, socket_timeout=ASKING_SECONDS, protocol=2)

    def ask(self, *command: object) -> Any:
        with self.client() as client:
            return client.execute_command(*command)

    @property
    def id(self) -> str:
        """The node's own, in a Cluster."""
        return self.ask("CLUSTER", "MYID").decode()

    def is_master(self) -> bool:
        return self.ask("ROLE")[0] == b"master"


@contextlib.contextmanager
def running_node(
    certificate: Path | None = None, path: Path | None = None, port: int | None = None, **options: str
) -> Iterator[Node]:
    """`{door}` in an option's value is the door's port. The server starts first, the door ends first."""
    port = port or free_port()
    door = Door(("127.0.0.1", port), certificate, path)
    server = RedisServer(port=port, **{name: value.format(door=door.port) for name, value in options.items()})
    with server, door:
        yield Node(server, door)
