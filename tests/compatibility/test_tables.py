"""What people read: the matrix and the live matrix."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from compatibility import live_report, report
from compatibility.cli import fork_digest
from compatibility.journal import Journal
from compatibility.live_run import Cell, LiveRow, cause_of
from compatibility.scenes import SCENES, STEP_OF, scenes_for
from compatibility.trial import EXACT, UNFIT, Trial

HEAD = {"command": "make", "date": "2026-01-01", "python": "3.11", "fork": "abc", "selection": "final releases"}
STEPS = {"unpack": 0.5, "check": 1.0}


def rows() -> list[report.Row]:
    return [
        report.row_of(Trial("1.85.7", EXACT, through="command", seconds=STEPS, files=2715, edits=14)),
        report.row_of(Trial("1.106.2", EXACT, through="API", seconds=STEPS, files=3000, edits=14)),
        report.refused_row("1.107.0"),
        report.row_of(Trial("1.200.0", UNFIT, "handler.py: expected one function f; found none", seconds=STEPS)),
    ]


def line_of(table: str, release: str) -> list[str]:
    (line,) = [line for line in table.splitlines() if line.startswith(f"| {release} ")]
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.mark.parametrize("path", ["patches/plan.py", "patches/catalogue.txt", "litellm/deep/in/it.py"])
def test_each_source_of_the_fork_and_of_its_tool_counts_in_its_digest(tmp_path: Path, path: str) -> None:
    before = fork_digest(tmp_path)
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text("changed")
    assert fork_digest(tmp_path) != before


def test_one_row_a_release_with_what_is_fixed_and_what_is_added() -> None:
    table = report.markdown({**HEAD, "rows": rows()})
    assert line_of(table, "1.85.7")[:6] == ["1.85.7", "exact, by command", "1.5", "2,715", "14", "(none)"]
    assert line_of(table, "1.106.2")[5] == "F1-F4"
    assert "- F1: list-shaped input loses" in table
    for mark in line_of(table, "1.106.2")[6].replace("-", " ").split():
        assert f"- {mark}: " in table


def test_the_summary_counts_and_a_refused_release_is_no_failure() -> None:
    summary = report.summary_of(rows())
    assert (summary["releases"], summary["exact"], summary["percent"]) == (3, 2, 66.67)
    assert summary["states"] == {"exact": 2, "refused": 1, "does not fit": 1}
    assert report.summary_line(rows(), "Final").startswith("Final: 2 of 3 releases (66.67 %) apply")


def test_what_no_longer_fits_is_said_in_full() -> None:
    table = report.markdown({**HEAD, "rows": rows()})
    assert "- 1.200.0: handler.py: expected one function f; found none" in table
    assert "- 1.107.0: LiteLLM 1.107.0 was withdrawn from the registry as compromised" in table
    assert line_of(table, "1.200.0")[:2] == ["1.200.0", "does not fit"]


def test_no_rows_make_a_table_too() -> None:
    assert report.summary_of([])["percent"] is None
    assert "0 of 0 releases" in report.markdown({**HEAD, "rows": []})


def cells(before: str, after: str, control: str = "") -> tuple[Cell, ...]:
    return tuple(
        Cell(scene, model, stream, before, after, control)
        for scene in SCENES
        for model in ("gemini-model", "claude-model", "chat-model")
        for stream in (False, True)
    )


def test_the_live_table_has_before_and_after_side_by_side() -> None:
    table = live_report.markdown(HEAD, [LiveRow("1.85.7", cells=cells("lost", ""), reverted="")])
    assert line_of(table, "1.85.7")[1:3] == ["its own", "0/6 -> 6/6"]
    everything = 6 * len(SCENES)
    assert line_of(table, "1.85.7")[-1] == f"0/{everything} -> {everything}/{everything}"
    assert f"1 of the 1 releases that run remember everything: {everything} of {everything} scenes" in table


def test_a_step_that_a_release_does_not_have_is_neither_held_nor_lost() -> None:
    played = tuple(cell for cell in cells("lost", "") if cell.scene not in STEP_OF)
    row = LiveRow("1.85.7", cells=played, reverted="")
    line = line_of(live_report.markdown(HEAD, [row]), "1.85.7")
    assert line.count("-") == len(STEP_OF) and line[-1] == f"0/{len(played)} -> {len(played)}/{len(played)}"
    assert live_report.remembers_everything(row)


def test_a_scene_of_a_step_is_played_where_the_release_has_its_file(tmp_path: Path) -> None:
    assert set(scenes_for(tmp_path)) == set(SCENES) - set(STEP_OF)
    for scene, path in STEP_OF.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
        assert scene in scenes_for(tmp_path)


def test_what_upstream_does_not_serve_is_not_counted_but_told() -> None:
    last, others = list(SCENES)[-1], 6 * len(SCENES) - 1
    refused = Cell(last, "chat-model", True, "x", "x", "HTTP 500")
    row = LiveRow("1.74.15", cells=(*cells("lost", "")[:-1], refused))
    table = live_report.markdown(HEAD, [row])
    assert line_of(table, "1.74.15")[-2:] == ["0/5 -> 5/5*", f"0/{others} -> {others}/{others}*"]
    assert f"- 1.74.15*: {last}: upstream does not serve OpenAI chat stream" in table
    assert live_report.remembers_everything(row)


def test_a_failure_and_a_release_that_does_not_run_are_told() -> None:
    failed = LiveRow("1.99.4", "1.99.3", "no such pin", cells=cells("lost", "the provider got 1 messages of 3"))
    table = live_report.markdown(HEAD, [failed, LiveRow("1.103.11", problem="does not install: a pin is missing")])
    assert line_of(table, "1.99.4")[1] == "dependencies of 1.99.3"
    assert "**branches failed** for Gemini plain" in table
    assert line_of(table, "1.103.11")[1] == "none"
    assert "- 1.103.11: does not install: a pin is missing" in table
    assert not live_report.remembers_everything(failed)
    assert "1 releases do not run here" in table


def test_a_proxy_that_does_not_start_is_told_by_the_first_error_of_a_chain() -> None:
    log = """Traceback (most recent call last):
  File "a.py", line 1, in <module>
    import enterprise
