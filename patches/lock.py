"""One run at a time on a target. The lock is on the package's folder itself, so it leaves nothing behind."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from patches.errors import PatchError
from patches.locate import Target

try:
    import fcntl
except ImportError:  # Windows: no lock on folders there, and no LiteLLM images either
    fcntl = None  # type: ignore[assignment]

WAIT_SECONDS = 10.0
_POLL_SECONDS = 0.1


@contextmanager
def locked(target: Target, wait_seconds: float = WAIT_SECONDS) -> Iterator[None]:
    """Waits for another run. Raises PatchError, naming its process where the system tells, when it takes longer."""
    if fcntl is None:
        yield
        return
    descriptor = os.open(target.root / "litellm", os.O_RDONLY)
    try:
        until = time.monotonic() + wait_seconds
        while not _try(descriptor):
            if time.monotonic() >= until:
                raise PatchError(
                    f"{target.root}: another run of this tool is at work on it{_holder(descriptor)}",
                    "wait for it, then run the command again; --wait SECONDS waits longer",
                )
            time.sleep(_POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks
    return True


def _holder(descriptor: int) -> str:
    """From Linux' list of locks: `1: FLOCK ADVISORY WRITE 4711 08:01:1234 0 EOF`."""
    inode = str(os.fstat(descriptor).st_ino)
    try:
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return ""
    words = [line.split() for line in lines]
    pids = [each[4] for each in words if len(each) > 5 and each[1] == "FLOCK" and each[5].rpartition(":")[2] == inode]
    return f" (process {pids[0]})" if pids else ""
