"""Where measured data lies: `bench/results/cost/<section>.json`, one file a section, with the machine it is of."""

from __future__ import annotations

import json
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "results" / "cost"


def write(section: str, **figures: object) -> None:
    from .machine import machine  # which needs LiteLLM, and reading does not

    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{section}.json").write_text(text_of({"machine": machine(), **figures}))


def text_of(fields: dict) -> str:
    """JSON with a line for each row of a list, and for each other field."""
    return "{\n" + ",\n".join(f' "{name}": {_lines(value)}' for name, value in fields.items()) + "\n}\n"


def _lines(value: object) -> str:
    if not isinstance(value, list):
        return json.dumps(value)
    return "[\n" + ",\n".join(f"  {json.dumps(each)}" for each in value) + "\n ]"


def read(section: str) -> dict:
    return json.loads((FOLDER / f"{section}.json").read_text())


def progress(text: str) -> None:
    print(text, flush=True)
