"""The table "what we broke": a row for each fault and way to Redis, with the patch and without."""

from __future__ import annotations

COLUMNS = (
    "Redis",
    "what happened",
    "requests",
    "failed",
    "wrong",
    "lost",
    "added p50 / p99, ms",
    "settled p50 / p99, ms",
    "back after, s",
    "off: requests",
    "off: failed",
    "off: added p50 / p99, ms",
)
TEXT = """\
litellm {releases}, no database. Lost: follow-ups in the fault that went out without their history. Added: to the
latency of the same proxy before the fault; settled: in the fault's last third. Back after: from the fault's end, of a
failover from its begin, until all was remembered again. Off: LiteLLM as released, which remembers nothing.
"""


def table(rows: list[dict]) -> str:
    sides = {(row["release"], row["way"], row["fault"], row["patch"]): row for row in rows}
    lines = [
        line(row, sides.get((row["release"], row["way"], row["fault"], "off"))) for row in rows if row["patch"] == "on"
    ]
    releases = ", ".join(dict.fromkeys(row["release"] for row in rows))
    head = f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}\n"
    return f"{TEXT.format(releases=releases)}\n{head}{''.join(lines)}"


def line(on: dict, off: dict | None) -> str:
    cells = [
        on["way"],
        on["fault"],
        on["requests"],
        on["failed"],
        on["wrong"],
        f"{on['lost']} of {on['lost'] + on['whole']}",
        f"{on['added_p50_ms']:.0f} / {on['added_p99_ms']:.0f}",
        f"{on['settled_p50_ms']:.0f} / {on['settled_p99_ms']:.0f}",
        on["back_after_seconds"],
        *([off["requests"], off["failed"], f"{off['added_p50_ms']:.0f} / {off['added_p99_ms']:.0f}"] if off else "---"),
    ]
    return "| " + " | ".join(str(cell) for cell in cells) + " |\n"
