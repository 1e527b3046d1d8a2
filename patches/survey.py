"""What state a tree is in, file by file, decided from a snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from patches.blocks import DamagedBlock, remove_blocks
from patches.edits import EditPlan, plan_edits
from patches.errors import PatchError
from patches.evidence import Evidence
from patches.judge import FileReport, judge_file, judge_own, judge_records
from patches.tree import Tree
from patches.upstream import why_unsupported


@dataclass(frozen=True)
class Survey:
    """`state` is pristine, patched, half-applied, edited or unsupported; `why` says so in a
    sentence.

    `unfit` is the reason why nothing can be applied to this release, if any: reverting may still
    work. `outdated` is true where another version of the fork patched (some of) the tree.
    """

    tree: Tree
    state: str
    why: str
    files: tuple[FileReport, ...]
    own_files: tuple[FileReport, ...]
    records: tuple[FileReport, ...]
    edits: EditPlan | None
    unfit: PatchError | None
    outdated: bool

    @property
    def all_files(self) -> tuple[FileReport, ...]:
        return (*self.files, *self.own_files, *self.records)


def survey_tree(tree: Tree) -> Survey:
    """Never raises for what it finds in the tree: problems are part of the answer."""
    evidence = Evidence.of(tree)
    stripped, damage = _strip(tree, evidence)
    edits, unfit = _plan(tree, stripped)
    texts = edits.texts if edits else {}
    files = tuple(
        judge_file(
            path,
            tree.files[path],
            stripped.get(path),
            texts.get(path),
            damage.get(path, ""),
            evidence,
        )
        for path in _patched_paths(tree, evidence)
    )
    own = tuple(judge_own(tree, path, evidence) for path in _own_paths(tree, evidence))
    records = judge_records(tree, evidence, files, own)
    state, why = _overall(tree, files, own, records, unfit, evidence)
    outdated = any(report.state == "outdated" for report in (*files, *own))
    if state == "patched" and any(report.current != report.wanted for report in (*files, *own, *records)):
        outdated, why = True, "by another version of the fork: apply brings it up to date"
    return Survey(tree, state, why, files, own, records, edits, unfit, outdated)


def _patched_paths(tree: Tree, evidence: Evidence) -> tuple[str, ...]:
    """Upstream's files among those read, in order of writing."""
    added = {path for path in evidence.now if path not in evidence.before} if evidence.has_saved else set()
    skip = {*tree.own, *added, tree.record, tree.saved_record}
    return tuple(path for path in tree.files if path not in skip)


def _own_paths(tree: Tree, evidence: Evidence) -> tuple[str, ...]:
    """Our files of this version, then those of an earlier one that RECORD lists."""
    older = [
        path
        for path in evidence.now
        if evidence.has_saved and path.startswith("litellm/") and path not in evidence.before
    ]
    return tuple(dict.fromkeys([*tree.own, *older]))


def _strip(tree: Tree, evidence: Evidence) -> tuple[dict[str, bytes], dict[str, str]]:
    stripped, damage = {}, {}
    for path in _patched_paths(tree, evidence):
        try:
            stripped[path] = remove_blocks(tree.files[path])
        except DamagedBlock as error:
            damage[path] = str(error)
    return stripped, damage


def _plan(tree: Tree, stripped: Mapping[str, bytes]) -> tuple[EditPlan | None, PatchError | None]:
    sentence = why_unsupported(tree.target.version)
    if sentence:
        return None, PatchError(sentence, "install a supported release of LiteLLM, then run the command again")
    try:
        return plan_edits(stripped, tree.target.version), None
    except PatchError as error:
        return None, error


def _overall(
    tree: Tree,
    files: tuple[FileReport, ...],
    own: tuple[FileReport, ...],
    records: tuple[FileReport, ...],
    unfit: PatchError | None,
    evidence: Evidence,
) -> tuple[str, str]:
    if why := why_unsupported(tree.target.version):
        return "unsupported", why
    reports = (*files, *own, *records)
    edited = [f"{report.path} {report.problem}" for report in reports if report.state == "edited"]
    if edited:
        return "edited", "; ".join(edited)
    is_clean = not tree.leftovers and not tree.own_folders
    if is_clean and all(report.current == report.pristine for report in reports):
        return ("unsupported", unfit.sentence) if unfit else ("pristine", "no line of the fork is in it")
    if unfit:
        return "unsupported", unfit.sentence
    is_done = all(report.current == report.wanted for report in reports)
    is_whole = (
        evidence.has_saved
        and evidence.lists_fork
        and all(evidence.lists(report.path, report.current) for report in (*files, *own))
    )
    if (is_done or is_whole) and not tree.leftovers and not tree.empty_folders:
        return "patched", "every line of the fork is in it"
    return (
        "half-applied",
        "a run was interrupted, or part of the fork was taken out: apply and revert both mend it",
    )
