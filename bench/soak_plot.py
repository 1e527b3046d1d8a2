"""A soak as an SVG: requests and losses a second, the slowest answer, and the proxy's memory; faults as bands."""

from __future__ import annotations

from .plot import AFTER, BEFORE, GRID, INK, STYLE, text

WIDTH, LEFT, RIGHT, TOP, PANEL, GAP = 1200, 80, 20, 60, 120, 46
BAND = "#f3e3c8"
PANELS = (
    ("requests a second", (("requests", AFTER), ("lost", BEFORE))),
    ("slowest answer, ms", (("worst_ms", INK),)),
    ("memory of the proxy, MB", (("proxy_mb", AFTER),)),
)


def plot(result: dict) -> str:
    series, seconds = result["series"], max(1, result["seconds"])
    height = TOP + len(PANELS) * (PANEL + GAP)

    def x(second: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * min(second, seconds) / seconds

    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in result["verdicts"].items())
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
        f' role="img" style="{STYLE}">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        text(
            LEFT,
            24,
            f"{result['requests']} requests in {seconds / 60:.0f} minutes, {len(result['faults'])} faults",
            size=17,
        ),
        text(LEFT, 44, f"{verdicts}; lost without a fault: {result['lost_without_a_fault']}; bands: a fault of Redis"),
    ]
    for row, (title, lines) in enumerate(PANELS):
        base = TOP + row * (PANEL + GAP) + PANEL
        parts += [
            f'<rect x="{x(each["began"]):.1f}" y="{base - PANEL}" height="{PANEL}" fill="{BAND}"'
            f' width="{max(1, x(each["ended"]) - x(each["began"])):.1f}"><title>{each["fault"]}</title></rect>'
            for each in result["faults"]
        ]
        most = max([1, *(point[name] for point in series for name, _ in lines)])
        parts += [text(LEFT, base - PANEL - 4, title), *scale(base, most)]
        for name, colour in lines:
            points = " ".join(f"{x(p['second']):.1f},{base - PANEL * p[name] / most:.1f}" for p in series)
            parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.2" points="{points}"/>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def scale(base: int, most: float) -> list[str]:
    parts = []
    for part in (0, 0.5, 1):
        y = base - PANEL * part
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.0f}" y2="{y:.0f}" stroke="{GRID}"/>')
        parts.append(text(LEFT - 6, y + 4, f"{most * part:.0f}", anchor="end"))
    return parts
