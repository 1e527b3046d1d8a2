"""What really reaches a Redis, read by its own MONITOR."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

PATIENCE_SECONDS = 20
END = b"end-of-monitoring"


@dataclass
class Monitored:
    """``commands``: what clients sent. ``inner``: what scripts called. Each a list of its words."""

    commands: list[list[str]] = field(default_factory=list)
    inner: list[list[str]] = field(default_factory=list)

    @property
    def of_ours(self) -> list[str]:
        """The names of those commands that name a key of the fork's."""
        return [words[0] for words in self.commands if any("litellm_patch:" in word for word in words)]


@contextmanager
def monitored(host: str, port: int) -> Iterator[Monitored]:
    """Every command that the server got meanwhile; it is known afterwards."""
    with (
        socket.create_connection((host, port), timeout=PATIENCE_SECONDS) as watching,
        watching.makefile("rb") as lines,
    ):
        watching.sendall(b"MONITOR\r\n")
        lines.readline()
        seen = Monitored()
        yield seen
        with socket.create_connection((host, port), timeout=PATIENCE_SECONDS) as marking:
            marking.sendall(b"ECHO %b\r\n" % END)
            marking.recv(100)
        while (line := lines.readline()) and END not in line:
            words = re.findall(r'"((?:[^"\\]|\\.)*)"', line.decode())
            (seen.inner if b" lua] " in line else seen.commands).append(words)
