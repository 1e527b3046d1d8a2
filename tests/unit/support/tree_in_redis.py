"""The three keys of a conversation, as they are in Redis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from redis import Redis

from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.store import NO_TURN
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.ids import Place

from .stores import PREFIX, keys_of
from .tree_model import Conversation


@dataclass(frozen=True)
class Inside:
    """Looks into a conversation, of which any turn's place will do."""

    client: Redis

    def is_marked(self, place: Place) -> bool:
        """As erased."""
        return bool(self.client.hexists(keys_of(place)[0], "x"))

    def has(self, place: Place) -> bool:
        """Whether a turn can be followed."""
        turns, tree, _ = keys_of(place)
        return bool(self.client.hexists(turns, place.turn)) and self.client.zscore(tree, place.turn) is not None

    def tree(self, place: Place) -> dict[str, int]:
        """Each turn and the one before it."""
        return _scores(self.client.zrange(keys_of(place)[1], 0, -1, withscores=True))

    def ends(self, place: Place) -> dict[str, int]:
        return _scores(self.client.zrange(keys_of(place)[2], 0, -1, withscores=True))

    def path(self, place: Place) -> list[str]:
        tree, path = self.tree(place), [place.turn]
        while before := tree[path[0]]:
            path.insert(0, str(before))
        return path

    def everything(self) -> dict[bytes, Any]:
        return {
            key: self.client.hgetall(key)
            if key.endswith(b":turns")
            else self.client.zrange(key, 0, -1, withscores=True)
            for key in self.client.keys(f"{PREFIX}{{*")
        }

    def check(self, name: str, expected: Conversation, now: int) -> None:
        """A conversation of which no key was lost, at the model's time ``now``."""
        turns, tree, lives = keys_of(Place(name, NO_TURN))
        with self.client.pipeline() as asked:
            asked.hgetall(turns).zrange(tree, 0, -1, withscores=True).zrange(lives, 0, -1, withscores=True).time()
            values, before, scored, (redis_now, _), *left = asked.ttl(turns).ttl(tree).ttl(lives).execute()
        fields, ends = set(map(bytes.decode, values)), _scores(scored)
        if expected.is_erased or not expected.is_there:
            assert fields == ({"x", "about"} if expected.is_erased else set())
            assert not before and not ends
            return
        stored = {each for each in fields if each.isdigit()}
        assert _scores(before) == {turn: int(expected.parents[turn]) for turn in stored}
        # Nothing is kept that no use of the conversation will find.
        assert stored == expected.reached_from(ends)
        live = expected.live(now)
        assert {turn for turn, at in ends.items() if at >= redis_now} == live
        kept = {"about", "by"} if stored else {"about"}
        assert fields - stored == {*kept, *(f"x{turn}" for turn in expected.deleted)}
        assert all(min(left) >= expected.ends[turn] - now for turn in live)
        assert not stored or set(values[b"by"].decode().split()) >= expected.people


def _scores(members: list[tuple[bytes, float]]) -> dict[str, int]:
    return {member.decode(): int(score) for member, score in members}
