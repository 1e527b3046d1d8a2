"""What is known of a release: what is wrong there, what was fixed before, and what nobody has tried."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from patches.patch import Fact, Patch
from patches.releases import version_number

HOLDS, FIXED, ABSENT, UNTRIED = "holds", "fixed", "not yet", "not tried"


@dataclass(frozen=True)
class ReleaseReport:
    """Facts by what they are for one release."""

    version: str | None
    still: tuple[Fact, ...]
    fixed: tuple[Fact, ...]
    untried: tuple[Fact, ...]

    @property
    def worth_having(self) -> bool | None:
        """None where nothing is known to be wrong, but something was not tried."""
        return True if self.still else None if self.untried else False

    @property
    def fixed_line(self) -> str:
        where = [", ".join(filter(None, (fact.fixed_in, fact.fixed_by))) for fact in self.fixed]
        told = [f"{fact.text} (in {place})" for fact, place in zip(self.fixed, where, strict=True)]
        return "; ".join(told) or "nothing of this"

    @property
    def adds_line(self) -> str:
        if self.still:
            return "worth having, because here " + "; ".join(fact.text for fact in self.still)
        return "not known to be needed" if self.untried else "no longer needed"

    @property
    def untried_line(self) -> str:
        """ "" where everything was tried."""
        tried = sorted({release for fact in self.untried for release in fact.tried}, key=version_number)
        span = f" (but on some from {tried[0]} to {tried[-1]})" if tried else ""
        return f"not tried on {self.version or 'an unknown release'}{span}" if self.untried else ""


def describe_release(version: str | None, facts: Iterable[Fact]) -> ReleaseReport:
    """`version` None means unknown: nothing is then said to hold."""
    by_verdict: dict[str, list[Fact]] = {HOLDS: [], FIXED: [], ABSENT: [], UNTRIED: []}
    for fact in facts:
        by_verdict[verdict_on(fact, version)].append(fact)
    still, fixed, untried = (tuple(by_verdict[verdict]) for verdict in (HOLDS, FIXED, UNTRIED))
    return ReleaseReport(version, still, fixed, untried)


def verdict_on(fact: Fact, version: str | None) -> str:
    """Between two releases that were tried a fact is what it is on both; beyond them nobody knows."""
    if version is None or not fact.tried:
        return UNTRIED
    number = version_number(version)
    if not version_number(fact.tried[0]) <= number <= version_number(fact.tried[-1]):
        return UNTRIED
    if fact.fixed_in and number >= version_number(fact.fixed_in):
        return FIXED
    return ABSENT if fact.since and number < version_number(fact.since) else HOLDS


def facts_of(patches: Iterable[Patch]) -> tuple[Fact, ...]:
    """Every fact once."""
    return tuple(dict.fromkeys(fact for patch in patches for fact in patch.facts))
