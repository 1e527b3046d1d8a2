"""The live matrix as a table for people. No I/O."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from compatibility.defects import DEFECTS
from compatibility.live_run import HELD, Cell, LiveRow
from compatibility.scenes import SCENES

_FORMAT = {"gemini-model": "Gemini", "claude-model": "Claude", "chat-model": "OpenAI chat"}
_FORGETS = "store: false"  # what a proxy without any memory does right


def counted(cells: Iterable[Cell]) -> list[Cell]:
    """Without those that upstream does not serve at all."""
    return [cell for cell in cells if cell.control == HELD]


def summary_of(rows: Sequence[LiveRow]) -> dict[str, Any]:
    """Keys: releases, ran, remember_everything (counts), cells, before, after (cells that held),
    not_served (cells left out), reverted (trees exact after they ran), problems."""
    ran = [row for row in rows if row.cells]
    cells = [cell for row in ran for cell in counted(row.cells)]
    return {
        "releases": len(rows),
        "ran": len(ran),
        "remember_everything": sum(remembers_everything(row) for row in ran),
        "cells": len(cells),
        "before": sum(cell.before == HELD for cell in cells),
        "after": sum(cell.after == HELD for cell in cells),
        "not_served": sum(len(row.cells) for row in ran) - len(cells),
        "reverted": sum(row.reverted == "" for row in ran),
        "problems": {row.release: row.problem for row in rows if row.problem},
    }


def remembers_everything(row: LiveRow) -> bool:
    cells = counted(row.cells)
    return bool(cells) and all(cell.after == HELD for cell in cells)


def summary_line(rows: Sequence[LiveRow]) -> str:
    found = summary_of(rows)
    return (
        f"{found['remember_everything']} of the {found['ran']} releases that run remember everything: "
        f"{found['after']} of {found['cells']} scenes held with the patch, {found['before']} without; "
        f"{found['reverted']} trees were byte for byte the wheel's again after they ran"
        + (f"; {len(found['problems'])} releases do not run here" if found["problems"] else "")
        + "."
    )


def markdown(report: Mapping[str, Any], rows: Sequence[LiveRow]) -> str:
    """One row a release; in each cell how many held, before and after the patch."""
    lines = [
        "# The fork on running proxies",
        "",
        summary_line(rows),
        "",
        f"Made by `{report['command']}` on {report['date']} with Python {report['python']}, fork {report['fork']}. "
        "Real proxies and a real Redis, no database, a stand-in provider that speaks three wire formats. A cell "
        "holds *before -> after* of how many: each scene is played in every format, plain and as a stream, each "
        "follow-up sent the moment its id is known, and holds when the provider received exactly the conversation. "
        f"Before: the same tree with `REDIS_SESSION_PATCH_ENABLED=false`. `{_FORGETS}` holds where nothing is "
        "remembered, so also without any memory. An asterisk: what fails even when the client sends everything "
        "itself is not counted. The last scenes are of steps that only newer releases have.",
        "",
        f"| release | environment | {' | '.join(SCENES)} | all |",
        "|---|---|" + "---|" * (len(SCENES) + 1),
        *(_line(row) for row in rows),
        "",
    ]
    notes = [note for row in rows for note in notes_of(row)]
    return "\n".join([*lines, *([*notes, ""] if notes else []), *_defects(rows)])


def _defects(rows: Sequence[LiveRow]) -> list[str]:
    """A table of its own: what is wrong upstream, by release."""
    watched = [row for row in rows if row.defects]
    if not watched:
        return []
    return [
        "## What is wrong upstream",
        "",
        "Watched on the same tree with the patch off, with a real PostgreSQL: what `python -m patches status` says of "
        "a release is checked against this table. Other words than *shown* and *not shown* say why that is not known.",
        "",
        f"| | {' | '.join(row.release for row in watched)} |",
        "|---|" + "---|" * len(watched),
        *(f"| {name} | {' | '.join(row.defects.get(name, '') for row in watched)} |" for name in DEFECTS),
        "",
    ]


def _line(row: LiveRow) -> str:
    environment = f"dependencies of {row.dependencies_of}" if row.dependencies_of else "its own"
    environment += f", and {', '.join(row.added)}" if row.added else ""
    if not row.cells:
        return f"| {row.release} | none |" + " |" * (len(SCENES) + 1)
    groups = [[cell for cell in row.cells if cell.scene == scene] for scene in SCENES]
    return f"| {row.release} | {environment} | {' | '.join(map(_shares, [*groups, list(row.cells)]))} |"


def _shares(cells: Sequence[Cell]) -> str:
    kept = counted(cells)
    if not kept:
        return "not served" if cells else "-"
    before, after = (sum(held) for held in zip(*((c.before == HELD, c.after == HELD) for c in kept), strict=True))
    note = "*" if len(kept) < len(cells) else ""
    return f"{before}/{len(kept)} -> {after}/{len(kept)}{note}"


def notes_of(row: LiveRow) -> list[str]:
    """One line each: why it did not run, whose dependencies it has, what is not served, what failed."""
    notes = []
    if row.problem:
        notes.append(f"- {row.release}: {row.problem}")
    if row.dependencies_of:
        notes.append(f"- {row.release}: its own dependencies cannot be had ({row.install_problem})")
    for scene in SCENES:
        cells = [cell for cell in row.cells if cell.scene == scene]
        refused = [cell for cell in cells if cell.control != HELD]
        if refused:
            where = _where(refused)
            notes.append(
                f"- {row.release}*: {scene}: upstream does not serve {where}, even when the client sends everything "
                f"itself ({refused[0].control}); not counted"
            )
        failed = [cell for cell in counted(cells) if cell.after != HELD]
        if failed:
            notes.append(f"- {row.release}: **{scene} failed** for {_where(failed)}: {failed[0].after}")
    if row.cells and not remembers_everything(row):
        notes.append(f"- {row.release}: the fork said of itself: {json.dumps(row.health)}")
    if row.reverted:
        notes.append(f"- {row.release}: **the revert after the run is not exact**: {row.reverted}")
    return notes


def _where(cells: Sequence[Cell]) -> str:
    return ", ".join(f"{_FORMAT[cell.model]} {'stream' if cell.stream else 'plain'}" for cell in cells)
