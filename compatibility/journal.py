"""What a run has found so far, kept line by line, so that a long run that was stopped can go on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compatibility.registry import ROOT


@dataclass(frozen=True)
class Journal:
    """One file for each state of the fork: a row counts only for the sources it was found with."""

    path: Path

    @classmethod
    def of(cls, kind: str, fork: str, folder: Path = ROOT / ".build" / "matrix") -> Journal:
        return cls(folder / f"{kind}-{fork}.jsonl")

    def add(self, row: Mapping[str, Any]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(row) + "\n")

    def rows(self) -> list[dict[str, Any]]:
        """The last row of each release. A last line that was cut off in the writing is passed over."""
        text = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        rows = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
        return list({row["release"]: row for row in rows}.values())
