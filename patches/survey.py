"""What state a tree is in, file by file, decided from a snapshot.

Hashes decide, and nothing else does: a file that the manifest on disk names by its hash is the fork's, or has the
fork's lines in it and comes out as the manifest says it was before. Any other file is upstream's as it is, or
somebody changed it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from patches.blocks import remove_blocks
from patches.edits import EditPlan, plan_edits
from patches.errors import PatchError
from patches.locate import Target
from patches.manifest import MANIFEST, Manifest, Patched
from patches.own import build_of
from patches.record import Entry, digest_of, line_of, matches, parse_line, parse_record, rewrite_record
from patches.tree import Tree, read_tree
from patches.tried import untried_functions


@dataclass(frozen=True)
class FileReport:
    """`state` is pristine, absent, patched (as this version writes it), outdated (another version's) or edited.

    `pristine` and `wanted` are the contents after revert and after apply; None means that the file is absent.
    """

    path: str
    state: str
    current: bytes | None
    pristine: bytes | None
    wanted: bytes | None
    problem: str = ""

    def edited(self, problem: str) -> FileReport:
        return replace(self, state="edited", problem=problem)


@dataclass(frozen=True)
class Survey:
    """`state` is pristine, patched, outdated (patched by another build of the fork), half-applied, edited or
    unsupported; `why` says so in a sentence.

    `untried`: the patched functions that differ from every release that was tried.
    `misfits` are the reasons why nothing can be applied to this release: reverting may still work. `is_current` is
    whether apply would change nothing. `new` is the manifest that apply writes.
    """

    tree: Tree
    state: str
    why: str
    files: tuple[FileReport, ...]
    own_files: tuple[FileReport, ...]
    records: tuple[FileReport, ...]
    edits: EditPlan
    misfits: tuple[PatchError, ...]
    is_current: bool
    new: Manifest
    untried: tuple[str, ...]

    @property
    def all_files(self) -> tuple[FileReport, ...]:
        return (*self.files, *self.own_files, *self.records)


def look_at(target: Target, own: Mapping[str, bytes] | None = None, fork: str | None = None) -> Survey:
    """Reads the tree and judges it. Problems in it are part of the answer; raises PatchError for what cannot be read.

    `own`, `fork`: other ones than the tool's.
    """
    tree = read_tree(target, own, fork)
    texts = {path: remove_blocks(data) for path, data in tree.files.items()}
    edits, misfits = plan_edits(texts, tree.target.version, others=tree.others)
    listed = parse_record(tree.record_data)
    originals = {path: _original(tree.manifest, listed, path) for path in texts}
    files = tuple(_judge_file(tree, path, edits.texts.get(path, texts[path]), originals[path]) for path in texts)
    paths = dict.fromkeys([*tree.own, *(tree.manifest.own if tree.manifest else ())])
    own_files = tuple(_judge_own(tree, path, listed) for path in paths)
    new = _new_manifest(tree, files, originals)
    records = (*_judge_records(tree, files, own_files, new, originals), _judge_manifest(tree, new))
    reports = (*files, *own_files, *records)
    is_current = not misfits and not tree.leftovers and all(each.current == each.wanted for each in reports)
    state, why = _overall(tree, reports, misfits, is_current, listed)
    untried = untried_functions([edit for _, edit in edits.edits], texts)
    return Survey(tree, state, why, files, own_files, records, edits, misfits, is_current, new, untried)


def _original(manifest: Manifest | None, listed: Mapping[str, Entry], path: str) -> Entry | None:
    """What RECORD said of one of upstream's files before the fork came, or says still."""
    known, entry = manifest.patched.get(path) if manifest else None, listed.get(path)
    if known is None or entry is None or entry.digest not in known.after:
        return entry
    return None if known.record_line is None else parse_line(known.record_line)[1]


def _judge_file(tree: Tree, path: str, wanted: bytes, original: Entry | None) -> FileReport:
    current = tree.files[path]
    known = tree.manifest.patched.get(path) if tree.manifest else None
    report = FileReport(path, "pristine", current, current, wanted)
    if known is not None and digest_of(current) in known.after:
        text = remove_blocks(current)
        if digest_of(text) != known.before:
            return report.edited("does not come out as its manifest says it was before the fork")
        return replace(report, state="patched" if current == wanted else "outdated", pristine=text)
    if remove_blocks(current) != current:
        why = "was changed since the fork wrote it" if known else "has lines of the fork, and no manifest says whose"
        return report.edited(why)
    # Without a RECORD the text may be that of another release, checked out meanwhile.
    return report.edited("does not match RECORD") if matches(original, current) is False else report


def _judge_own(tree: Tree, path: str, listed: Mapping[str, Entry]) -> FileReport:
    current, wanted = tree.folder.get(path), tree.own.get(path)
    digests = tree.manifest.own.get(path) if tree.manifest else None
    report = FileReport(path, "absent", current, None, wanted)
    if digests is None and path in listed:
        return report.edited("is upstream's, and the fork has one of that name")
    if current is None or current == wanted:
        return report if current is None else replace(report, state="patched")
    if digests and digest_of(current) in digests:
        return replace(report, state="outdated")
    return report.edited("was changed since the fork wrote it" if digests else "is not the fork's file of that name")


def _new_manifest(tree: Tree, files: tuple[FileReport, ...], originals: Mapping[str, Entry | None]) -> Manifest:
    patched = {}
    for report in files:
        if report.pristine is not None and report.wanted is not None and report.wanted != report.pristine:
            original = originals[report.path]
            before, after = digest_of(report.pristine), digest_of(report.wanted)
            patched[report.path] = Patched(before, (after,), original.line if original else None)
    own = {path: (digest_of(data),) for path, data in tree.own.items()}
    return Manifest(tree.fork, tree.target.version, own, patched, build=build_of(tree.own))


def _judge_manifest(tree: Tree, new: Manifest) -> FileReport:
    current, wanted = tree.folder.get(MANIFEST), new.encode()
    report = FileReport(MANIFEST, "absent", current, None, wanted)
    if tree.problem:
        return report.edited(tree.problem.sentence.removeprefix(f"{MANIFEST}: "))
    return report if current is None else replace(report, state="patched" if current == wanted else "outdated")


def _judge_records(
    tree: Tree,
    files: tuple[FileReport, ...],
    own: tuple[FileReport, ...],
    new: Manifest,
    originals: Mapping[str, Entry | None],
) -> tuple[FileReport, ...]:
    """RECORD is whoever's it is: only the lines about the fork's files and about those it patched are ours."""
    if tree.record is None:
        return ()
    before, listed = tree.record_data, parse_record(tree.record_data)
    restored = {path: original.line for path, original in originals.items() if original is not None}
    ours = {MANIFEST, *(each.path for each in own if each.state != "edited"), *(originals.keys() - restored.keys())}
    pristine = rewrite_record(before, restored, ours & listed.keys())
    contents = {report.path: report.wanted for report in (*own, *files) if report.path in {*new.own, *new.patched}}
    contents[MANIFEST] = new.encode()
    lines = {path: line_of(path, data) for path, data in contents.items() if data is not None}
    wanted = rewrite_record(pristine, lines)
    if parse_record(wanted) == listed:
        wanted = before  # somebody put the lines in another order
    state = "patched" if before == wanted else "pristine" if before == pristine else "outdated"
    return (FileReport(tree.record, state, before, pristine, wanted),)


def _overall(
    tree: Tree,
    reports: tuple[FileReport, ...],
    misfits: tuple[PatchError, ...],
    is_current: bool,
    listed: Mapping[str, Entry],
) -> tuple[str, str]:
    unfit = "; ".join(error.sentence for error in misfits)
    if tree.problem:  # without a manifest nothing else can be told
        return "edited", tree.problem.sentence.replace(": ", " ", 1)
    if edited := [f"{report.path} {report.problem}" for report in reports if report.state == "edited"]:
        return "edited", "; ".join(edited)
    if not tree.leftovers and all(report.current == report.pristine for report in reports):
        return ("unsupported", unfit) if unfit else ("pristine", "no line of the fork is in it")
    if is_current:
        return "patched", "every line of the fork is in it"
    if tree.manifest and not tree.leftovers and _is_whole(tree, tree.manifest, listed):
        by = f"by another build of the fork ({tree.manifest.fork}, build {tree.manifest.build or 'unknown'})"
        if unfit:
            return "outdated", f"{by}; fork {tree.fork} does not fit here, only revert will work: {unfit}"
        return "outdated", f"{by}: apply brings it up to date"
    if unfit:
        return "half-applied", f"a run was interrupted; fork {tree.fork} does not fit here, revert mends it: {unfit}"
    return "half-applied", "a run was interrupted, or part of the fork was taken out: apply and revert both mend it"


def _is_whole(tree: Tree, manifest: Manifest, listed: Mapping[str, Entry]) -> bool:
    """Whether everything that the manifest names is as some version of the fork left it after a whole run."""
    if manifest.replaces or (tree.record and not manifest.own.keys() <= listed.keys()):
        return False
    present = {**tree.files, **tree.folder}
    wanted = {**manifest.own, **{path: each.after for path, each in manifest.patched.items()}}
    return all(path in present and digest_of(present[path]) in digests for path, digests in wanted.items())
