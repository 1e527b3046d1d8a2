"""Child processes that leave nothing behind, and waiting by polling against a deadline."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

LOG_TAIL_LINES = 60


class ProcessFailed(RuntimeError):
    """A child ended, or did not get ready, when it was needed. The text ends with its last log
    lines.
    """


def free_port(host: str = "127.0.0.1") -> int:
    """A port the system gives out; unlikely to be given again soon, but not reserved."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


def wait_until(
    is_ready: Callable[[], bool],
    seconds: float,
    what: str,
    interval_seconds: float = 0.05,
    process: Child | None = None,
    on_wait: Callable[[], None] | None = None,
) -> None:
    """Poll `is_ready`. Raises ProcessFailed at the deadline, or at once when `process` has ended.

    `on_wait` is called before each pause, to show progress.
    """
    deadline = time.monotonic() + seconds
    while not is_ready():
        if on_wait is not None:
            on_wait()
        if process is not None and not process.is_alive():
            raise ProcessFailed(f"{what} ended with exit code {process.exit_code}.\n{process.log_tail()}")
        if time.monotonic() > deadline:
            tail = process.log_tail() if process is not None else ""
            raise ProcessFailed(f"{what} was not ready after {seconds:.0f} s.\n{tail}")
        time.sleep(interval_seconds)


class Child:
    """A process in a group of its own, with its output in a file. Ended by its own ids, children
    included.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(env) if env is not None else None,
                cwd=cwd,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        return self._process.poll()

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def log_text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def log_tail(self) -> str:
        return "\n".join(self.log_text().splitlines()[-LOG_TAIL_LINES:])

    def signal(self, number: int) -> None:
        """To the whole group; nothing happens when it has gone."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def stop(self, seconds: float = 5.0) -> None:
        """Ask, wait, then kill what is left of the group."""
        if self.is_alive():
            self.signal(signal.SIGTERM)
            self.signal(signal.SIGCONT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
        self.signal(signal.SIGKILL)
        self._process.wait()

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self._process.wait()
