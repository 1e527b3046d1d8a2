"""The way to a Redis, with everything that can go wrong on it: a TCP, TLS or unix socket in front of a real server.

It is a process of its own, so that it answers at once also while this one is busy with clients and models.
"""

from __future__ import annotations

import multiprocessing
import threading
from collections import Counter
from pathlib import Path
from typing import Any

from .door_server import SERVING_SECONDS, serve
from .processes import ProcessFailed, free_port
from .troubles import NO_TROUBLE, Trouble


class Door:
    """`target`: the server's host and port. `certificate`: a PEM file with key and certificates, for TLS. With `path`,
    it listens on a unix socket.

    `door.trouble` says how the way is now; what is already open is affected too.
    """

    def __init__(self, target: tuple[str, int], certificate: Path | None = None, path: Path | None = None) -> None:
        self.host, self.port = "127.0.0.1", free_port()
        self.path = path
        self._trouble = NO_TROUBLE
        spawning = multiprocessing.get_context("spawn")
        self._orders, self._theirs = spawning.Pipe()
        self._one_at_a_time = threading.Lock()
        arguments = (self._theirs, target, self.address, certificate, path)
        self._process = spawning.Process(target=serve, args=arguments, name="door", daemon=True)

    @property
    def address(self) -> tuple[str, int]:
        return self.host, self.port

    @property
    def trouble(self) -> Trouble:
        return self._trouble

    @trouble.setter
    def trouble(self, trouble: Trouble) -> None:
        """Returns once it is so."""
        self._order("take_trouble", trouble)
        self._trouble = trouble

    @property
    def commands(self) -> Counter[bytes]:
        """How often each has come, by its name in upper case."""
        return self._order("count_commands")

    def reset_all(self) -> int:
        """Each open connection ends as load balancers end them, by a reset. How many there were."""
        return self._order("reset_all")

    def close_all(self) -> int:
        """Each open connection ends in good order. How many there were."""
        return self._order("close_all")

    def silence_all(self) -> int:
        """Each open connection hears nothing any more, as where a middlebox has forgotten it; new ones are served. How
        many there were.
        """
        return self._order("silence_all")

    def start(self) -> Door:
        self._process.start()
        self._theirs.close()  # so that the end of the process is seen here
        try:
            self._order("start")
        except BaseException:
            self._end()
            raise
        return self

    def stop(self) -> None:
        try:
            self._order("stop")
        finally:
            self._end()

    def _end(self) -> None:
        self._orders.close()
        self._process.terminate()
        self._process.join(SERVING_SECONDS)

    def _order(self, method: str, *arguments: Any) -> Any:
        try:
            with self._one_at_a_time:
                self._orders.send((method, arguments))
                if not self._orders.poll(2 * SERVING_SECONDS):
                    raise ProcessFailed(f"the door at {self.port} does not answer")
                result = self._orders.recv()
        except (EOFError, ConnectionError):
            raise ProcessFailed(f"the door at {self.port} has ended") from None
        if isinstance(result, Exception):
            raise result
        return result

    def __enter__(self) -> Door:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