ModuleNotFoundError: No module named 'enterprise'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
ModuleNotFoundError: No module named 'proxy_server'
"""
    assert cause_of(log) == "ModuleNotFoundError: No module named 'enterprise'"
    assert cause_of("x\nhttpx.ConnectError: refused\n") == "httpx.ConnectError: refused"
    assert cause_of("ImportError: no 'a' in 'b' (/x/b.py)\n") == "ImportError: no 'a' in 'b'"
    assert cause_of("it just ended") == "it just ended"
    assert cause_of("") == "no message"


def test_the_json_has_a_row_a_line_and_is_the_report() -> None:
    whole = {**HEAD, "rows": rows()}
    text = report.as_json(whole)
    assert json.loads(text) == json.loads(json.dumps(whole))
    assert len([line for line in text.splitlines() if '"release"' in line]) == len(rows())


def test_a_run_that_was_stopped_goes_on_with_what_it_found(tmp_path: Path) -> None:
    journal = Journal.of("trials", "abc", tmp_path / "new")
    assert journal.rows() == []
    first, *others = rows()
    for row in ({**first, "state": "damaged"}, *others, first):
        journal.add(row)
    with journal.path.open("a") as lines:
        lines.write('{"release": "1.106.2", "st')  # killed while it wrote
    assert sorted(journal.rows(), key=str) == sorted([first, *others], key=str)
    assert Journal.of("trials", "another fork", tmp_path / "new").rows() == []


def test_a_row_of_the_live_matrix_comes_back_from_the_journal(tmp_path: Path) -> None:
    row = LiveRow("1.85.7", cells=cells("lost", ""), reverted="")
    journal = Journal.of("live", "abc", tmp_path)
    journal.add(row.to_dict())
    assert [LiveRow.from_dict(each) for each in journal.rows()] == [row]
