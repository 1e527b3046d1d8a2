"""A snapshot of the parts of a target that matter here: read once, then everything is decided in
memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from patches.catalogue import upstream_files
from patches.errors import PatchError
from patches.locate import Target
from patches.record import parse_record

SAVED_RECORD = "RECORD.redis-session-patch"
TEMPORARY_PREFIX = ".redis-session-patch-"
_OWN_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Tree:
    """`files` holds what exists, by path relative to the target, with `/`; `own` is what the fork
    brings.

    `record` and `saved_record` are paths, or None when no installer left a RECORD that lists the
    package. `leftovers` are temporary files of a run that was killed, `own_folders` those of our
    folders that exist, deepest first, and `empty_folders` those of them that hold no file.
    """

    target: Target
    files: Mapping[str, bytes]
    own: Mapping[str, bytes]
    record: str | None
    leftovers: tuple[str, ...]
    own_folders: tuple[str, ...]
    empty_folders: tuple[str, ...]

    @property
    def saved_record(self) -> str | None:
        """The pristine RECORD, kept beside the patched one."""
        return str(PurePosixPath(self.record).with_name(SAVED_RECORD)) if self.record else None


def read_own_files(root: Path = _OWN_ROOT) -> dict[str, bytes]:
    """The fork's own files below `root/litellm`, by path relative to `root`."""
    files = {}
    for path in sorted((root / "litellm").rglob("*")):
        parts = path.relative_to(root).parts
        if path.is_file() and "__pycache__" not in parts and not any(part.startswith(".") for part in parts):
            files["/".join(parts)] = path.read_bytes()
    if not files:
        raise PatchError(
            f"{root}: the fork's own files are missing (expected {root}/litellm)",
            "copy the whole fork",
        )
    return files


def read_tree(target: Target, own: Mapping[str, bytes] | None = None) -> Tree:
    """Reads from disk; raises PatchError when a file cannot be read."""
    own = read_own_files() if own is None else own
    try:
        files = _read(target.root, [*upstream_files(), *own])
        record, recorded = _read_records(target)
        files.update(recorded)
        older = _recorded_changes(recorded)
        files.update(_read(target.root, older))
    except OSError as error:
        raise PatchError(f"{error.filename}: cannot be read ({error.strerror})") from error
    own_folders = tuple(folder for folder in folders_of([*own, *older]) if (target.root / folder).is_dir())
    empty = tuple(folder for folder in own_folders if not _holds_files(target.root / folder))
    folders = {*(str(PurePosixPath(path).parent) for path in files), *own_folders}
    leftovers = [
        f"{folder}/{path.name}"
        for folder in sorted(folders)
        for path in (target.root / folder).glob(f"{TEMPORARY_PREFIX}*")
    ]
    return Tree(target, files, own, record, tuple(leftovers), own_folders, empty)


def folders_of(paths: Iterable[str]) -> tuple[str, ...]:
    """The folders that only the fork has: parents of its files that are no parents of upstream's.
    Deepest first."""
    upstream = {parent for path in upstream_files() for parent in PurePosixPath(path).parents}
    inside = (path for path in paths if path.startswith("litellm/"))
    ours = {parent for path in inside for parent in PurePosixPath(path).parents} - upstream
    return tuple(sorted(map(str, ours), key=lambda folder: (-folder.count("/"), folder)))


def _holds_files(folder: Path) -> bool:
    return any(not path.is_dir() for path in folder.rglob("*"))


def _read_records(target: Target) -> tuple[str | None, dict[str, bytes]]:
    if target.dist_info is None:
        return None, {}
    record, saved = f"{target.dist_info}/RECORD", f"{target.dist_info}/{SAVED_RECORD}"
    found = _read(target.root, [record, saved])
    lists_package = record in found and "litellm/__init__.py" in parse_record(found[record])
    return (record, found) if lists_package else (None, {})


def _recorded_changes(records: Mapping[str, bytes]) -> list[str]:
    """Paths that an earlier version of the fork changed or added: where the two RECORDs differ."""
    if len(records) < 2:
        return []
    now, before = (parse_record(data) for data in records.values())
    paths = (path for path, entry in now.items() if before.get(path) != entry)
    return [path for path in paths if path.startswith("litellm/")]


def _read(root: Path, paths: Iterable[str]) -> dict[str, bytes]:
    found = {}
    for path in paths:
        try:
            found[path] = (root / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            continue
    return found
