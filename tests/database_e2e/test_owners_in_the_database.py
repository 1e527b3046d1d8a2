"""Keys, users and teams of the database: who may continue a response, with the database behind Redis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from lab.client import ResponsesClient
from lab.redis_server import RedisServer
from lab.stored import TURNS, id_at, turns_of

from .identities import Management
from .redis_state import connect, only_new_key
from .redis_state import keys as redis_keys
from .talks import Talk


@pytest.fixture
def management(with_patch: ResponsesClient) -> Management:
    return Management(with_patch)


@dataclass(frozen=True)
class Played:
    """Two turns of one key's. ids: the one that the client got for the second, and one that names its place in Redis,
    which upstream's own wrapper no longer guards. The provider's own is in the database.
    """

    talk: Talk
    ids: tuple[str, ...]

    def is_continued_by(self, key: str) -> bool:
        return self.talk.fork(key=key).remembers()

    def is_kept_from(self, *keys: str) -> bool:
        """Whether nobody with such a key learns of it, neither before the database has its rows nor then."""
        strangers = [self.talk.fork(key=key, previous=each) for key in keys for each in self.ids]
        before = [learns_nothing(each) for each in strangers]
        own_ids = [row["request_id"] for row in self.talk.rows()]
        strangers += [self.talk.fork(key=key, previous=each) for key in keys for each in own_ids]
        return all([*before, *(learns_nothing(each) for each in strangers)])


@pytest.fixture
def played_by(conversation: Talk, mortal_redis: RedisServer) -> Callable[[str], Played]:
    def play(key: str) -> Played:
        talk = conversation.fork(key=key)
        known = redis_keys(mortal_redis, TURNS)
        talk.say()
        assert talk.remembers()
        with connect(mortal_redis) as redis:
            turns = only_new_key(mortal_redis, TURNS, known)
            turn = int(list(turns_of(redis, turns))[-1])
        name = turns.decode().partition("{")[2].partition("}")[0]
        return Played(talk, (talk.previous, id_at(name, turn, "anything")))

    return play


def learns_nothing(stranger: Talk) -> bool:
    """A follow-up of somebody else's response is refused, or goes out with its own text alone."""
    asked = stranger.asker.ask("What did they say?", stranger.previous)
    if asked.status != 200:
        return asked.status in (400, 403, 404) and not asked.requests
    return asked.received == (asked.sent,)


def test_a_user_s_keys_continue_each_other_and_no_other_user_s_does(
    management: Management, played_by: Callable[[str], Played]
) -> None:
    alice, bob = management.new_user(), management.new_user()
    played = played_by(management.new_key(alice))
    assert played.is_kept_from(management.new_key(bob), management.new_key())
    assert played.is_continued_by(management.new_key(alice))


def test_a_key_without_a_user_is_continued_by_itself_alone(
    management: Management, played_by: Callable[[str], Played]
) -> None:
    played = played_by(own := management.new_key())
    assert played.is_kept_from(management.new_key())
    assert played.is_continued_by(own)


def test_a_team_s_keys_continue_each_other_and_no_other_team_s_does(
    management: Management, played_by: Callable[[str], Played]
) -> None:
    red, blue = management.new_team(), management.new_team()
    played = played_by(management.new_key(team=red))
    assert played.is_kept_from(management.new_key(team=blue))
    assert played.is_continued_by(management.new_key(team=red))


def test_a_user_of_two_teams_keeps_them_apart(management: Management, played_by: Callable[[str], Played]) -> None:
    alice, bob = management.new_user(), management.new_user()
    red, blue = management.new_team(alice, bob), management.new_team(alice)
    played = played_by(management.new_key(alice, red))
    others = ((alice, blue), (bob, red), (alice, None))
    assert played.is_kept_from(*(management.new_key(*owner) for owner in others))
    assert played.is_continued_by(management.new_key(alice, red))
