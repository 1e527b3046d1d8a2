"""Carries a plan out: all files written aside first, then renamed in order, or put back; and proves what was done."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from patches.bytecode import cache_of, compiled_files, is_checked, recorded_times
from patches.disk import Disk
from patches.errors import HALF_WAY, PatchError
from patches.locate import Target
from patches.lock import WAIT_SECONDS, locked
from patches.manifest import FOLDER
from patches.plan import Plan, Step, plan_apply, plan_revert
from patches.record import matches, parse_record
from patches.rights import not_writable, obstacle_to, way_out
from patches.survey import Survey, look_at
from patches.tree import read_files


@dataclass(frozen=True)
class Done:
    """What was written and removed. `proved` counts the files that RECORD vouches for; `unproved`: restored ones of
    which nothing but the fork's own note says what upstream's were. `kept`: folders with bytecode that this user could
    not remove; Python does not use it."""

    plan: Plan
    survey: Survey
    kept: tuple[str, ...]
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
    accept_untried: bool = True,
) -> Done:
    """Puts the fork in, and proves it; the plan is empty when it was in already. Raises PatchError, also (exit code
    UNTRIED) for a release that was never tried where that is not accepted."""
    with locked(target, wait_seconds):
        survey = look_at(target, own, fork)
        plan = plan_apply(survey, accept_untried)
        return _prove(Done(plan, survey, carry_out(plan, target, disk or Disk())), "apply")


def revert_patches(
    target: Target, own: Mapping[str, bytes] | None = None, disk: Disk | None = None, wait_seconds: float = WAIT_SECONDS
) -> Done:
    """Takes the fork out, whichever version it is, and proves it. Raises PatchError."""
    with locked(target, wait_seconds):
        survey = look_at(target, own)
        plan = plan_revert(survey)
        return _prove(Done(plan, survey, carry_out(plan, target, disk or Disk())), "revert")


def carry_out(plan: Plan, target: Target, disk: Disk) -> tuple[str, ...]:
    """Returns the folders where stale bytecode stays, which Python does not use. Raises PatchError: then all that was
    written is put back, or, where that fails too, the exit code is HALF_WAY."""
    root = target.root
    if plan.is_empty:
        return ()
    first = require_writable(plan, root)
    done: list[Step] = []
    try:
        for path in first:
            disk.remove(path)
        return _take(plan.steps, root, disk, done)
    except OSError as error:
        path = Path(error.filename2 or error.filename or root)
        reason = error.strerror or "failed"
        try:
            _take([*reversed(done)], root, disk, [])
        except OSError:
            later = f"python -m patches revert --target {root} takes all out, apply puts all in"
            sentence, next_step = f"{path}: stopped half-way ({reason})", f"once it can be written: {later}"
            raise PatchError(sentence, next_step, exit_code=HALF_WAY) from error
        raise not_writable(path, reason, error.errno) from error


def require_writable(plan: Plan, root: Path) -> list[Path]:
    """What is to be removed before the steps. Raises PatchError for the first path that this user may not change."""
    leftovers = [root / path for path in plan.leftovers if not (root / path).is_dir()]
    for path in [root / step.path for step in plan.steps] + leftovers:
        if obstacle := obstacle_to(path):
            raise obstacle
    unchecked = _unchecked_bytecode(plan, root)
    for compiled in unchecked:
        if obstacle := obstacle_to(compiled):
            sentence = f"{compiled}: cannot be removed, and Python may go on using it; the tree is as it was"
            raise PatchError(sentence, obstacle.next_step)
    return leftovers + unchecked


def _unchecked_bytecode(plan: Plan, root: Path) -> list[Path]:
    """What Python would go on using when its source is another one. Raises PatchError where nobody can know."""
    found: list[Path] = []
    for source in dict.fromkeys(root / step.path for step in plan.steps if step.data is not None):
        try:
            found += [compiled for compiled in compiled_files(source) if not is_checked(compiled)]
        except OSError as error:
            cache = cache_of(source)
            sentence = f"{cache}: cannot be read, and Python may go on using what is in it; the tree is as it was"
            raise PatchError(sentence, way_out(cache, error.errno)) from error
    return found


def _take(steps: Sequence[Step], root: Path, disk: Disk, done: list[Step]) -> tuple[str, ...]:
    """Writes all new contents aside, then takes the steps; `done` gets the way back, in the same order. Returns the
    folders with bytecode that cannot be removed."""
    staged: list[Path | None] = []
    kept = []
    try:
        for step in steps:
            staged.append(_stage(step, root, disk))
        for step, temporary in zip(steps, staged, strict=True):
            path = root / step.path
            before = path.read_bytes() if path.exists() else None
            try:
                for compiled in compiled_files(path):
                    disk.remove(compiled)
            except OSError:
                kept.append(cache_of(path).relative_to(root).as_posix())
            if temporary is not None:
                disk.replace(temporary, path)
            else:
                disk.remove(path)
            done.append(Step(step.path, before))
    finally:
        for temporary in staged[len(done) :]:
            with suppress(OSError):
                if temporary is not None:
                    disk.remove(temporary)
        _remove_empty(root / FOLDER, disk)
    for folder in {(root / step.path).parent for step in steps}:
        with suppress(OSError):
            disk.sync_folder(folder)
    return tuple(dict.fromkeys(kept))


def _prove(done: Done, command: str) -> Done:
    """Reads everything again, and compares it with what was meant and with RECORD. Raises PatchError."""
    survey, tree = done.survey, done.survey.tree
    try:
        found = read_files(tree.target.root, [report.path for report in survey.all_files])
    except OSError as error:
        sentence = f"{error.filename}: cannot be read after the {command} ({error.strerror})"
        raise PatchError(sentence, "python -m patches status", exit_code=HALF_WAY) from error
    entries = parse_record(found.get(tree.record or "", b""))
    proved, unproved = 0, []
    for report in survey.all_files:
        data = found.get(report.path)
        is_right = matches(entries.get(report.path), data) if data is not None else report.path not in entries
        if is_right is False or data != (report.wanted if command == "apply" else report.pristine):
            sentence = f"{report.path}: is not what it should be after the {command}, or RECORD says otherwise"
            raise PatchError(sentence, f"python -m patches status; or: {tree.target.reinstall}", exit_code=HALF_WAY)
        proved += data is not None and is_right is True
        if command == "revert" and is_right is None and report in survey.files and report.current != data:
            unproved.append(report.path)
    return replace(done, proved=proved, unproved=tuple(unproved))


def _remove_empty(folder: Path, disk: Disk) -> None:
    """The fork's folder and those in it, as far as they are empty."""
    for each, _, _ in os.walk(folder, topdown=False):
        with suppress(OSError):
            disk.remove_folder(Path(each))


def _stage(step: Step, root: Path, disk: Disk) -> Path | None:
    """The temporary file with the new content, where the step has one."""
    if step.data is None:
        return None
    path = root / step.path
    for folder in reversed([folder for folder in path.parents if not folder.exists()]):
        disk.make_folder(folder)
    return disk.write_beside(path, step.data, _model_for(path), recorded_times(path))


def _model_for(path: Path) -> Path:
    """The file whose mode and owner a new content takes: the one it replaces, else a neighbour of the package."""
    if path.exists():
        return path
    for folder in path.parents:
        for name in ("__init__.py", "transformation.py", "RECORD"):
            if (folder / name).is_file():
                return folder / name
    return path.parent
