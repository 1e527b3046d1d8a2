"""Draws the dashboard's panels, each where the dashboard has it, from the figures of `bench.dashboard_run`.

A stand-in for Grafana's own drawing: titles, places, units, stacking and colours are the dashboard's.
"""

from __future__ import annotations

import argparse
import json
from io import BytesIO
from pathlib import Path
from typing import Any

from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from PIL import Image

DASHBOARD = Path(__file__).parents[1] / "deploy" / "monitoring" / "dashboard.json"
COLUMNS = 24  # Grafana's grid
WIDTH_INCHES, ROW_INCHES, DOTS_PER_INCH = 11, 0.27, 80
COLOURS = 48
MEGABYTE = 1024 * 1024
SCALES = {
    "percentunit": (100, " %"),
    "s": (1000, " ms"),
    "bytes": (1, " B"),
    "reqps": (1, "/s"),
    "short": (1, ""),
}


def draw(panels: list[dict[str, Any]], figures: list[dict[str, Any]]) -> Figure:
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    figure = pyplot.figure(figsize=(WIDTH_INCHES, rows * ROW_INCHES))
    grid = figure.add_gridspec(rows, COLUMNS, left=0.045, right=0.985, top=0.965, bottom=0.03, hspace=3, wspace=2)
    began = min(value[0] for each in figures for query in each["queries"] for one in query for value in one["values"])
    for panel, measured in zip(panels, figures, strict=True):
        if panel["title"] != measured["title"]:
            raise ValueError(f"the figures are of another dashboard: {measured['title']}")
        place = panel["gridPos"]
        axes = figure.add_subplot(
            grid[place["y"] + 1 : place["y"] + place["h"], place["x"] : place["x"] + place["w"] - 1]
        )
        axes.set_title(panel["title"], fontsize=8, loc="left")
        (draw_number if panel["type"] == "stat" else draw_lines)(axes, panel, measured["queries"], began)
    return figure


def draw_number(axes: Axes, panel: dict[str, Any], queries: list[list[dict]], began: float) -> None:
    scale, unit = SCALES[panel["fieldConfig"]["defaults"]["unit"]]
    (series,) = queries[0]
    numbers = [float(value) for _, value in series["values"]]
    axes.text(0.5, 0.62, f"{numbers[-1] * scale:.3g}{unit}", ha="center", va="center", fontsize=17,
              transform=axes.transAxes)  # fmt: skip
    if panel["options"]["graphMode"] == "area":
        axes.fill_between([at - began for at, _ in series["values"]], numbers, color="#3a7ca5", alpha=0.25)
    else:
        axes.text(0.5, 0.2, legend(panel["targets"][0], series["metric"]), ha="center", fontsize=7,
                  transform=axes.transAxes)  # fmt: skip
    axes.set_axis_off()


def draw_lines(axes: Axes, panel: dict[str, Any], queries: list[list[dict]], began: float) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    scale, unit = SCALES[defaults["unit"]]
    lines = [
        (legend(target, series["metric"]), [(at - began, float(value)) for at, value in series["values"]])
        for target, query in zip(panel["targets"], queries, strict=True)
        for series in query
    ]
    lines = [line for line in lines if any(value > 0 for _, value in line[1])] or lines[:1]
    if "stacking" in defaults["custom"]:
        times = sorted({at for _, points in lines for at, _ in points})
        heights = [[dict(points).get(at, 0.0) for at in times] for _, points in lines]
        fixed = {each["matcher"]["options"]: each["properties"][0]["value"]["fixedColor"].replace("-", "")
                 for each in panel["fieldConfig"]["overrides"]}  # fmt: skip
        axes.stackplot(times, heights, labels=[name for name, _ in lines], alpha=0.6,
                       colors=[fixed.get(name, "gray") for name, _ in lines])  # fmt: skip
    else:
        for name, points in lines:
            axes.plot(*zip(*points, strict=True), label=name, linewidth=1)
    axes.set_ylim(0, 1.25 * axes.get_ylim()[1])  # Room for the legend.
    if defaults["unit"] == "bytes" and axes.get_ylim()[1] > MEGABYTE:
        scale, unit = 1 / MEGABYTE, " MB"
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value * scale:.3g}{unit}"))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} s"))
    axes.tick_params(labelsize=6)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=6, loc="upper left", ncols=3, framealpha=0.6)


def legend(target: dict[str, Any], labels: dict[str, str]) -> str:
    text = target["legendFormat"]
    for name, value in labels.items():
        text = text.replace("{{" + name + "}}", value)
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figures", type=Path)
    parser.add_argument("picture", type=Path)
    chosen = parser.parse_args()
    figure = draw(json.loads(DASHBOARD.read_text())["panels"], json.loads(chosen.figures.read_text()))
    drawn = BytesIO()
    figure.savefig(drawn, dpi=DOTS_PER_INCH)
    Image.open(drawn).convert("RGB").quantize(COLOURS).save(chosen.picture, optimize=True)


if __name__ == "__main__":
    main()
