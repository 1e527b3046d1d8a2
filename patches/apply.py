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
from patches.manifest import FOLDER, MANIFEST
from patches.plan import Plan, Step, plan_apply, plan_revert
from patches.record import matches, parse_record
from patches.rights import not_writable, obstacle_to, way_out
from patches.survey import Survey, look_at


@dataclass(frozen=True)
class Done:
    """What was written and removed. `unproved`: restored files of which nothing but the fork's own note says what
    upstream's were; `proved` counts those that RECORD vouches for. `kept`: folders with bytecode that this user could
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
) -> Done:
    """Puts the fork in; the plan is empty when it was in already. Raises PatchError."""
    with locked(target, wait_seconds):
        survey = look_at(target, own, fork)
        plan = plan_apply(survey)
        return Done(plan, survey, carry_out(plan, target, disk or Disk()))


def revert_patches(
    target: Target, own: Mapping[str, bytes] | None = None, disk: Disk | None = None, wait_seconds: float = WAIT_SECONDS
) -> Done:
    """Takes the fork out, whichever version it is, and proves it. Raises PatchError."""
    with locked(target, wait_seconds):
        survey = look_at(target, own)
        plan = plan_revert(survey)
        return prove_reverted(Done(plan, survey, carry_out(plan, target, disk or Disk())))


def carry_out(plan: Plan, target: Target, disk: Disk) -> tuple[str, ...]:
    """Returns the folders where stale bytecode stays, which Python does not use. Raises PatchError: then all that was
    written is put back, or, where that fails too, the exit code is HALF_WAY."""
    root = target.root
    if plan.is_empty:
        return ()
    require_writable(plan, root)
    done: list[Step] = []
    try:
        for path in [*_leftover_files(plan, root), *_unchecked_bytecode(plan, root)]:
            disk.remove(path)
        return _take(plan.steps, root, disk, done)
    except OSError as error:
        path = Path(error.filename2 or error.filename or root)
        reason = error.strerror or "failed"
        try:
            _take([*reversed(done)], root, disk, [])
        except OSError:
            raise PatchError(
                f"{path}: stopped half-way ({reason})",
                f"once it can be written: python -m patches revert --target {root} takes all out, apply puts all in",
                exit_code=HALF_WAY,
            ) from error
        raise not_writable(path, reason, error.errno) from error


def require_writable(plan: Plan, root: Path) -> None:
    """Raises PatchError for the first path that the plan changes and this user may not."""
    for path in [root / step.path for step in plan.steps] + _leftover_files(plan, root):
        if obstacle := obstacle_to(path):
            raise obstacle
    for compiled in _unchecked_bytecode(plan, root):
        if obstacle := obstacle_to(compiled):
            sentence = f"{compiled}: cannot be removed, and Python may go on using it; the tree is as it was"
            raise PatchError(sentence, obstacle.next_step)


def _leftover_files(plan: Plan, root: Path) -> list[Path]:
    return [root / path for path in plan.leftovers if not (root / path).is_dir()]


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


def prove_reverted(done: Done) -> Done:
    """Reads everything again: restored files are upstream's, what was removed is gone. Raises PatchError."""
    survey, tree, root = done.survey, done.survey.tree, done.survey.tree.target.root
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
