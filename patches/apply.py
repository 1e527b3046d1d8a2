"""Carries a plan out: all files written aside first, then renamed in order; and proves what was done."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from patches.disk import Disk
from patches.errors import HALF_WAY, PatchError
from patches.locate import Target
from patches.lock import WAIT_SECONDS, locked
from patches.manifest import FOLDER, MANIFEST
from patches.plan import Plan, plan_apply, plan_revert
from patches.record import matches, parse_record
from patches.survey import Survey, look_at


@dataclass(frozen=True)
class Done:
    """What was written and removed. `unproved`: restored files of which nothing but the fork's own note says what
    upstream's were; `proved` counts those that RECORD vouches for."""

    plan: Plan
    survey: Survey
    proved: int = 0
    unproved: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        return self.plan.is_empty


def apply_patches(
    target: Target,
    own: Mapping[str, bytes] | None = None,
    disk: Disk | None = None,
    wait_seconds: float = WAIT_SECONDS,
    fork: str | None = None,
) -> Done:
    """Puts the fork in; the plan is empty when it was in already. Raises PatchError."""
    with locked(target, wait_seconds):
        survey = look_at(target, own, fork)
        plan = plan_apply(survey)
        carry_out(plan, target, disk or Disk())
        return Done(plan, survey)


def revert_patches(
    target: Target, own: Mapping[str, bytes] | None = None, disk: Disk | None = None, wait_seconds: float = WAIT_SECONDS
) -> Done:
    """Takes the fork out, whichever version it is, and proves it. Raises PatchError."""
    with locked(target, wait_seconds):
        survey = look_at(target, own)
        plan = plan_revert(survey)
        carry_out(plan, target, disk or Disk())
        return prove_reverted(plan, survey)


def carry_out(plan: Plan, target: Target, disk: Disk) -> None:
    """Raises PatchError; the sentence says whether the tree is as before or half changed."""
    root = target.root
    if plan.is_empty:
        return
    require_writable(plan, root)
    staged = _stage(plan, root, disk)
    try:
        for step, temporary in zip(plan.steps, staged, strict=True):
            path = root / step.path
            for compiled in _compiled_files(path):
                disk.remove(compiled)
            if temporary is not None:
                disk.replace(temporary, path)
            else:
                disk.remove(path)
        _remove_empty(root / FOLDER, disk)
        for parent in {(root / step.path).parent for step in plan.steps}:
            disk.sync_folder(parent)
    except OSError as error:
        raise PatchError(
            f"{error.filename}: stopped half-way ({error.strerror})",
            f"python -m patches apply --target {root}, or revert: both mend it",
            exit_code=HALF_WAY,
        ) from error


def require_writable(plan: Plan, root: Path) -> None:
    """Raises PatchError for the first folder that the plan changes and this user may not."""
    for folder in dict.fromkeys(
        (root / path).parent for path in [*(step.path for step in plan.steps), *plan.leftovers]
    ):
        while not folder.exists():
            folder = folder.parent
        if not os.access(folder, os.W_OK | os.X_OK):
            raise _not_writable(folder, "no permission, or a read-only file system")


def prove_reverted(plan: Plan, survey: Survey) -> Done:
    """Reads everything again: restored files are upstream's, what was removed is gone. Raises PatchError."""
    tree, root = survey.tree, survey.tree.target.root
    entries = parse_record((root / tree.record).read_bytes()) if tree.record else {}
    proved, unproved = 0, []
    for report in survey.files:
        data = (root / report.path).read_bytes()
        is_upstreams = matches(entries.get(report.path), data)
        if is_upstreams is False or data != report.pristine:
            raise PatchError(
                f"{report.path}: does not match RECORD after the revert",
                f"pip install --force-reinstall --no-deps litellm=={tree.target.version}",
            )
        proved += is_upstreams is True
        if is_upstreams is None and report.current != report.pristine:
            unproved.append(report.path)
    gone = [MANIFEST, *(report.path for report in survey.own_files)]
    left = [path for path in gone if path in entries or os.path.lexists(root / path)]
    if left:
        raise PatchError(f"{left[0]}: is still there, or in RECORD, after the revert", "python -m patches revert")
    return Done(plan, survey, proved, tuple(unproved))


def _compiled_files(source: Path) -> tuple[Path, ...]:
    """Every compiled form of one module, of all Python versions: Python does not notice all that are stale."""
    if source.suffix != ".py":
        return ()
    pattern = re.compile(re.escape(source.stem) + r"\.[^.]+(\.opt-[^.]+)?\.pyc")
    return tuple(sorted(path for path in (source.parent / "__pycache__").glob("*.pyc") if pattern.fullmatch(path.name)))


def _remove_empty(folder: Path, disk: Disk) -> None:
    """The fork's folder and those in it, as far as they are empty."""
    for inner in sorted((each for each in folder.rglob("*") if each.is_dir()), reverse=True):
        disk.remove_folder(inner)
    if folder.is_dir():
        disk.remove_folder(folder)


def _stage(plan: Plan, root: Path, disk: Disk) -> list[Path | None]:
    """Writes every new content to a temporary file; on failure takes all of them away again."""
    staged: list[Path | None] = []
    made: list[Path] = []
    try:
        for leftover in plan.leftovers:
            if not (root / leftover).is_dir():
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
            raise _not_writable(Path(error.filename or root), error.strerror or "failed", error.errno) from error
        raise
    return staged


def _model_for(path: Path) -> Path:
    """The file whose mode and owner a new content takes: the one it replaces, else a neighbour of the package."""
    if path.exists():
        return path
    for folder in path.parents:
        for name in ("__init__.py", "transformation.py", "RECORD"):
            if (folder / name).is_file():
                return folder / name
    return path.parent


def _not_writable(path: Path, reason: str, number: int | None = None) -> PatchError:
    if number in (errno.ENOSPC, errno.EDQUOT):
        way_out = "make room on that disk, then run the command again"
    else:
        way_out = "run the command as the owner of that folder, on a writable file system"
    return PatchError(f"{path}: cannot be written ({reason}); the tree is as it was", way_out)
