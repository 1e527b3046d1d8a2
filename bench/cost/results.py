"""Measured data, written and read: one file a section, with the machine it is of."""

from __future__ import annotations

import json

from .folder import FOLDER
from .machine import machine


def write(section: str, **figures: object) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"machine": machine(), **figures}, indent=1)
    (FOLDER / f"{section}.json").write_text(text + "\n")


def read(section: str) -> dict:
    return json.loads((FOLDER / f"{section}.json").read_text())


def progress(text: str) -> None:
    print(text, flush=True)
