"""What a remembered turn costs, as plots: bytes by turns, and the store's time by turns. Needs matplotlib alone.

python -m bench.cost.picture
"""

from __future__ import annotations

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .results import FOLDER, read

PICTURE = FOLDER.with_name("cost.svg")
TURNS = (1, 10, 100, 1000)


def bytes_by_turns(axes: Axes) -> None:
    rows = [row for row in read("sizes")["rows"] if row["name"].endswith("turns of 2 kB")]
    kept = {
        "the whole history with each response": "whole_histories_bytes",
        "the messages as JSON": "raw_json_bytes",
        "the fork in Redis, all keys": "redis_bytes",
    }
    for name, figure in kept.items():
        shown = [(row["turns"], row[figure]) for row in rows if row.get(figure)]
        axes.plot(*zip(*shown, strict=True), marker="o", label=name)
    rows = [row for row in read("conversations")["bytes"] if row["name"].endswith("turns of 2 kB")]
    shown = [(row["turns"], row["postgresql"]["upstream"]["bytes"]) for row in rows]
    axes.plot(*zip(*shown, strict=True), marker="o", label="LiteLLM's rows in PostgreSQL")
    axes.set(title="a conversation, turns of 2 kB", xlabel="turns", ylabel="bytes", xscale="log", yscale="log")


def time_by_turns(axes: Axes) -> None:
    figures = read("store")["figures"]
    for name, label in (("load", "loading all turns"), ("append", "storing one more")):
        low, middle, high = zip(*(figures[f"{name} {turns}"]["ms"] for turns in TURNS), strict=True)
        axes.plot(TURNS, middle, marker="o", label=label)
        axes.fill_between(TURNS, low, high, alpha=0.2)
    axes.axhline(figures["ping"]["ms"][1], color="grey", linestyle=":", label="a bare PING")
    axes.set(title="the store alone, on loopback", xlabel="turns before", ylabel="ms", xscale="log", yscale="log")


def main() -> None:
    mpl.rcParams.update({"svg.hashsalt": "cost", "svg.fonttype": "none"})  # the same data give the same small file
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    for axes, draw in zip(figure.subplots(1, 2), (bytes_by_turns, time_by_turns), strict=True):
        draw(axes)
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    figure.savefig(PICTURE, metadata={"Date": None})
    print(f"written: {PICTURE}")


if __name__ == "__main__":
    main()
