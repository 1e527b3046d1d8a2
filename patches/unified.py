"""The fork as a unified diff that `git apply` takes, made from the plan in memory."""

from __future__ import annotations

import difflib
import re

from patches.errors import PatchError
from patches.survey import Survey

_LINE = re.compile(rb"[^\n]*\n|[^\n]+")


def unified_diff_of(survey: Survey) -> bytes:
    """Against the pristine package, whether or not the target is patched. RECORD is the
    installer's, so left out.

    Raises PatchError when the release does not fit or the tree is edited.
    """
    if survey.unfit:
        raise survey.unfit
    edited = [report for report in survey.all_files if report.state == "edited"]
    if edited:
        raise PatchError(f"{edited[0].path} {edited[0].problem}", "undo the change, then run the command again")
    reports = (*survey.own_files, *survey.files)
    return b"".join(
        _file_diff(report.path, report.pristine, report.wanted)
        for report in reports
        if report.pristine != report.wanted and report.wanted is not None
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
