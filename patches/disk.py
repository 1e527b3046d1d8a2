"""The few things that are done to a disk. A test passes its own layer to fail or die at any of
them."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from patches.tree import TEMPORARY_PREFIX


class Disk:
    """Every change goes through one of these methods. All paths are absolute."""

    def write_beside(self, path: Path, data: bytes, like: Path) -> Path:
        """Writes a temporary file next to `path`, with the mode and owner of `like`, and returns
        it.

        Never the file itself: installers hard-link it from a cache that other environments share.
        """
        temporary = path.with_name(f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}.tmp")
        status = like.stat()
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with open(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
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

    def remove_folder(self, path: Path) -> bool:
        """Only if it is empty; says whether it went."""
        try:
            path.rmdir()
        except OSError:
            return False
        return True

    def sync_folder(self, path: Path) -> None:
        """Makes renames in it durable, where the system can."""
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except OSError:
            return
        try:
            os.fsync(descriptor)
        except OSError:
            return
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
