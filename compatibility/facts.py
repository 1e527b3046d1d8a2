"""The catalogue's facts against what the live matrix saw: no fact holds for a release where nobody saw it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from compatibility.defects import NOT_SHOWN, SHOWN
from compatibility.live_run import HELD, LiveRow
from patches.facts import HOLDS, UNTRIED, verdict_on
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
    """One sentence for each release where a fact says another thing than what was seen, or says that it was tried
    where it was not, or does not say so where it was."""
    for fact in facts:
        watched = {row.release: seen(fact, row) for row in rows}
        tried = [release for release, what in watched.items() if what in (SHOWN, NOT_SHOWN)]
        if tried != list(fact.tried):
            yield f"{fact.text}: tried on {', '.join(tried)}, and the catalogue says {', '.join(fact.tried)}"
        for release in tried:
            verdict = verdict_on(fact, release)
            if verdict != UNTRIED and (verdict == HOLDS) is not (watched[release] == SHOWN):
                yield f"{fact.text}: {watched[release]} on {release}, and the catalogue says {verdict!r}"
