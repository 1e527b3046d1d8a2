"""The fork's own files: every module in its folder."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from zipfile import Path as ZipPath

from patches.errors import PatchError
from patches.manifest import FOLDER

Traversable = Path | ZipPath
_VERSION_FILE = f"{FOLDER}/version.py"


def read_own_files(root: Traversable | None = None) -> dict[str, bytes]:
    """By path below the target. `root` holds `litellm/`; it is where this tool is, be that a folder or a zip file.

    Editors' backups and the like are no modules, so they are left out. Raises PatchError.
    """
    root = root or fork_root()
    paths = sorted(path for path in files_below(root) if _is_module(path))
    if _VERSION_FILE not in paths:
        raise PatchError(f"{root.joinpath(FOLDER)}: the fork's own files are missing", "copy the whole fork")
    return {path: root.joinpath(path).read_bytes() for path in paths}


def read_fork_version(root: Traversable | None = None) -> str:
    """What version.py says, without running it; "unknown" where there is none."""
    file = (root or fork_root()).joinpath(_VERSION_FILE)
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    found = re.search(r'^FORK_VERSION = "(.+)"$', text, re.MULTILINE)
    return found[1] if found else "unknown"


def build_of(own: Mapping[str, bytes]) -> str:
    """A name for these files: twelve hex digits of a digest. version.py of the runtime calculates the same."""
    digest = hashlib.sha256()
    for path, data in sorted(own.items()):
        digest.update(b"%b %d\n%b" % (path.removeprefix(f"{FOLDER}/").encode(), len(data), data))
    return digest.hexdigest()[:12]


def fork_root() -> Traversable:
    """The folder, or the place in a zip file, that holds `patches/` and `litellm/`."""
    return files("patches").parent  # type: ignore[attr-defined,no-any-return]  # pathlib and zipfile both have it


def files_below(root: Traversable, path: str = FOLDER) -> Iterator[str]:
    """All that is in the fork's folder, but for bytecode, which is nobody's."""
    folder = root.joinpath(path)
    for entry in folder.iterdir() if folder.is_dir() else ():
        if not entry.is_dir():
            yield f"{path}/{entry.name}"
        elif entry.name != "__pycache__":
            yield from files_below(root, f"{path}/{entry.name}")


def _is_module(path: str) -> bool:
    name = path.rpartition("/")[2]
    return name.endswith(".py") and name[:-3].isidentifier()
