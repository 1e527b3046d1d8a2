"""The before/after data as an SVG: a panel for each release and database, bars from 0 to 100 %, zero a visible line."""

from __future__ import annotations

from .table import share

WIDTH, PANEL, GAP, LEFT, TOP = 960, 150, 70, 90, 96
BAR, BAR_HEIGHT = 22, 100
BEFORE, AFTER, INK, GRID = "#c0504d", "#2e7d5b", "#333333", "#d8d8d8"
STYLE = "font-family: system-ui, sans-serif; font-size: 12px"


def plot(cells: list[dict]) -> str:
    panels = list(dict.fromkeys((cell["release"], cell["database"]) for cell in cells))
    delays = sorted({cell["delay_seconds"] for cell in cells})
    groups = [(stream, delay) for stream in (False, True) for delay in delays]
    conversations = max(cell["conversations"] for cell in cells)
    height = TOP + len(panels) * (PANEL + 10) + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
        f' role="img" style="{STYLE}">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        text(LEFT, 26, "Follow-ups that reached the provider with the turn before them", size=17),
        text(LEFT, 46, f"share of {conversations} conversations a bar; seconds between answer and follow-up below"),
        *legend(),
    ]
    for row, (release, database) in enumerate(panels):
        base = TOP + row * (PANEL + 10) + BAR_HEIGHT + 10
        parts += panel_frame(base, f"{release}", "with database" if database else "no database")
        for number, (stream, delay) in enumerate(groups):
            left = LEFT + 30 + number * 135
            for offset, patch in enumerate((False, True)):
                for cell in cells:
                    if (cell["release"], cell["database"], cell["patch"], cell["stream"], cell["delay_seconds"]) == (
                        release, database, patch, stream, delay
                    ):  # fmt: skip
                        parts += bar(left + offset * (BAR + 22), base, share(cell), AFTER if patch else BEFORE)
            parts.append(text(left + 34, base + 16, f"{'stream' if stream else 'plain'}, {delay} s", anchor="middle"))
    return "\n".join([*parts, "</svg>"]) + "\n"


def panel_frame(base: int, release: str, database: str) -> list[str]:
    lines = [
        f'<line x1="{LEFT}" x2="{WIDTH - 20}" y1="{y}" y2="{y}" stroke="{INK if y == base else GRID}"/>'
        for y in (base, base - BAR_HEIGHT // 2, base - BAR_HEIGHT)
    ]
    scale = [text(LEFT - 6, base - BAR_HEIGHT * value // 100 + 4, f"{value} %", anchor="end") for value in (0, 50, 100)]
    names = [text(8, base - 64, release, size=13), text(8, base - 84, database, size=11)]
    return [*lines, *scale, *names]


def bar(left: int, base: int, percent: float, colour: str) -> list[str]:
    height = max(1.0, BAR_HEIGHT * percent / 100)
    return [
        f'<rect x="{left}" y="{base - height:.1f}" width="{BAR}" height="{height:.1f}" fill="{colour}"/>',
        text(left + BAR // 2, base - height - 3, f"{percent:.0f}", anchor="middle", size=10),
    ]


def legend() -> list[str]:
    return [
        f'<rect x="{LEFT}" y="58" width="12" height="12" fill="{BEFORE}"/>',
        text(LEFT + 18, 69, "LiteLLM as released"),
        f'<rect x="{LEFT + 170}" y="58" width="12" height="12" fill="{AFTER}"/>',
        text(LEFT + 188, 69, "with the patch"),
    ]


def text(x: float, y: float, words: str, anchor: str = "start", size: int = 12) -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" font-size="{size}" fill="{INK}">{words}</text>'
