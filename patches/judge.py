"""What state one file is in.

A patched file is trusted for one of two reasons. With a RECORD: taking the blocks out gives the
text whose hash the pristine RECORD holds. Without one (a git checkout): every block says exactly
what this catalogue would say. The pristine RECORD itself is trusted because the hashes of the files
vouch for it and it for them.
"""

from __future__ import annotations

from dataclasses import dataclass

from patches.blocks import read_blocks
from patches.edits import known_blocks
from patches.evidence import Evidence
from patches.record import matches, rewrite_record
from patches.tree import Tree


@dataclass(frozen=True)
class FileReport:
    """`state` is pristine, absent, patched, outdated (by another version of the fork), partial or
    edited.

    `pristine` and `wanted` are the contents after revert and after apply; None means that the file
    is absent.
    """

    path: str
    state: str
    current: bytes | None
    pristine: bytes | None
    wanted: bytes | None
    problem: str = ""


def judge_file(
    path: str,
    current: bytes,
    pristine: bytes | None,
    planned: bytes | None,
    damage: str,
    evidence: Evidence,
) -> FileReport:
    wanted = pristine if planned is None else planned
    if pristine is None:
        return FileReport(path, "edited", current, None, None, damage)
    if evidence.disproves(path, current, pristine, wanted):
        problem = "does not match RECORD" if current == pristine else "does not match RECORD outside the patch's blocks"
        return FileReport(path, "edited", current, pristine, wanted, problem)
    if current == planned:
        return FileReport(path, "patched", current, pristine, wanted)
    if current == pristine:
        return FileReport(path, "pristine", current, pristine, wanted)
    if evidence.has_saved and matches(evidence.now.get(path), current):
        return FileReport(path, "outdated", current, pristine, wanted)
    if all(block in known_blocks(path) for block in read_blocks(current)):
        return FileReport(path, "partial", current, pristine, wanted)
    problem = "holds a patch block that was changed by hand or comes from another version of the fork"
    return FileReport(path, "edited", current, pristine, wanted, problem)


def judge_own(tree: Tree, path: str, evidence: Evidence) -> FileReport:
    current, wanted = tree.files.get(path), tree.own.get(path)
    if path in evidence.before:
        return FileReport(
            path,
            "edited",
            current,
            current,
            wanted,
            "is upstream's, and the fork has one of that name",
        )
    if current is None:
        return FileReport(path, "absent", None, None, wanted)
    if current == wanted:
        return FileReport(path, "patched", current, None, wanted)
    if matches(evidence.now.get(path), current):
        return FileReport(path, "outdated", current, None, wanted)
    return FileReport(path, "edited", current, None, wanted, "is not the fork's file of that name")


def judge_records(
    tree: Tree, evidence: Evidence, files: tuple[FileReport, ...], own: tuple[FileReport, ...]
) -> tuple[FileReport, ...]:
    if tree.record is None or tree.saved_record is None:
        return ()
    now, saved = tree.files[tree.record], tree.files.get(tree.saved_record)
    ours = {report.path for report in own} | {tree.saved_record}
    pristine = saved
    if saved is None and tree.saved_record in evidence.now:
        texts = {report.path: report.pristine for report in files if report.pristine is not None}
        pristine = rewrite_record(now, texts, drop=ours)
    elif saved is None:
        pristine = now
    assert pristine is not None
    additions = {report.path: report.wanted for report in own if report.wanted is not None}
    changes = {
        report.path: report.wanted for report in files if report.wanted is not None and report.wanted != report.pristine
    }
    wanted = rewrite_record(pristine, {**changes, **additions, tree.saved_record: pristine})
    touched = {report.path for report in files} | ours
    problem = ""
    if saved is not None:
        rest_now, rest_saved = (
            {path: entry for path, entry in entries.items() if path not in touched}
            for entries in (evidence.now, evidence.before)
        )
        if rest_now != rest_saved:
            problem = f"has other changes than the fork's since {tree.saved_record} was kept"
    state = "edited" if problem else "patched" if now == wanted else "pristine" if now == pristine else "outdated"
    return (
        FileReport(tree.record, state, now, pristine, wanted, problem),
        FileReport(tree.saved_record, "absent" if saved is None else "patched", saved, None, pristine),
    )
