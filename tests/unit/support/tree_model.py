"""What a store ought to hold and answer, said without Redis: turns, lives, deletions, erasures, losses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.store import NO_TURN
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.owner import Owner
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.results import Miss

# Time passes in steps, so that the seconds which a test itself takes decide nothing: a life ends between the third step
# and the fourth, and so does everything that is to outlive it by the seconds of grace.
TTL_SECONDS, STEP_SECONDS = 1_000, 300


@dataclass
class Conversation:
    """``parents`` and ``said``: of each turn that was ever in it, the turn before and all inputs up to it. ``ends``: of
    each response that was neither deleted nor lost. ``kept_until``: of its keys. ``is_damaged``: a key of it was lost.
    """

    owner: Owner
    parents: dict[str, str] = field(default_factory=dict)
    said: dict[str, tuple[str, ...]] = field(default_factory=dict)
    ends: dict[str, int] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    people: set[str] = field(default_factory=set)
    is_there: bool = False
    is_erased: bool = False
    is_damaged: bool = False
    kept_until: int = 0

    def lose(self) -> None:
        """All its keys."""
        self.is_there = self.is_erased = self.is_damaged = False
        self.ends.clear()
        self.deleted.clear()
        self.people.clear()

    def erase(self, now: int) -> None:
        self.lose()
        self.is_there = self.is_erased = True
        self.kept_until = now + TTL_SECONDS

    def add(self, path: Iterable[tuple[str, tuple[str, ...]]], before: str, people: Iterable[str], now: int) -> None:
        """``path``: each turn, oldest first, and all that was said up to it."""
        self.is_there = True
        self.people.update(people)
        for turn, said in path:
            self.parents[turn], self.said[turn] = before, said
            before = turn
        self.renew(before, now)

    def renew(self, turn: str, now: int) -> None:
        self.ends[turn] = self.kept_until = now + TTL_SECONDS

    def delete(self, turn: str, now: int) -> None:
        del self.ends[turn]
        self.deleted.add(turn)
        self.kept_until = now + TTL_SECONDS

    def why_not(self, turn: str, reader: Owner, now: int) -> Miss | None:
        """Why ``reader`` cannot have a turn; of a damaged conversation there may be more reasons."""
        if not self.is_there:
            return Miss.UNKNOWN
        if reader.identity != self.owner.identity:
            return Miss.DENIED
        if self.is_erased or turn in self.deleted:
            return Miss.DELETED
        return None if turn in self.live(now) else Miss.UNKNOWN

    def live(self, now: int) -> set[str]:
        return {turn for turn, ends in self.ends.items() if ends > now}

    def reached_from(self, turns: Iterable[str]) -> set[str]:
        """These and all before them."""
        reached: set[str] = set()
        for turn in turns:
            while turn not in (NO_TURN, *reached):
                reached.add(turn)
                turn = self.parents[turn]
        return reached
