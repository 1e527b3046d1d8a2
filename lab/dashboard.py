"""The Grafana dashboard's panels, and their queries as Grafana would send them."""

from __future__ import annotations

import json
from typing import Any

from .trees import ROOT

PATH = ROOT / "deploy" / "monitoring" / "dashboard.json"


def load() -> dict[str, Any]:
    return json.loads(PATH.read_text(encoding="utf-8"))


def queries(panel: dict[str, Any], rate_seconds: int) -> list[str]:
    """`rate_seconds`: what Grafana puts in for `$__rate_interval`; it is four scrapes by default."""
    return [
        target["expr"].replace("$__rate_interval", f"{rate_seconds}s").replace("$job", ".*")
        for target in panel["targets"]
    ]
