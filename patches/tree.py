"""A snapshot of what matters of a target: read once, then everything is decided in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from patches.catalogue import upstream_files
from patches.errors import PatchError
from patches.locate import Target
from patches.manifest import FOLDER, MANIFEST, Manifest, decode_manifest
from patches.own import read_fork_version, read_own_files, strangers_in
from patches.record import parse_record
from patches.rights import way_out

TEMPORARY_PREFIX = ".redis-session-patch-"


@dataclass(frozen=True)
class Tree:
    """`files` holds upstream's files that exist and concern the fork, `folder` what the fork has or had in its own
    folder, both by path relative to the target, with `/`. `own` is what this version of the fork brings.

    `manifest` is what some version of the fork says it wrote, `problem` why that cannot be read. `record` is RECORD's
    path, None when no installer left one that lists the package. `strangers` are files in the fork's folder that no
    version named; `leftovers` is what a killed run left: temporary files, an empty folder.
    """

    target: Target
    fork: str
    own: Mapping[str, bytes]
    files: Mapping[str, bytes]
    folder: Mapping[str, bytes]
    manifest: Manifest | None
    problem: PatchError | None
    record: str | None
    record_data: bytes
    strangers: tuple[str, ...]
    leftovers: tuple[str, ...]

    @property
    def manifest_data(self) -> bytes | None:
        return self.folder.get(MANIFEST)


def read_tree(target: Target, own: Mapping[str, bytes] | None = None, fork: str | None = None) -> Tree:
    """Reads from disk; raises PatchError when a file cannot be read. `own`, `fork`: other ones than the tool's."""
    own = read_own_files() if own is None else own
    fork = read_fork_version() if fork is None else fork
    try:
        return _read_tree(target, own, fork)
    except OSError as error:
        path = Path(error.filename or target.root)
        raise PatchError(f"{path}: cannot be read ({error.strerror})", way_out(path, error.errno)) from error


def _read_tree(target: Target, own: Mapping[str, bytes], fork: str) -> Tree:
    root = target.root
    manifest, problem = None, None
    data = _read(root, [MANIFEST]).get(MANIFEST)
    try:
        manifest = decode_manifest(data) if data is not None else None
    except PatchError as error:
        problem = error
    record, record_data = _read_record(target)
    files = _read(root, [*upstream_files(), *(manifest.patched if manifest else ())])
    named = frozenset([MANIFEST, *own, *(manifest.own if manifest else ())])
    beside = strangers_in(root, named)
    return Tree(
        target=target,
        fork=fork,
        own=own,
        files=files,
        folder=_read(root, named),
        manifest=manifest,
        problem=problem,
        record=record,
        record_data=record_data,
        strangers=tuple(path for path in beside if not PurePosixPath(path).name.startswith(TEMPORARY_PREFIX)),
        leftovers=tuple(_leftovers(root, [*files, *named, *([record] if record else ())])),
    )


def _leftovers(root: Path, paths: Iterable[str]) -> Iterator[str]:
    """Temporary files beside these, and folders of the fork's without a file; bytecode goes with what it is of."""
    for parent in sorted({PurePosixPath(path).parent for path in paths}):
        yield from (f"{parent}/{path.name}" for path in (root / parent).glob(f"{TEMPORARY_PREFIX}*"))
    for folder in ((root / FOLDER), *(root / FOLDER).rglob("*")):
        if folder.name != "__pycache__" and _is_bare(folder):
            yield folder.relative_to(root).as_posix()


def _is_bare(folder: Path) -> bool:
    """Whether it is a folder without a file; what cannot be listed may hold one, and nobody can remove it."""
    try:
        return folder.is_dir() and all(_is_bare(each) for each in folder.iterdir())
    except PermissionError:
        return False


def _read_record(target: Target) -> tuple[str | None, bytes]:
    """RECORD's path and content, where it lists the package."""
    path = f"{target.dist_info}/RECORD"
    data = _read(target.root, [path]).get(path, b"")
    return (path, data) if "litellm/__init__.py" in parse_record(data) else (None, b"")


def _read(root: Path, paths: Iterable[str]) -> dict[str, bytes]:
    found = {}
    for path in paths:
        try:
            found[path] = (root / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            continue
    return found
