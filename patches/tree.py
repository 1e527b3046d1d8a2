"""A snapshot of what matters of a target: read once, then everything is decided in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from patches.catalogue import upstream_files
from patches.errors import PatchError
from patches.first_edition import SAVED_RECORD, manifest_of_first_edition
from patches.locate import Target
from patches.manifest import FOLDER, MANIFEST, Manifest, decode_manifest
from patches.own import read_fork_version, read_own_files, strangers_in
from patches.record import parse_record

TEMPORARY_PREFIX = ".redis-session-patch-"


@dataclass(frozen=True)
class Tree:
    """`files` holds upstream's files that exist and concern the fork, `folder` what is in the fork's folder, both by
    path relative to the target, with `/`. `own` is what this version of the fork brings.

    `manifest` is what some version of the fork says it wrote; `is_inferred` where no file says so and it was worked
    out. `record` is RECORD's path, None when no installer left one that lists the package. `strangers` are files in
    the fork's folder that no version named; `leftovers` is what a killed run left: temporary files, an empty folder.
    """

    target: Target
    fork: str
    own: Mapping[str, bytes]
    files: Mapping[str, bytes]
    folder: Mapping[str, bytes]
    manifest: Manifest | None
    is_inferred: bool
    problem: PatchError | None
    record: str | None
    record_data: bytes
    saved_record: str | None
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
        raise PatchError(f"{error.filename}: cannot be read ({error.strerror})") from error


def _read_tree(target: Target, own: Mapping[str, bytes], fork: str) -> Tree:
    root = target.root
    record, record_data, saved = _read_records(target)
    here = strangers_in(root, frozenset())
    folder = _read(root, [MANIFEST, *(path for path in here if path in own or path.endswith(".py"))])
    manifest, problem = None, None
    if MANIFEST in folder:
        try:
            manifest = decode_manifest(folder[MANIFEST])
        except PatchError as error:
            problem = error
    files = _read(root, [*upstream_files(), *(manifest.patched if manifest else ())])
    is_inferred = MANIFEST not in folder
    if is_inferred:
        saved_data = _read(root, [saved])[saved] if saved else None
        manifest = manifest_of_first_edition(files, folder, own, record_data, saved_data)
    named = {*own, *(manifest.own if manifest else ())}
    folder.update(_read(root, [path for path in here if path in named and path not in folder]))
    strangers = tuple(path for path in here if path not in named and not _is_temporary(path))
    concerned = [*files, MANIFEST, *named, *([record] if record else ())]
    leftovers = [
        f"{parent}/{path.name}"
        for parent in sorted({str(PurePosixPath(path).parent) for path in concerned})
        for path in (root / parent).glob(f"{TEMPORARY_PREFIX}*")
    ]
    leftovers += _empty_folders(root)
    return Tree(
        target, fork, own, files, folder, manifest, is_inferred, problem, record, record_data, saved, strangers,
        tuple(leftovers),
    )  # fmt: skip


def _empty_folders(root: Path) -> Iterator[str]:
    """Of the fork's folder and those in it; bytecode folders go with the others."""
    for folder in ((root / FOLDER), *(root / FOLDER).rglob("*")):
        if (
            folder.is_dir()
            and folder.name != "__pycache__"
            and not any(not each.is_dir() for each in folder.rglob("*"))
        ):
            yield folder.relative_to(root).as_posix()


def _is_temporary(path: str) -> bool:
    return PurePosixPath(path).name.startswith(TEMPORARY_PREFIX)


def _read_records(target: Target) -> tuple[str | None, bytes, str | None]:
    """(RECORD's path, its content, the path of the copy that the first edition kept)."""
    if target.dist_info is None:
        return None, b"", None
    record, saved = f"{target.dist_info}/RECORD", f"{target.dist_info}/{SAVED_RECORD}"
    found = _read(target.root, [record])
    if record not in found or "litellm/__init__.py" not in parse_record(found[record]):
        return None, b"", None
    return record, found[record], saved if (target.root / saved).is_file() else None


def _read(root: Path, paths: Iterable[str]) -> dict[str, bytes]:
    found = {}
    for path in paths:
        try:
            found[path] = (root / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            continue
    return found
