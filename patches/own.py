"""The fork's own files: those that its inserted lines reach, and what else lies in its folder."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from zipfile import Path as ZipPath

from patches.catalogue import PATCHES
from patches.errors import PatchError
from patches.manifest import FOLDER, MANIFEST
from patches.places import RUNTIME

Traversable = Path | ZipPath


def read_own_files(root: Traversable | None = None) -> dict[str, bytes]:
    """By path below the target. A file in the folder that nothing imports is not the fork's: it is left out.

    `root` holds `litellm/`; it is where this tool is, be that a folder or a zip file.
    """
    root = root or fork_root()
    folder = root.joinpath(FOLDER)
    found: dict[str, bytes] = {}
    entries = _entries()
    waiting = [*entries]
    while waiting:
        name = waiting.pop()
        path, file = f"{FOLDER}/{_file(name)}", folder.joinpath(_file(name))
        if path not in found and file.is_file():
            found[path] = file.read_bytes()
            waiting.extend(_imports_of(name, found[path]))
    if missing := [_file(name) for name in entries if f"{FOLDER}/{_file(name)}" not in found]:
        raise PatchError(f"{folder.joinpath(missing[0])}: the fork's own file is missing", "copy the whole fork")
    return dict(sorted(found.items()))


def read_fork_version(root: Traversable | None = None) -> str:
    """What version.py says, without running it. Raises PatchError."""
    try:
        tree = ast.parse((root or fork_root()).joinpath(f"{FOLDER}/version.py").read_bytes())
    except (OSError, SyntaxError) as error:
        raise PatchError(f"{FOLDER}/version.py: the fork's own file is missing", "copy the whole fork") from error
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "FORK_VERSION":
            return str(ast.literal_eval(node.value))
    raise PatchError(f"{FOLDER}/version.py: has no FORK_VERSION")


def strangers_in(root: Traversable, own: frozenset[str]) -> tuple[str, ...]:
    """Paths in the fork's folder that are neither its own nor its manifest; bytecode is nobody's."""
    folder = root.joinpath(FOLDER)
    return tuple(sorted(path for path in _walk(folder, FOLDER) if path not in own and path != MANIFEST))


def fork_root() -> Traversable:
    """The folder, or the place in a zip file, that holds `patches/` and `litellm/`."""
    return files("patches").parent  # type: ignore[attr-defined,no-any-return]  # pathlib and zipfile both have it


def _entries() -> tuple[str, ...]:
    """The modules that the inserted lines import, and the one that this tool reads."""
    lines = [line for patch in PATCHES for edit in patch.edits for line in (edit.helper, *edit.lines)]
    return (*sorted({name for line in lines for name in re.findall(rf"\b{RUNTIME}\.([\w.]+)", line)}), "version")


def _walk(folder: Traversable, prefix: str) -> Iterator[str]:
    if not folder.is_dir():
        return
    for entry in folder.iterdir():
        if not entry.is_dir():
            yield f"{prefix}/{entry.name}"
        elif entry.name != "__pycache__":
            yield from _walk(entry, f"{prefix}/{entry.name}")


def _file(name: str) -> str:
    return f"{name.replace('.', '/')}.py"


def _imports_of(name: str, data: bytes) -> Iterator[str]:
    """What the module `name` of the folder imports from it, each as `floor.module`; names that are none are let in."""
    floors = name.split(".")
    for node in ast.walk(ast.parse(data)):
        if not isinstance(node, ast.ImportFrom):
            continue
        if node.level and node.level <= len(floors):
            base = [*floors[: len(floors) - node.level], *filter(None, [node.module])]
        elif f"{node.module}.".startswith(f"{RUNTIME}."):
            base = [*filter(None, [str(node.module)[len(RUNTIME) + 1 :]])]
        else:
            continue
        yield ".".join(base)
        yield from (".".join([*base, alias.name]) for alias in node.names)
