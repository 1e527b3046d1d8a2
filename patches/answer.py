"""What a command has to say."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Answer:
    """`body` is for machines, `lines` are for people; `raw` stands in for lines where bytes are wanted."""

    body: dict[str, Any]
    lines: tuple[str, ...] = field(default=())
    exit_code: int = 0
    raw: bytes | None = None
