"""What a command has to say, and how it is printed."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Answer:
    """`body` is for machines, `lines` are for people; `raw` stands in for lines where bytes are wanted."""

    body: dict[str, Any]
    lines: tuple[str, ...] = field(default=())
    exit_code: int = 0
    raw: bytes | None = None


def show(stream: Any, text: str | bytes) -> bool:
    """Whether it could be printed for who reads it: a reader that went away (head, less) changes nothing."""
    if stream is None:  # nobody wants it
        return True
    try:
        (stream.buffer if isinstance(text, bytes) else stream).write(text)
        stream.flush()
    except (OSError, KeyboardInterrupt) as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # else Python tries it again as it ends
        if stream is sys.stdout and not isinstance(error, BrokenPipeError):
            show(sys.stderr, f"error: the answer cannot be printed ({error})\n")
            return False
    return True
