"""How far a conversation of the patched proxy goes on after `revert`, from the database, on each release.

    python -m bench.after_revert --releases 1.85.7 1.106.2

A conversation of two turns is played on the patched proxy; when its rows are written, a follow-up goes to a pristine
proxy on the same database. Beside it the same conversation begun on the pristine proxy: what upstream alone can do.
Writes `bench/results/after_revert.json` and `.md`.
"""

from __future__ import annotations

import sys

from .before_after import measure

HEAD = """\
Conversations begun on the patched proxy, and what a follow-up reaches the provider with after `revert`, the rows
being in the database. In brackets, where it differs: the same conversation begun without the patch.

"""


def table(cells: list[dict]) -> str:
    releases = list(dict.fromkeys(cell["release"] for cell in cells))
    lines = [f"| conversation | {' | '.join(releases)} |", "|---|" + "---|" * len(releases)]
    for case in dict.fromkeys((cell["case"], cell["stream"]) for cell in cells):
        texts = [text_of(cells, release, *case) for release in releases]
        lines.append(f"| {case[0]}, {'stream' if case[1] else 'plain'} | {' | '.join(texts)} |")
    return HEAD + "\n".join(lines) + "\n"


def text_of(cells: list[dict], release: str, case: str, stream: bool) -> str:
    (cell,) = [cell for cell in cells if (cell["release"], cell["case"], cell["stream"]) == (release, case, stream)]
    reverted, alone = cell["begun_with_patch"], cell["begun_without_patch"]
    return reverted if reverted == alone else f"{reverted} ({alone})"


if __name__ == "__main__":
    sys.exit(measure("reverted_cells", "after_revert", table, "ROLLBACK.md"))
