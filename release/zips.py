"""Zip files that are the same bytes for the same contents."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable

_WHEN = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip file can say
_FILE = 0o100644


def zip_bytes(files: Iterable[tuple[str, bytes, int]]) -> bytes:
    """(path with `/`, content, mode or 0 for a plain file's) in this order."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path, data, mode in files:
            info = zipfile.ZipInfo(path, _WHEN)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system = 3  # Unix, on every system
            info.external_attr = (mode or _FILE) << 16
            archive.writestr(info, data, compresslevel=9)
    return out.getvalue()
