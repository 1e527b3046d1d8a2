"""Where measured data lies: `bench/results/cost/<section>.json`, one file a section."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "results" / "cost"
