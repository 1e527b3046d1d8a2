"""What this user may not do to a path, as far as it shows before it is tried, and the command that helps."""

from __future__ import annotations

import errno
import os
import shlex
import stat
from pathlib import Path

from patches.errors import PatchError

_user = getattr(os, "geteuid", lambda: 0)  # Windows has none, and no owners to compare either


def obstacle_to(path: Path) -> PatchError | None:
    """Why this user can neither replace nor remove this path, which need not be there."""
    folder = _existing(path.parent)
    if not os.access(folder, os.W_OK | os.X_OK):
        return not_writable(folder, "no permission, or a read-only file system")
    if not os.path.lexists(path):
        return None
    status, above = path.lstat(), folder.stat()
    if above.st_mode & stat.S_ISVTX and _user() not in (0, status.st_uid, above.st_uid):
        return not_writable(path, "somebody else's, in a sticky folder")
    is_allowed = status.st_uid == _user() and stat.S_ISREG(status.st_mode) and status.st_mode & stat.S_IWUSR
    if is_allowed and not os.access(path, os.W_OK):
        return not_writable(path, "immutable", errno.EPERM)
    return None


def not_writable(path: Path, reason: str, number: int | None = None) -> PatchError:
    """`number`: the system's error, where it was tried. Nothing was written, or all was put back."""
    path = _existing(path)
    return PatchError(f"{path}: cannot be written ({reason}); the tree is as it was", way_out(path, number))


def way_out(path: Path, number: int | None = None) -> str:
    """What to type so that this user may read, replace or remove the path."""
    if number in (errno.ENOSPC, errno.EDQUOT):
        return "make room on that disk, then run the command again"
    status, quoted = _existing(path).lstat(), shlex.quote(str(path))
    if number not in (errno.EPERM, errno.EROFS, errno.EBUSY):
        if _user() not in (0, status.st_uid):
            as_owner = f"run the command as the owner of {path}, on a writable file system"
            return f"{as_owner}; or: sudo chown -R {_user()} {quoted}"
        if status.st_mode & 0o600 != 0o600:
            return f"chmod u+rwX {quoted}"
    return f"ls -ld {quoted}; lsattr -d {quoted}; findmnt -T {quoted}: one of them shows what forbids it"


def _existing(path: Path) -> Path:
    while not os.path.lexists(path):
        path = path.parent
    return path
