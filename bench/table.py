"""The before/after data as a Markdown table."""

from __future__ import annotations

HEAD = """Share of second turns whose provider request held the first turn exactly once, {conversations} conversations a
cell. A cell is "plain / stream"; the columns are the seconds between the first answer and the follow-up.

"""


def share(cell: dict) -> float:
    return 100 * cell["remembered"] / cell["conversations"]


def table(cells: list[dict]) -> str:
    delays = sorted({cell["delay_seconds"] for cell in cells})
    lines = [
        f"| release | database | patch | {' | '.join(f'{delay} s' for delay in delays)} |",
        "|---|---|---|" + "---|" * len(delays),
    ]
    found = {key_of(cell): cell for cell in cells}
    for release, database, patch in dict.fromkeys(key_of(cell)[:3] for cell in cells):
        texts = [
            " / ".join(f"{share(found[release, database, patch, stream, delay]):.0f} %" for stream in (False, True))
            for delay in delays
        ]
        lines.append(f"| {release} | {yes_no(database)} | {'on' if patch else 'off'} | {' | '.join(texts)} |")
    counts = sorted({cell["conversations"] for cell in cells})
    return HEAD.format(conversations=" or ".join(map(str, counts))) + "\n".join(lines) + "\n"


def key_of(cell: dict) -> tuple:
    return tuple(cell[name] for name in ("release", "database", "patch", "stream", "delay_seconds"))


def yes_no(value: bool) -> str:
    return "yes" if value else "no"
