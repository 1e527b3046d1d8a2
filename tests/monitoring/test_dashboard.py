"""The dashboard, read with Grafana's own library. That its queries find something is in test_redis_goes_away."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from lab import dashboard

NEEDS_GRAFANAS_LIBRARY = pytest.mark.skipif(sys.version_info < (3, 11), reason="Grafana's library needs Python 3.11")


def unknown_to_grafana(board: dict[str, Any]) -> list[str]:
    """Where `board` has what Grafana's schema of dashboards, panels, options and queries does not have."""
    from grafana_foundation_sdk.cog import plugins
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.models.dashboard import Dashboard

    plugins.register_default_plugins()
    read = json.loads(json.dumps(Dashboard.from_json(board), cls=JSONEncoder))
    return list(differences(board, read, "dashboard"))


def differences(one: Any, other: Any, path: str) -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in one:
            yield from differences(one[key], other.get(key), f"{path}.{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, pair in enumerate(zip(one, other, strict=True)):
            yield from differences(*pair, f"{path}[{number}]")
    elif one != other:
        yield path


@NEEDS_GRAFANAS_LIBRARY
def test_everything_in_it_is_in_grafanas_schema() -> None:
    assert unknown_to_grafana(dashboard.load()) == []


@NEEDS_GRAFANAS_LIBRARY
@pytest.mark.parametrize(
    "place, key",
    [((), "titel"), (("panels", 4, "options"), "legends"), (("panels", 4, "targets", 0), "expression"),
     (("panels", 4, "fieldConfig", "defaults", "custom"), "lineWidht"), (("templating", "list", 0), "querry")],
)  # fmt: skip
def test_a_misspelt_field_would_be_noticed(place: tuple[str | int, ...], key: str) -> None:
    board = dashboard.load()
    spot: Any = board
    for step in place:
        spot = spot[step]
    spot[key] = "x"
    assert [path.rsplit(".", 1)[1] for path in unknown_to_grafana(board)] == [key]


def test_panels_have_numbers_of_their_own_and_do_not_overlap() -> None:
    panels = dashboard.load()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24  # Grafana's grid


def test_every_panel_says_what_it_shows_and_asks_the_chosen_data_source() -> None:
    for panel in dashboard.load()["panels"]:
        assert panel["description"] and panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}
