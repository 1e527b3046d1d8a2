"""Conversations on a real Redis, done to at random, and a model of what must become of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from redis import Redis

from litellm.responses.litellm_completion_transformation.redis_session_patch.api.erasing import erase
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis import scripts
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.store import NO_TURN
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.ids import Place
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.owner import Owner, digest_of
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.results import Miss, NotStored
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.turns import NO_TURNS, Chain

from .support.clients import Twice
from .support.passing_time import pass_time
from .support.runtimes import runtime_on
from .support.stores import ALICE, BOB, keys_of, place_after, store_on, turn_of
from .support.tree_in_redis import Inside
from .support.tree_model import STEP_SECONDS, TTL_SECONDS, Conversation

COLLECTED_AT_ONCE, MAX_TURNS = 3, 9
# Two people who share a key, and a stranger to them.
ANN, BEN = (replace(ALICE, claimed_end_user=digest_of(name)) for name in ("ann", "ben"))
PEOPLE = {"ann": ANN, "ben": BEN}
people = st.sampled_from([ANN, BEN, BOB])
friends = st.sampled_from([ANN, BEN])
picks = st.integers(0, 99)
lengths = st.integers(0, 5)
some_keys = st.one_of(st.sets(st.sampled_from([0, 1, 2])), st.just({0, 1, 2}))


class Conversations(RuleBasedStateMachine):
    """``places``: of all turns ever stored. ``held``: chains that somebody read, each with the time of that; they may
    be followed long after, and more than once.
    """

    def __init__(self, client: Redis):
        super().__init__()
        self.client, self.inside, self.loop = client, Inside(client), asyncio.new_event_loop()
        client.flushall()
        self.now = 0
        self.texts = (f"said {number} " * 9 for number in count())
        self.conversations: dict[str, Conversation] = {}
        self.places: list[Place] = []
        self.held: list[tuple[Chain, int]] = []
        self.erased_at: dict[str, int] = {}

    @initialize(is_sealed=st.booleans(), who=people, length=lengths)
    def open(self, is_sealed: bool, who: Owner, length: int) -> None:
        self.options: dict[str, Any] = {
            "ttl_seconds": TTL_SECONDS,
            "max_turns": MAX_TURNS,
            "encryption_keys": (bytes(32),) if is_sealed else (),
            "encryption_required": is_sealed,
        }
        self.store = store_on(Twice(self.client, "append", "erase"), **self.options)
        self.begin(who, length)

    def teardown(self) -> None:
        self.loop.close()

    @rule(who=people, length=lengths)
    def begin(self, who: Owner, length: int) -> None:
        if (place := self._append(NO_TURNS, 0, who)) is not None:
            self._grow(place, who, length)

    @rule(pick=picks, who=friends, length=lengths)
    def grow(self, pick: int, who: Owner, length: int) -> None:
        if (place := self._place(pick)) is not None:
            self._grow(place, who, length)

    @rule(pick=picks, who=people, is_soon=st.booleans())
    def read(self, pick: int, who: Owner, is_soon: bool) -> None:
        place = self._place(pick)
        if place is not None and (chain := self._read(place, who, is_soon)) is not None:
            self.held.append((chain, self.now))

    @precondition(lambda self: self.held)
    @rule(pick=picks, who=friends)
    def follow(self, pick: int, who: Owner) -> None:
        self._append(*self.held[-1 - pick % len(self.held)], who)

    @rule(pick=picks, who=people)
    def delete(self, pick: int, who: Owner) -> None:
        if (place := self._place(pick)) is None:
            return
        conversation = self.conversations[place.conversation]
        why_not, before = conversation.why_not(place.turn, who, self.now), self.inside.everything()
        result = self._wait(self.store.delete(place, who))
        assert result is why_not or (conversation.is_damaged and result)
        if result is not None:
            assert self.inside.everything() == before
            return
        conversation.delete(place.turn, self.now)
        if not conversation.is_damaged:
            assert self._garbage(place) == (0, 0)
        if not self.inside.tree(place):
            conversation.people.clear()

    @rule(steps=st.integers(1, 2))
    def pass_time(self, steps: int) -> None:
        seconds = steps * STEP_SECONDS
        pass_time(self.client, seconds)
        self.now += seconds
        self.held = [(replace(chain, asked_at=chain.asked_at - seconds), at) for chain, at in self.held]
        for conversation in self.conversations.values():
            if conversation.kept_until <= self.now:
                conversation.lose()

    @rule(pick=picks)
    def go_on_with_one_alone(self, pick: int) -> None:
        """Until all others have ended."""
        if (place := self._place(pick)) is not None:
            for _ in range(TTL_SECONDS // STEP_SECONDS + 1):
                self._read(place, self._owner_of(place))
                self.pass_time(1)

    @rule(pick=picks, who=friends, name=st.sampled_from([*PEOPLE, None, None]), keys=some_keys)
    def do_harm_while_a_turn_is_under_way(self, pick: int, who: Owner, name: str | None, keys: set[int]) -> None:
        if (place := self._place(pick)) is None:
            return
        chain = self._read(place, self._owner_of(place))
        if chain is not None:
            self.held.append((chain, self.now))
        if keys:
            self._lose_keys(place, keys)
        if name is not None:
            self._erase(name)
        if chain is not None:
            new = self._append(*self.held[-1], who)
            assert new is None or self._read(new, self._owner_of(new))

    @rule(pick=picks)
    def use_until_all_is_collected(self, pick: int) -> None:
        place = self._place(pick)
        conversation = self.conversations[place.conversation] if place else None
        if conversation is None or conversation.is_damaged or place.turn not in conversation.live(self.now):
            return
        while (before := self._garbage(place)) != (0, 0):
            self._read(place, conversation.owner)
            ended, turns = self._garbage(place)
            assert ended + turns < sum(before)
            assert before[1] - turns <= COLLECTED_AT_ONCE
        assert set(self.inside.tree(place)) == conversation.reached_from(conversation.live(self.now))

    def _place(self, pick: int) -> Place | None:
        """Mostly one whose response lives."""
        live = [place for place in self.places if self._is_live(place)]
        among = live if live and pick % 4 else self.places
        return among[-1 - pick % len(among)] if among else None

    def _is_live(self, place: Place) -> bool:
        conversation = self.conversations[place.conversation]
        return place.turn in conversation.live(self.now) and not conversation.is_damaged

    def _grow(self, place: Place | None, who: Owner, length: int) -> None:
        """Turns after one another."""
        while length and place is not None:
            chain = self._read(place, self._owner_of(place))
            place, length = chain and self._append(chain, self.now, who), length - 1

    def _wait(self, asked: Any) -> Any:
        return self.loop.run_until_complete(asked)

    def _erase(self, name: str) -> None:
        runtime = runtime_on(Twice(self.client, "erase"), **self.options)
        assert list(erase(runtime, {"end_user": name}, False))
        tag = PEOPLE[name].tag
        for its_name, conversation in self.conversations.items():
            is_marked, is_theirs = self.inside.is_marked(Place(its_name, NO_TURN)), tag in conversation.people
            assert is_marked == (is_theirs or conversation.is_erased) or conversation.is_damaged
            if is_theirs and is_marked:
                conversation.erase(self.now)
        self.erased_at[tag] = self.now
        self.pass_time(1)  # What is asked for now is younger.

    def _lose_keys(self, place: Place, keys: set[int]) -> None:
        """As a full Redis evicts them."""
        conversation = self.conversations[place.conversation]
        self.client.delete(*(keys_of(place)[number] for number in keys))
        if self.client.exists(*keys_of(place)):
            conversation.is_damaged = True
        else:
            conversation.lose()

    def _owner_of(self, place: Place) -> Owner:
        return self.conversations[place.conversation].owner

    @invariant()
    def redis_holds_what_is_reached(self) -> None:
        for name, conversation in self.conversations.items():
            if not conversation.is_damaged:
                self.inside.check(name, conversation, self.now)

    def _read(self, place: Place, who: Owner, is_soon: bool = False) -> Chain | None:
        """``is_soon``: perhaps in the same second as the last one, so that there is nothing to renew."""
        conversation = self.conversations[place.conversation]
        why_not, before = conversation.why_not(place.turn, who, self.now), self.inside.everything()
        if not is_soon and why_not is None and not conversation.is_damaged:
            self.client.zincrby(keys_of(place)[2], -5, place.turn)
        found = self._wait(self.store.read(place, who))
        if isinstance(found, Miss):
            assert found is why_not or conversation.is_damaged
            assert self.inside.everything() == before
            return None
        assert why_not is None
        assert tuple(turn.items for turn in found.turns) == conversation.said[place.turn]
        conversation.renew(place.turn, self.now)
        return found

    def _append(self, chain: Chain, read_at: int, who: Owner) -> Place | None:
        """``who``: one of the friends stands for all of them; a stranger's conversation is only the stranger's."""
        place, text = place_after(chain), next(self.texts)
        tip = chain.tip.place if chain.tip else None
        if tip is not None and self._owner_of(tip) is BOB:
            who = BOB
        conversation = self.conversations.setdefault(place.conversation, Conversation(who))
        is_damaged, follows = conversation.is_damaged, tip is not None and tip.conversation == place.conversation
        must_not = follows and (conversation.is_erased or tip.turn in conversation.deleted)
        goes_on = follows and not must_not and self.inside.has(tip)
        by = {tag for turn in chain.turns for tag in turn.by}
        erased = not goes_on and any(self._was_erased_since(tag, read_at) for tag in (*by, who.tag)) and chain.turns
        too_long = len(chain.turns) == MAX_TURNS
        before = self.conversations[tip.conversation] if tip is not None and not follows else None
        erased = erased or (before is not None and before.why_not(tip.turn, who, self.now) is Miss.DELETED)
        is_damaged = is_damaged or (before is not None and before.is_damaged)
        try:
            self._wait(self.store.append(place, [turn_of(text, who)], chain, who))
        except NotStored:
            assert must_not or erased or too_long or is_damaged
            if self.inside.is_marked(place) and not conversation.is_erased:
                assert erased or is_damaged
                conversation.erase(self.now)
            return None
        assert is_damaged or not (must_not or erased or too_long)
        said = [*(turn.items for turn in chain.turns), text]
        path = self.inside.path(place)
        assert len(path) == len(said)
        together = [(turn, tuple(said[: number + 1])) for number, turn in enumerate(path)]
        if goes_on:
            conversation.add(together[-1:], tip.turn, (who.tag,), self.now)
        else:
            conversation.add(together, NO_TURN, (*by, who.tag), self.now)
        self.places.append(place)
        return place

    def _was_erased_since(self, tag: str, read_at: int) -> bool:
        at = self.erased_at.get(tag)
        return at is not None and read_at <= at and self.now - at < TTL_SECONDS

    def _garbage(self, place: Place) -> tuple[int, int]:
        """Responses that have ended and are still known, and turns that no live one reaches."""
        conversation = self.conversations[place.conversation]
        live = conversation.live(self.now)
        return len(set(self.inside.ends(place)) - live), len(
            set(self.inside.tree(place)) - conversation.reached_from(live)
        )


@pytest.fixture
def collecting_little(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Small trees are collected in several runs then, as large ones are."""
    for name in ("APPEND", "READ", "END"):
        text = str(getattr(scripts, name))
        changed = text.replace(f"local left = {scripts.COLLECTED_AT_ONCE}\n", f"local left = {COLLECTED_AT_ONCE}\n")
        assert changed != text
        monkeypatch.setattr(scripts, name, scripts.Script(changed))
    yield


def test_whatever_is_done_to_conversations_they_are_read_exactly_or_not_at_all(redis_client, collecting_little):
    run_state_machine_as_test(
        lambda: Conversations(redis_client),
        settings=settings(
            max_examples=40, stateful_step_count=50, report_multiple_bugs=False, suppress_health_check=list(HealthCheck)
        ),
    )
