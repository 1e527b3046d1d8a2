"""What state a tree is in, file by file, decided from a snapshot.

A file of upstream's with our blocks in it is trusted when the manifest knows its hash, and taking the blocks out gives
the text that RECORD, or else the manifest, knows as upstream's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from patches.blocks import DamagedBlock, read_blocks, remove_blocks
from patches.edits import EditPlan, plan_edits
from patches.errors import PatchError
from patches.manifest import MANIFEST, Manifest, Patched
from patches.record import Entry, digest_of, entry_of, line_of, matches, parse_record, rewrite_record
from patches.releases import why_refused
from patches.tree import Tree


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


@dataclass(frozen=True)
class Survey:
    """`state` is pristine, patched, half-applied, edited or unsupported; `why` says so in a sentence.

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

    @property
    def all_files(self) -> tuple[FileReport, ...]:
        return (*self.files, *self.own_files, *self.records)


def survey_tree(tree: Tree) -> Survey:
    """Never raises for what it finds in the tree: problems are part of the answer."""
    texts = {path: _strip(data) for path, data in tree.files.items()}
    refused = why_refused(tree.target.version)
    if refused:
        edits = EditPlan({}, ())
        misfits: tuple[PatchError, ...] = (PatchError(refused, "install a supported release of LiteLLM"),)
    else:
        pristine = {path: text for path, text in texts.items() if isinstance(text, bytes)}
        edits, misfits = plan_edits(pristine, tree.target.version)
    listed = parse_record(tree.record_data)
    files = tuple(
        _judge_file(tree, path, text, edits.texts.get(path), _original(tree.manifest, listed, path))
        for path, text in texts.items()
    )
    own = tuple(_judge_own(tree, path, listed) for path in _own_paths(tree))
    new = _new_manifest(tree, files, listed)
    records = (*_judge_records(tree, files, own, new), _judge_manifest(tree, new))
    is_current = not misfits and not tree.leftovers and not tree.saved_record
    is_current = is_current and all(report.current == report.wanted for report in (*files, *own, *records))
    state, why = _overall(tree, (*files, *own, *records), misfits, is_current, listed)
    return Survey(tree, state, why, files, own, records, edits, misfits, is_current, new)


def _strip(data: bytes) -> bytes | str:
    """The text without our blocks, or what is wrong with the blocks."""
    try:
        return remove_blocks(data)
    except DamagedBlock as error:
        return str(error)


def _original(manifest: Manifest | None, listed: Mapping[str, Entry], path: str) -> Entry | None:
    """What RECORD said of one of upstream's files before the fork came, or says still."""
    known, entry = manifest.patched.get(path) if manifest else None, listed.get(path)
    if known is None or entry is None or entry.digest not in known.after:
        return entry
    return None if known.record_line is None else entry_of(known.record_line)


def _judge_file(tree: Tree, path: str, text: bytes | str, planned: bytes | None, original: Entry | None) -> FileReport:
    current = tree.files[path]
    if isinstance(text, str):
        return FileReport(path, "edited", current, None, None, text)
    wanted = text if planned is None else planned
    known = tree.manifest.patched.get(path) if tree.manifest else None
    is_upstreams = matches(original, text)
    if is_upstreams is None and known is not None:
        is_upstreams = known.before == digest_of(text)

    def report(state: str, problem: str = "") -> FileReport:
        return FileReport(path, state, current, text if state != "edited" else None, wanted, problem)

    if current == text:
        # Without a RECORD a text without our lines may be that of another release, checked out meanwhile.
        is_edited = is_upstreams is False and tree.record is not None
        return report("edited", "does not match RECORD") if is_edited else report("pristine")
    if not is_upstreams:
        vouches = "RECORD" if original else "what the fork noted of it"
        return report("edited", f"does not match {vouches} outside the patch's blocks")
    if known is not None and digest_of(current) in known.after:
        return report("patched" if current == planned else "outdated")
    if planned is not None and set(read_blocks(current)) < set(read_blocks(planned)):
        return report("outdated")  # some blocks were taken out by hand
    return report("edited", "holds other lines than the fork wrote between the patch's markers")


def _own_paths(tree: Tree) -> tuple[str, ...]:
    """Our files of this version, then those of another one."""
    return tuple(dict.fromkeys([*tree.own, *(tree.manifest.own if tree.manifest else ())]))


