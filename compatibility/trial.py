"""One release through the whole way: check, apply, compile, apply again, revert, proof."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from compatibility.proof import changed_files, stats_of, unlike_record, unpack, wheel_files, wheel_record
from compatibility.tool import Tool, ToolRefused, open_tool

EXACT, UNFIT, DAMAGED, ABSENT, REFUSED = "exact", "does not fit", "damaged", "not had", "refused"
_MARK = b"# >>> PATCH "


@dataclass(frozen=True)
class Trial:
    """How a release fared.

    state: EXACT (all steps held), UNFIT (refused, and nothing was written), DAMAGED (a step after
        that failed), ABSENT (no wheel), REFUSED (withdrawn).
    problem: sentences, "" where there is none.
    seconds: each step's, by its name; `files`: how many were compared with RECORD after the revert;
    `edits`: blocks put into upstream's files; `edited` and `added`: paths, RECORD left out.
    """

    version: str
    state: str
    problem: str = ""
    through: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)
    files: int = 0
    edits: int = 0
    edited: tuple[str, ...] = ()
    added: tuple[str, ...] = ()

    @property
    def total_seconds(self) -> float:
        return sum(self.seconds.values())


class StepFailed(Exception):
    """A step did not do what it promises; the sentence says which file shows it."""


def try_release(wheel: Path, version: str, through: str, own: Mapping[str, bytes]) -> Trial:
    """Unpacks into a temporary folder, which is gone afterwards. `through` is `API` or `command`."""
    with tempfile.TemporaryDirectory(prefix=f"matrix-{version}-") as folder:
        root = Path(folder)
        trial = Trial(version, EXACT, through=through, seconds={})
        with _timed(trial, "unpack"):
            unpack(wheel, root)
        try:
            return _run_steps(trial, wheel, root, open_tool(through, root, own))
        except ToolRefused as error:
            wrong = unlike_record(root, wheel_record(wheel)[1])
            if wrong:
                return replace(trial, state=DAMAGED, problem=f"{error}; and it wrote {_some(wrong)}")
            return replace(trial, state=UNFIT, problem=str(error))
        except StepFailed as error:
            return replace(trial, state=DAMAGED, problem=str(error))
        except Exception as error:  # a crash of the tool is a result of this row, not of the run
            return replace(trial, state=DAMAGED, problem=f"crashed with {type(error).__name__}: {error}")


def _run_steps(trial: Trial, wheel: Path, root: Path, tool: Tool) -> Trial:
    before = stats_of(root)
    with _timed(trial, "check"):
        tool.check()
    _expect_no_change("check", before, root)
    with _timed(trial, "apply"):
        if not tool.apply():
            raise StepFailed("apply says that there was nothing to do")
    patched = stats_of(root)
    touched = tuple(path for path in changed_files(before, patched) if (root / path).is_file())
    with _timed(trial, "compile"):
        edits = _compile(root, touched, before)
    _expect_right_record(root, touched)
    texts = {path: (root / path).read_bytes() for path in touched}
    with _timed(trial, "apply again"):
        if tool.apply():
            raise StepFailed("the second apply says that it wrote something")
    _expect_no_change("the second apply", patched, root)
    if any((root / path).read_bytes() != data for path, data in texts.items()):
        raise StepFailed("the second apply changed the bytes of a file")
    with _timed(trial, "revert"):
        tool.revert()
    with _timed(trial, "prove"):
        files = _prove(wheel, root, before)
    inside = tuple(path for path in touched if path.startswith("litellm/"))
    return replace(
        trial,
        files=files,
        edits=edits,
        edited=tuple(path for path in inside if path in before),
        added=tuple(path for path in inside if path not in before),
    )


def _compile(root: Path, touched: tuple[str, ...], before: Mapping[str, object]) -> int:
    """Returns how many blocks are in upstream's files; every one of those must have at least one."""
    edits = 0
    for path in touched:
        if not path.endswith(".py"):
            continue
        data = (root / path).read_bytes()
        try:
            compile(data, path, "exec", dont_inherit=True)
        except (SyntaxError, ValueError) as error:
            raise StepFailed(f"{path} does not compile after apply: {error}") from error
        blocks = data.count(_MARK)
        if path in before and not blocks:
            raise StepFailed(f"{path} was changed without a marked block")
        edits += blocks if path in before else 0
    if not edits:
        raise StepFailed("apply put no block into any of upstream's files")
    return edits


def _expect_right_record(root: Path, touched: tuple[str, ...]) -> None:
    """What apply wrote must be listed, or an uninstall would leave it behind."""
    (record,) = root.glob("*.dist-info/RECORD")
    wrong = unlike_record(root, record.read_bytes(), touched)
    if wrong:
        raise StepFailed(f"after apply RECORD is wrong about {_some(wrong)}")


def _expect_no_change(step: str, before: Mapping[str, object], root: Path) -> None:
    changed = changed_files(before, stats_of(root))  # type: ignore[arg-type]
    if changed:
        raise StepFailed(f"{step} wrote {_some(changed)}")


def _prove(wheel: Path, root: Path, before: Mapping[str, object]) -> int:
    """Returns how many files were compared."""
    name, record = wheel_record(wheel)
    after = stats_of(root)
    present = {path for path in after if (root / path).is_file()}
    if wrong := sorted(present ^ wheel_files(wheel)):
        raise StepFailed(f"after the revert these files are too many or missing: {_some(wrong)}")
    if wrong := sorted({*before} ^ {*after}):
        raise StepFailed(f"after the revert these folders are too many or missing: {_some(wrong)}")
    if (root / name).read_bytes() != record:
        raise StepFailed("after the revert RECORD is not the wheel's")
    if wrong := unlike_record(root, record, present):
        raise StepFailed(f"after the revert these files are not the wheel's: {_some(wrong)}")
    modes = [path for path, stat in after.items() if stat.mode != before[path].mode]  # type: ignore[attr-defined]
    if modes:
        raise StepFailed(f"after the revert these files have another mode: {_some(modes)}")
    return len(present)


def _some(paths: tuple[str, ...] | list[str]) -> str:
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return ", ".join(paths[:3]) + more


@contextmanager
def _timed(trial: Trial, step: str) -> Iterator[None]:
    started = time.monotonic()
    try:
        yield
    finally:
        trial.seconds[step] = round(time.monotonic() - started, 3)  # type: ignore[index]
