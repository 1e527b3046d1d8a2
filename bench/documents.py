"""Measured tables in the documents, between `<!-- name -->` and `<!-- /name -->`."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def put_table(document: str, name: str, table: str) -> None:
    """In the place of the one that is there."""
    place = re.compile(rf"(?<=<!-- {name} -->\n).*?(?=\n<!-- /{name} -->)", re.DOTALL)
    path = ROOT / document
    path.write_text(place.sub(lambda _: table.rstrip("\n"), path.read_text(encoding="utf-8")), encoding="utf-8")
