"""The matrix as one object for machines and as a table for people. No I/O."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from compatibility.releases import is_final
from compatibility.trial import ABSENT, EXACT, REFUSED, Trial
from patches import PATCHES, describe_release, facts_of
from patches.releases import why_refused

Row = dict[str, Any]


def as_json(report: Mapping[str, Any]) -> str:
    """One row a line."""
    head = json.dumps({name: value for name, value in report.items() if name != "rows"}, indent=1)
    rows = ",\n".join(f"  {json.dumps(row)}" for row in report["rows"])
    return f'{head[:-2]},\n "rows": [\n{rows}\n ]\n}}\n'


def row_of(trial: Trial, wheel: Mapping[str, Any] | None = None) -> Row:
    """Keys: release, final, state, problem, through, seconds (all steps), steps (seconds by name),
    files, edits, edited, added, upstream_fixed, patch_adds, untried, wheel (file, bytes, sha256,
    fetch_seconds, cached, built) or None."""
    release = describe_release(trial.version, facts_of(PATCHES))
    return {
        "release": trial.version,
        "final": is_final(trial.version),
        "state": trial.state,
        "problem": trial.problem,
        "through": trial.through,
        "seconds": round(trial.total_seconds, 2),
        "steps": dict(trial.seconds),
        "files": trial.files,
        "edits": trial.edits,
        "edited": list(trial.edited),
        "added": len(trial.added),
        "upstream_fixed": [fact.text for fact in release.fixed],
        "patch_adds": [fact.text for fact in release.still],
        "untried": [fact.text for fact in release.untried],
        "wheel": dict(wheel) if wheel else None,
    }


def refused_row(version: str) -> Row:
    """A withdrawn release: no wheel is fetched; the tool's own sentence says why."""
    why = why_refused(version)
    assert why is not None, f"{version} is not refused"
    return row_of(Trial(version, REFUSED, f"{why}: refused by check and apply"))


def absent_row(version: str, problem: str) -> Row:
    return row_of(Trial(version, ABSENT, problem))


def summary_of(rows: Sequence[Row]) -> Row:
    """Keys: releases (those that went through), exact, percent, states (count by state), seconds
    (middle of the rows'), problems (release to sentence)."""
    states = Counter(row["state"] for row in rows)
    tried = [row for row in rows if row["state"] != REFUSED]
    seconds = sorted(row["seconds"] for row in tried if row["state"] == EXACT)
    return {
        "releases": len(tried),
        "exact": states[EXACT],
        "percent": round(100 * states[EXACT] / len(tried), 2) if tried else None,
        "states": dict(states),
        "seconds": seconds[len(seconds) // 2] if seconds else None,
        "problems": {row["release"]: row["problem"] for row in tried if row["problem"]},
    }


def summary_line(rows: Sequence[Row], wheels: str) -> str:
    summary = summary_of(rows)
    others = ", ".join(f"{count} {state}" for state, count in sorted(summary["states"].items()) if state != EXACT)
    percent = "" if summary["percent"] is None else f" ({summary['percent']:g} %)"
    return (
        f"{wheels}: {summary['exact']} of {summary['releases']} releases{percent} apply, compile, "
        f"change nothing the second time and revert byte for byte" + (f"; {others}" if others else "") + "."
    )


def markdown(report: Mapping[str, Any]) -> str:
    """The table, with what the short marks in it stand for below."""
    rows: list[Row] = report["rows"]
    fixed = _marks("F", (text for row in rows for text in row["upstream_fixed"]))
    adds = _marks("A", (text for row in rows for text in row["patch_adds"]))
    lines = [
        "# The fork on LiteLLM's releases",
        "",
        summary_line(rows, report["selection"]),
        "",
        f"Made by `{report['command']}` on {report['date']} with Python {report['python']}, fork {report['fork']}. "
        "Each wheel was fetched from the registry with its hash checked, unpacked, checked, patched, compiled, "
        "patched again (no byte and no time changed), reverted, and every file then compared with the wheel's own "
        "`RECORD` by code that is not the patch tool's. Seconds are for all of that, the download left out.",
        "",
        "| release | state | seconds | files compared | blocks put in | upstream has fixed | the patch adds |",
        "|---|---|--:|--:|--:|---|---|",
        *(_line(row, fixed, adds) for row in rows),
        "",
        *_legend("Upstream has fixed", fixed, "nothing of this: (none)"),
        *_legend("What is wrong upstream, so what the patch adds", adds, ""),
    ]
    problems = [row for row in rows if row["problem"]]
    if problems:
        lines += ["**Not patched**", "", *(f"- {row['release']}: {row['problem']}" for row in problems), ""]
    return "\n".join(lines)


def _line(row: Row, fixed: Mapping[str, str], adds: Mapping[str, str]) -> str:
    ran = row["state"] == EXACT
    through = ", by command" if row["through"] == "command" else ""
    through += ", built from source" if row["wheel"] and row["wheel"]["built"] else ""
    cells = [
        row["release"],
        row["state"] + through,
        f"{row['seconds']:.1f}" if row["steps"] else "",
        f"{row['files']:,}" if ran else "",
        str(row["edits"]) if ran else "",
        "" if row["state"] == REFUSED else _ranges([fixed[text] for text in row["upstream_fixed"]]) or "(none)",
        "" if row["state"] == REFUSED else _ranges([adds[text] for text in row["patch_adds"]]),
    ]
    return f"| {' | '.join(cells)} |"


def _marks(letter: str, texts: Iterable[str]) -> dict[str, str]:
    return {text: f"{letter}{number}" for number, text in enumerate(dict.fromkeys(texts), 1)}


def _ranges(marks: Sequence[str]) -> str:
    """`A1-A4 A7` for A1, A2, A3, A4, A7."""
    runs: list[list[str]] = []
    for mark in sorted(marks, key=lambda each: int(each[1:])):
        if runs and int(runs[-1][-1][1:]) + 1 == int(mark[1:]):
            runs[-1].append(mark)
        else:
            runs.append([mark])
    return " ".join(run[0] if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _legend(title: str, marks: Mapping[str, str], none: str) -> list[str]:
    if not marks:
        return [f"**{title}** {none}".rstrip(), ""]
    return [f"**{title}**", "", *(f"- {mark}: {text}" for text, mark in marks.items()), ""]
