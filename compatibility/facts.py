"""The catalogue's facts against what the live matrix saw: no fact holds for a release where nobody saw it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from compatibility.defects import NOT_SHOWN, SHOWN
from compatibility.live_run import HELD, LiveRow
from compatibility.releases import sort_key
from patches.facts import ABSENT, HOLDS, UNTRIED, verdict_on
from patches.patch import Fact


def seen(fact: Fact, row: LiveRow) -> str:
    """SHOWN, NOT_SHOWN, or why nobody knows; "" where the row is without it. A scene shows a defect where it does not
    hold in any format with the patch off."""
    if fact.scene in row.defects:
        return row.defects[fact.scene]
    before = [cell.before for cell in row.cells if cell.scene == fact.scene and cell.control == HELD]
    if not before:
        return ""
    return NOT_SHOWN if HELD in before else SHOWN


def contradictions(facts: Sequence[Fact], rows: Sequence[LiveRow]) -> Iterator[str]:
    """One sentence for each release where a fact says another thing than what was seen, says that it was tried where it
    could not be watched though it is to be there, or does not say so of one newer than those that it names."""
    for fact, row in ((fact, row) for fact in facts for row in rows):
        what, verdict = seen(fact, row), verdict_on(fact, row.release)
        is_known = what in (SHOWN, NOT_SHOWN)
        if is_known and verdict != UNTRIED and (verdict == HOLDS) is not (what == SHOWN):
            yield f"{fact.text}: {what} on {row.release}, and the catalogue says {verdict!r}"
        is_newer = not fact.tried or sort_key(row.release) > sort_key(fact.tried[-1])
        is_said = row.release in fact.tried and verdict != ABSENT
        if row.defects and (is_newer if is_known else is_said):
            yield f"{fact.text}: {'tried' if is_known else 'not tried'} on {row.release}, the catalogue says otherwise"
