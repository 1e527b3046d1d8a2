"""The fork as a unified diff that `git apply` takes, made from the plan in memory."""

from __future__ import annotations

import difflib
import re
from dataclasses import replace

from patches.errors import PatchError, all_in_one
from patches.manifest import MANIFEST
from patches.plan import way_out_of_edits
from patches.survey import Survey

_LINE = re.compile(rb"[^\n]*\n|[^\n]+")


def unified_diff_of(survey: Survey) -> bytes:
    """Against the pristine package, whether or not the target is patched. RECORD is the installer's, so left out; the
    manifest goes with the fork's own files.

    Raises PatchError when the release does not fit or the tree is edited.
    """
    if survey.misfits:
        raise all_in_one(survey.misfits)
    if survey.state == "edited":
        raise PatchError(survey.why, way_out_of_edits(survey.tree))
    patched = {path: replace(each, record_line=None) for path, each in survey.new.patched.items()}
    manifest = replace(survey.new, patched=patched).encode()
    files = [(report.path, report.pristine, report.wanted) for report in (*survey.own_files, *survey.files)]
    return b"".join(
        _file_diff(path, before, after)
        for path, before, after in [*files, (MANIFEST, None, manifest)]
        if before != after and after is not None
    )


def _file_diff(path: str, before: bytes | None, after: bytes) -> bytes:
    name = path.encode()
    head = b"diff --git a/%b b/%b\n" % (name, name)
    if before is None:
        head += b"new file mode 100644\n"
    lines = difflib.diff_bytes(
        difflib.unified_diff,
        _LINE.findall(before or b""),
        _LINE.findall(after),
        b"/dev/null" if before is None else b"a/" + name,
        b"b/" + name,
    )
    body = b"".join(line if line.endswith(b"\n") else line + b"\n\\ No newline at end of file\n" for line in lines)
    return head + body