def _judge_own(tree: Tree, path: str, listed: Mapping[str, Entry]) -> FileReport:
    current, wanted = tree.folder.get(path), tree.own.get(path)
    digests = tree.manifest.own.get(path) if tree.manifest else None
    if digests is None and path in listed:
        problem = "is upstream's, and the fork has one of that name"
        return FileReport(path, "edited", current, current, wanted, problem)
    if current is None:
        return FileReport(path, "absent", None, None, wanted)
    if current == wanted:
        return FileReport(path, "patched", current, None, wanted)
    if digests and digest_of(current) in digests:
        return FileReport(path, "outdated", current, None, wanted)
    problem = "was changed since the fork wrote it" if digests else "is not the fork's file of that name"
    return FileReport(path, "edited", current, None, wanted, problem)


def _new_manifest(tree: Tree, files: tuple[FileReport, ...], listed: Mapping[str, Entry]) -> Manifest:
    patched = {}
    for report in files:
        if report.pristine is not None and report.wanted is not None and report.wanted != report.pristine:
            original = _original(tree.manifest, listed, report.path)
            before, after = digest_of(report.pristine), digest_of(report.wanted)
            patched[report.path] = Patched(before, (after,), original.line if original else None)
    own = {path: (digest_of(data),) for path, data in tree.own.items()}
    return Manifest(tree.fork, tree.target.version, own, patched)


def _judge_manifest(tree: Tree, new: Manifest) -> FileReport:
    current, wanted = tree.manifest_data, new.encode()
    problem = tree.problem.sentence.removeprefix(f"{MANIFEST}: ") if tree.problem else ""
    state = "edited" if problem else "absent" if current is None else "patched" if current == wanted else "outdated"
    return FileReport(MANIFEST, state, current, None, wanted, problem)


def _judge_records(
    tree: Tree, files: tuple[FileReport, ...], own: tuple[FileReport, ...], new: Manifest
) -> tuple[FileReport, ...]:
    """RECORD is whoever's it is: only the lines about the fork's files and about those it patched are ours."""
    if tree.record is None:
        return ()
    before, listed = tree.record_data, parse_record(tree.record_data)
    ours = {MANIFEST, f"{tree.record}.redis-session-patch", *(each.path for each in own if each.state != "edited")}
    restored, drop = {}, ours & listed.keys()
    for report in files:
        original = _original(tree.manifest, listed, report.path)
        if original is not None:
            restored[report.path] = original.line
        elif report.path in listed:
            drop.add(report.path)
    pristine = rewrite_record(before, restored, drop)
    lines = {report.path: line_of(report.path, report.wanted) for report in own if report.wanted is not None}
    for report in files:
        if report.path in new.patched and report.wanted is not None:
            lines[report.path] = line_of(report.path, report.wanted)
    lines[MANIFEST] = line_of(MANIFEST, new.encode())
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
    if any(report.state == "edited" for report in reports):
        return "edited", what_is_edited(reports)
    unfit = "; ".join(error.sentence for error in misfits)
    is_clean = not tree.leftovers and not tree.saved_record
    if is_clean and all(report.current == report.pristine for report in reports):
        return ("unsupported", unfit) if unfit else ("pristine", "no line of the fork is in it")
    if is_current:
        return "patched", "every line of the fork is in it"
    if not tree.leftovers and _is_whole(tree, listed):
        fork = tree.manifest.fork if tree.manifest else ""
        if unfit:
            return "patched", f"by fork {fork}; fork {tree.fork} does not fit here, only revert will work: {unfit}"
        return "patched", f"by another version of the fork ({fork}): apply brings it up to date"
    if unfit:
        return (
            "half-applied",
            f"a run was interrupted, and fork {tree.fork} does not fit here: revert mends it: {unfit}",
        )
    return "half-applied", "a run was interrupted, or part of the fork was taken out: apply and revert both mend it"


def what_is_edited(reports: tuple[FileReport, ...]) -> str:
    """Without a manifest that can be read nothing else can be told, so it then stands alone."""
    edited = [f"{report.path} {report.problem}" for report in reversed(reports) if report.state == "edited"]
    return edited[0] if edited[0].startswith(f"{MANIFEST} ") else "; ".join(reversed(edited))


def _is_whole(tree: Tree, listed: Mapping[str, Entry]) -> bool:
    """Whether everything that the manifest names is as some version of the fork left it after a whole run."""
    manifest = tree.manifest
    if manifest is None or manifest.replaces or not manifest.own:
        return False
    if tree.record is not None and not all(path in listed for path in manifest.own):
        return False
    present = {**tree.files, **tree.folder}
    wanted = {**manifest.own, **{path: each.after for path, each in manifest.patched.items()}}
    return all(path in present and digest_of(present[path]) in digests for path, digests in wanted.items())
