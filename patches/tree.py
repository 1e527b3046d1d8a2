"""A snapshot of what matters of a target: read once, then everything is decided in memory."""

from __future__ import annotations

import errno
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from patches.catalogue import upstream_files
from patches.disk import is_staged
from patches.errors import PatchError
from patches.locate import Target
from patches.manifest import FOLDER, MANIFEST, Manifest, decode_manifest
from patches.needs import needed_files
from patches.own import files_below, read_fork_version, read_own_files
from patches.record import parse_record
from patches.rights import way_out


@dataclass(frozen=True)
class Tree:
    """`files` holds upstream's files that exist and concern the fork, `folder` what the fork has or had in its own
    folder, both by path relative to the target, with `/`. `own` is what this version of the fork brings.

    `others` are upstream's files that the fork uses and does not change. `manifest` is what some version of the fork
    says it wrote, `problem` why that cannot be read. `record` is RECORD's path, None when no installer left one that
    lists the package. `strangers` are files in the fork's folder that no version named; `leftovers` is what a killed
    run left: temporary files, an empty folder. `links`: of all these, of the folders that they are in and of those with
    their bytecode, the symbolic links.
    """

    target: Target
    fork: str
    own: Mapping[str, bytes]
    files: Mapping[str, bytes]
    others: Mapping[str, bytes]
    folder: Mapping[str, bytes]
    manifest: Manifest | None
    problem: PatchError | None
    record: str | None
    record_data: bytes
    strangers: tuple[str, ...]
    leftovers: tuple[str, ...]
    links: tuple[str, ...] = ()


def read_tree(target: Target, own: Mapping[str, bytes] | None = None, fork: str | None = None) -> Tree:
    """Reads from disk; raises PatchError when a file cannot be read. `own`, `fork`: other ones than the tool's."""
    root, own = target.root, read_own_files() if own is None else own
    manifest, problem = None, None
    try:
        data = read_files(root, [MANIFEST]).get(MANIFEST)
        try:
            manifest = decode_manifest(data) if data is not None else None
        except PatchError as error:
            problem = error
        record = f"{target.dist_info}/RECORD"
        record_data = read_files(root, [record]).get(record, b"")
        is_listed = "litellm/__init__.py" in parse_record(record_data)
        files = read_files(root, [*upstream_files(), *(manifest.patched if manifest else ())])
        named = frozenset([MANIFEST, *own, *(manifest.own if manifest else ())])
        concerned = [*files, *named, *([record] if is_listed else ())]
        leftovers = tuple(_leftovers(root, concerned))
        return Tree(
            target=target,
            fork=fork or read_fork_version(),
            own=own,
            files=files,
            others=read_files(root, [path for path in needed_files() if path not in files]),
            folder=read_files(root, named),
            manifest=manifest,
            problem=problem,
            record=record if is_listed else None,
            record_data=record_data if is_listed else b"",
            strangers=tuple(sorted(set(files_below(root)) - named - {*leftovers})),
            leftovers=leftovers,
            links=tuple(_links(root, concerned)),
        )
    except OSError as error:
        path = Path(error.filename or root)
        raise PatchError(f"{path}: cannot be read ({error.strerror})", way_out(path, error.errno)) from error


def _leftovers(root: Path, paths: Iterable[str]) -> Iterator[str]:
    """Temporary files beside these, and folders of the fork's without a file; bytecode goes with what it is of."""
    names: dict[str, list[str]] = {}
    for folder, _, name in (path.rpartition("/") for path in paths):
        names.setdefault(folder, []).append(name)
    for folder, mine in sorted(names.items()):
        yield from (f"{folder}/{each.name}" for each in (root / folder).glob(".*.tmp") if is_staged(each.name, mine))
    for each in ((root / FOLDER), *(root / FOLDER).rglob("*")):
        if each.name != "__pycache__" and _is_bare(each):
            yield each.relative_to(root).as_posix()


def _links(root: Path, paths: Iterable[str]) -> Iterator[str]:
    named = [PurePosixPath(path) for path in paths]
    around = {each for path in named for each in (path, path.parent / "__pycache__", *path.parents)}
    return (str(each) for each in sorted(around) if (root / each).is_symlink())


def _is_bare(folder: Path) -> bool:
    """Whether it is a folder without a file; what cannot be listed may hold one, and nobody can remove it."""
    try:
        return folder.is_dir() and all(_is_bare(each) for each in folder.iterdir())
    except PermissionError:
        return False


def read_files(root: Path, paths: Iterable[str]) -> dict[str, bytes]:
    """Those that there are. Raises OSError for what cannot be read, such as a folder, or a pipe, which would wait."""
    found = {}
    for path in paths:
        try:
            if not stat.S_ISREG((root / path).stat().st_mode):
                raise OSError(errno.EINVAL, "not a regular file", str(root / path))
            found[path] = (root / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            continue
    return found
