"""What a run has found so far, kept line by line, so that a long run that was stopped can go on."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from bench.matrix.registry import ROOT
from bench.matrix.report import Row
from bench.matrix.trial import EXACT


@dataclass(frozen=True)
class Journal:
    """One file for each state of the fork: a row counts only for the sources it was found with."""

    path: Path

    @classmethod
    def of(cls, fork: str, folder: Path = ROOT / ".build" / "matrix") -> Journal:
        return cls(folder / f"rows-{fork}.jsonl")

    def add(self, row: Row) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(row) + "\n")

    def exact_rows(self, versions: Collection[str]) -> list[Row]:
        """The last row of each of these versions, where it was exact; all others are to be tried again.

        A last line that was cut off in the writing is passed over."""
        found: dict[str, Row] = {}
        text = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        for line in text.splitlines(keepends=True):
            if line.endswith("\n"):
                row = json.loads(line)
                found[row["release"]] = row
        return [row for version, row in found.items() if version in versions and row["state"] == EXACT]
