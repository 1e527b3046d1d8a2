"""Carries a plan out: one run at a time, all files written aside first, then renamed in order."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from patches.bytecode import compiled_files, missing_bytecode, remake, remake_later
from patches.disk import Disk
from patches.errors import PatchError
from patches.locate import Target
from patches.plan import Plan, plan_apply, plan_revert
from patches.record import matches, parse_record
from patches.survey import Survey, survey_tree
from patches.tree import read_tree

try:
    import fcntl
except ImportError:  # Windows: no lock on folders there, and no LiteLLM images either
    fcntl = None  # type: ignore[assignment]


def apply_patches(target: Target, own: Mapping[str, bytes] | None = None, disk: Disk | None = None) -> Plan:
    """Puts the fork in and returns what was done; an empty plan when it was in already. Raises
    PatchError."""
    with lock(target):
        plan = plan_apply(survey_tree(read_tree(target, own)))
        carry_out(plan, target, disk or Disk())
        return plan


def revert_patches(target: Target, own: Mapping[str, bytes] | None = None, disk: Disk | None = None) -> Plan:
    """Takes the fork out, proves it against RECORD and returns what was done. Raises PatchError."""
    with lock(target):
        survey = survey_tree(read_tree(target, own))
        plan = plan_revert(survey)
        carry_out(plan, target, disk or Disk())
        prove_reverted(survey)
        return plan


@contextmanager
def lock(target: Target) -> Iterator[None]:
    """One run at a time on a target. The lock is on the package's folder itself, so it leaves
    nothing behind."""
    if fcntl is None:
        yield
        return
    descriptor = os.open(target.root / "litellm", os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise PatchError(
                f"{target.root}: another run of this tool is at work on it",
                "wait for it, then run the command again",
            ) from error
        except OSError:
            pass  # a file system without locks
        yield
    finally:
        os.close(descriptor)


def carry_out(plan: Plan, target: Target, disk: Disk) -> None:
    """Raises PatchError; the sentence says whether the tree is as before or half changed."""
    root = target.root
    if plan.is_empty:
        return
    _require_writable(plan, root)
    staged = _stage(plan, root, disk)
    remakes = [item for step in plan.steps for item in remake_later(root / step.path)]
    try:
        for step, temporary in zip(plan.steps, staged, strict=True):
            path = root / step.path
            for compiled in compiled_files(path):
                disk.remove(compiled)
            if temporary is not None:
                disk.replace(temporary, path)
                continue
            disk.remove(path)
            _remove_empty(path.parent, root, disk)
        for folder in plan.folders:
            _remove_empty(root / folder, root, disk)
        for parent in {(root / step.path).parent for step in plan.steps}:
            disk.sync_folder(parent)
    except OSError as error:
        raise PatchError(
            f"{error.filename}: stopped half-way ({error.strerror})",
            f"python -m patches apply --target {root}, or revert: both mend it",
        ) from error
    for item in dict.fromkeys([*remakes, *missing_bytecode(root, plan.compiled)]):
        if item.source.is_file():
            remake(item)


def _remove_empty(folder: Path, root: Path, disk: Disk) -> None:
    """That folder and those it is in, as far as they are empty: upstream's never are."""
    while folder != root and folder.is_dir():
        disk.remove_folder(folder / "__pycache__")
        if not disk.remove_folder(folder):
            return
        folder = folder.parent


def prove_reverted(survey: Survey) -> None:
    """Reads the files again and compares each with the wheel's own RECORD; raises PatchError on any
    difference."""
    record = survey.tree.record
    root = survey.tree.target.root
    if record is None:
        return
    entries = parse_record((root / record).read_bytes())
    for report in survey.files:
        if matches(entries.get(report.path), (root / report.path).read_bytes()) is False:
            version = survey.tree.target.version
            raise PatchError(
                f"{report.path}: does not match RECORD after the revert",
                f"pip install --force-reinstall --no-deps litellm=={version}",
            )


def _require_writable(plan: Plan, root: Path) -> None:
    for folder in dict.fromkeys((root / step.path).parent for step in plan.steps):
        while not folder.exists():
            folder = folder.parent
        if not os.access(folder, os.W_OK | os.X_OK):
            raise _not_writable(folder, "no permission, or a read-only file system")


def _stage(plan: Plan, root: Path, disk: Disk) -> list[Path | None]:
    """Writes every new content to a temporary file; on failure takes all of them away again."""
    staged: list[Path | None] = []
    made: list[Path] = []
    try:
        for leftover in plan.leftovers:
            disk.remove(root / leftover)
        for step in plan.steps:
            if step.data is None:
                staged.append(None)
                continue
            path = root / step.path
            missing = [folder for folder in path.parents if not folder.exists()]
            for folder in reversed(missing):
                disk.make_folder(folder)
                made.append(folder)
            staged.append(disk.write_beside(path, step.data, _model_for(path)))
    except (OSError, KeyboardInterrupt) as error:
        for temporary in staged:
            if temporary is not None:
                disk.remove(temporary)
        for folder in reversed(made):
            disk.remove_folder(folder)
        if isinstance(error, OSError):
            raise _not_writable(Path(error.filename or root), error.strerror or "failed") from error
        raise
    return staged


def _model_for(path: Path) -> Path:
    """The file whose mode and owner a new content takes: the one it replaces, else a neighbour of
    the package."""
    if path.exists():
        return path
    for folder in path.parents:
        for name in ("__init__.py", "transformation.py", "RECORD"):
            if (folder / name).is_file():
                return folder / name
    return path.parent


def _not_writable(path: Path, reason: str) -> PatchError:
    return PatchError(
        f"{path}: cannot be written ({reason}); the tree is as it was",
        "run the command as the owner of that folder, on a writable file system",
    )
