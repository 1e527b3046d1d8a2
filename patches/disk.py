"""The few things that are done to a disk, each of which may raise OSError. A test passes its own layer to fail or die
at any of them."""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
import time
from collections.abc import Collection, Iterable
from pathlib import Path

_PREFIX = ".redis-session-patch-"
_TOKEN_LENGTH = 16


def staged_name(name: str, token: str) -> str:
    """Of a temporary file that is to become `name`. It shows that this tool made it: nobody else's has that digest."""
    return f"{_PREFIX}{token}-{hashlib.sha256(f'{token} {name}'.encode()).hexdigest()[:_TOKEN_LENGTH]}.tmp"


def is_staged(found: str, names: Iterable[str]) -> bool:
    """Whether `found` is the name of a temporary file of this tool's for one of these."""
    token = found.removeprefix(_PREFIX)[:_TOKEN_LENGTH]
    return found.startswith(_PREFIX) and any(found == staged_name(name, token) for name in names)


class Disk:
    """Every change goes through one of these methods. All paths are absolute."""

    def write_beside(self, path: Path, data: bytes, like: Path, not_at: Collection[int] = ()) -> Path:
        """Writes a temporary file next to `path`, with the mode and owner of `like`, and returns it. Its time is none
        of `not_at`, in seconds.

        Never the file itself: installers hard-link it from a cache that other environments share.
        """
        temporary = path.with_name(staged_name(path.name, secrets.token_hex(_TOKEN_LENGTH // 2)))
        status = like.stat()
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with open(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            seconds = int(time.time())
            while seconds in not_at:
                seconds -= 1
            os.utime(temporary, (seconds, seconds))
            _give_to(temporary, status)
            os.chmod(temporary, stat.S_IMODE(status.st_mode))
        except OSError:
            temporary.unlink()
            raise
        return temporary

    def replace(self, temporary: Path, path: Path) -> None:
        os.replace(temporary, path)

    def remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def make_folder(self, path: Path) -> None:
        """With the mode and owner of the folder it is in."""
        status = path.parent.stat()
        path.mkdir()
        _give_to(path, status)
        os.chmod(path, stat.S_IMODE(status.st_mode))

    def remove_folder(self, path: Path) -> None:
        """Only if it is empty."""
        path.rmdir()

    def sync_folder(self, path: Path) -> None:
        """Makes renames in it durable."""
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _give_to(path: Path, status: os.stat_result) -> None:
    mine = path.stat()
    if (mine.st_uid, mine.st_gid) == (status.st_uid, status.st_gid) or not hasattr(os, "chown"):
        return
    try:
        os.chown(path, status.st_uid, status.st_gid)
    except PermissionError:
        return  # not root: the file stays ours, as with any other installer
