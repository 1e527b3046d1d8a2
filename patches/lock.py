"""One run at a time on a target. The lock is on the package's own folder, so it leaves nothing behind."""

from __future__ import annotations

import errno
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
    """Waits for another run. Raises PatchError when it takes longer."""
    if fcntl is None:
        yield
        return
    descriptor = os.open(target.root / "litellm", os.O_RDONLY)  # its files may be hard links that environments share
    try:
        until = time.monotonic() + wait_seconds
        while not _try(descriptor, target.root / "litellm/__init__.py"):
            if not time.monotonic() < until:  # so written, it ends with NaN, too
                next_step = "wait for it, then run the command again; --wait SECONDS waits longer"
                raise PatchError(f"{target.root}: another run of this tool is at work on it", next_step)
            time.sleep(_POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)


def _try(descriptor: int, file: Path | None) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno == errno.EBADF and file and os.access(file, os.W_OK):  # NFS locks only what is open for writing
            with file.open("r+b") as stream:
                os.dup2(stream.fileno(), descriptor)
            return _try(descriptor, None)
        return not isinstance(error, BlockingIOError)  # else it is a file system without locks
    return True
