"""What the dashboard's queries give while a Redis goes away and comes back: figures for `bench.dashboard_picture`."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from lab import dashboard
from lab.monitoring import RATE_SECONDS, Scene, scene
from lab.provider import Provider
from lab.proxy import ProxyOptions
from lab.trees import tree

WELL_SECONDS, AWAY_SECONDS, AGAIN_SECONDS = 60, 45, 75


def play(seen: Scene) -> tuple[float, float]:
    """When it began and ended, in seconds of the epoch."""
    began = time.time()
    for seconds, change in ((WELL_SECONDS, None), (AWAY_SECONDS, seen.redis.crash), (AGAIN_SECONDS, seen.redis.start)):
        if change is not None:
            change()
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            seen.talk(turns=5)
    return began, time.time()


def figures(seen: Scene, began: float, ended: float) -> list[dict[str, Any]]:
    """For each panel its title and, for each of its queries, the series."""
    return [
        {
            "title": panel["title"],
            "queries": [
                seen.prometheus.query_range(query, began + RATE_SECONDS, ended, 1)
                for query in dashboard.queries(panel, RATE_SECONDS)
            ],
        }
        for panel in dashboard.load()["panels"]
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    output = parser.parse_args().output
    with Provider() as provider, scene(ProxyOptions(provider.url, tree("patched"))) as seen:
        output.write_text(json.dumps(figures(seen, *play(seen))))


if __name__ == "__main__":
    main()
