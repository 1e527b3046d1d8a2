"""What `status` states of releases is what the live matrix saw there."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from compatibility import live_report
from compatibility.defects import DEFECTS, NOT_SHOWN, SHOWN
from compatibility.facts import contradictions, seen
from compatibility.live_run import Cell, LiveRow
from compatibility.scenes import SCENES
from patches import PATCHES, facts_of
from patches.patch import Fact

RESULTS = Path(__file__).resolve().parents[2] / "bench" / "results"
FACT = Fact("it forgets", "a long message", ("1.85.7", "1.106.2"), fixed_in="1.100.0")
ROWS = [LiveRow("1.85.7", defects={FACT.scene: SHOWN}), LiveRow("1.106.2", defects={FACT.scene: NOT_SHOWN})]


@pytest.mark.parametrize("path", sorted(RESULTS.glob("live_*.json")), ids=lambda path: path.stem)
def test_the_catalogue_states_what_the_recorded_runs_saw_and_nothing_else(path: Path) -> None:
    rows = [LiveRow.from_dict(row) for row in json.loads(path.read_text())["rows"]]
    assert any(seen(fact, row) for fact in facts_of(PATCHES) for row in rows), "it says nothing of any fact"
    assert list(contradictions(facts_of(PATCHES), rows)) == []


def test_every_fact_has_a_scene_that_shows_it() -> None:
    assert {fact.scene for fact in facts_of(PATCHES)} - set(SCENES) == set(DEFECTS)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"fixed_in": ""}, "it forgets: not shown on 1.106.2, and the catalogue says 'holds'"),
        ({"fixed_in": "1.80.0"}, "it forgets: shown on 1.85.7, and the catalogue says 'fixed'"),
        ({"tried": ("1.85.7",)}, "it forgets: tried on 1.106.2, the catalogue says otherwise"),
    ],
)
def test_a_fact_that_nobody_saw_is_a_contradiction(change: dict[str, object], said: str) -> None:
    assert list(contradictions([FACT], ROWS)) == []
    assert said in list(contradictions([dataclasses.replace(FACT, **change)], ROWS))


def test_between_two_that_were_tried_a_release_shows_what_they_do() -> None:
    before, after = LiveRow("1.99.4", defects={FACT.scene: SHOWN}), LiveRow("1.104.0", defects={FACT.scene: NOT_SHOWN})
    assert list(contradictions([FACT], [*ROWS, before, after])) == []
    otherwise = LiveRow("1.99.4", defects={FACT.scene: NOT_SHOWN})
    said = ["it forgets: not shown on 1.99.4, and the catalogue says 'holds'"]
    assert list(contradictions([FACT], [*ROWS, otherwise])) == said


def test_a_watch_that_came_to_no_end_is_no_trial() -> None:
    rows = [ROWS[0], LiveRow("1.106.2", defects={FACT.scene: "HTTP 500"})]
    assert list(contradictions([FACT], rows)) == ["it forgets: not tried on 1.106.2, the catalogue says otherwise"]


def test_a_scene_shows_a_defect_where_it_holds_in_no_format_that_upstream_serves() -> None:
    fact = Fact("no memory", "string input", ())
    lost, held = (Cell("string input", "chat-model", False, before, "") for before in ("lost", ""))
    not_served = Cell("string input", "chat-model", True, "x", "x", "HTTP 500")
    assert seen(fact, LiveRow("1", cells=(lost, not_served))) == SHOWN
    assert seen(fact, LiveRow("1", cells=(lost, held))) == NOT_SHOWN
    assert seen(fact, LiveRow("1", cells=(not_served,))) == ""


def test_the_live_table_shows_what_is_wrong_upstream() -> None:
    table = live_report.markdown({"command": "c", "date": "d", "python": "3", "fork": "f"}, ROWS)
    assert "| a long message | shown | not shown |" in table
    borrowed = LiveRow(
        "1.110.2",
        "1.106.2",
        "a pin is missing",
        added=("semver",),
        cells=(Cell("branches", "chat-model", False, "", ""),),
    )
    table = live_report.markdown({"command": "c", "date": "d", "python": "3", "fork": "f"}, [borrowed])
    assert "| 1.110.2 | dependencies of 1.106.2, and semver |" in table
