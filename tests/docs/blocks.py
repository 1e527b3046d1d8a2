"""The fenced blocks of a document: which are commands, which of them run, and what they are to print.

A `sh` block is run as it stands. `sh proxy` is run against the tests' proxy instead of port 4000. `sh not run: REASON`
is only checked. A `text output` block is what the `sh` block above it prints: `…` stands for any text in a line, a
line of nothing else for any lines.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

NOT_RUN = "not run: "
COMMAND_LANGUAGES = ("sh", "bash", "shell", "console", "")


@dataclass(frozen=True)
class Block:
    """`info` is what follows the language on the fence, `line` the fence's own line number."""

    document: str
    line: int
    language: str
    info: str
    text: str
    output: str | None = None

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"

    @property
    def reason_not_run(self) -> str | None:
        return self.info.removeprefix(NOT_RUN) if self.info.startswith(NOT_RUN) else None


def blocks_of(path: Path) -> list[Block]:
    """In order; an output block is joined to the block above it. Raises ValueError for one that has none."""
    found: list[Block] = []
    for match in re.finditer(r"^```(\S*)[ ]?(.*)\n((?:.*\n)*?)```$", path.read_text(encoding="utf-8"), re.MULTILINE):
        language, info, text = match.groups()
        line = path.read_text(encoding="utf-8")[: match.start()].count("\n") + 1
        if (language, info) == ("text", "output"):
            if not found or found[-1].language != "sh":
                raise ValueError(f"{path.name}:{line}: output of no command")
            found[-1] = Block(*[*vars(found[-1]).values()][:-1], output=text)
        else:
            found.append(Block(path.name, line, language, info, text))
    return found


def output_pattern(shown: str) -> re.Pattern[str]:
    """What real output must match as a whole."""

    def line_pattern(line: str) -> str:
        return r"(?:.*\n)*?" if line == "…" else ".*".join(map(re.escape, line.split("…"))) + r"\n"

    return re.compile("".join(map(line_pattern, shown.splitlines())))
