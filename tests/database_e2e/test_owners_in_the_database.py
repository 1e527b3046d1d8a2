"""Keys, users and teams of the database: who may continue a response, with the database behind Redis."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.client import ResponsesClient
from tests.support.provider import Provider

from .identities import Management
from .rows import wait_for_rows
from .talks import Talk, texts_received

Begin = Callable[..., Talk]

both_modes = pytest.mark.parametrize("stream", [False, True])


@pytest.fixture
def management(with_patch: ResponsesClient) -> Management:
    return Management(with_patch)


def learns_nothing(stranger: Talk, provider: Provider) -> bool:
    """A follow-up of somebody else's response is refused, or goes out with its own text alone."""
    tag, text = next(stranger.numbers), "What did they say?"
    reply = stranger.client.responses(
        stranger.model, text, stranger.stream, stranger.key, tag, previous_response_id=stranger.previous
    )
    if reply.status != 200:
        return reply.status in (400, 403, 404) and not provider.requests(tag=tag)
    return texts_received(provider, tag) == (text,)


def played(talk: Begin, client: ResponsesClient, stream: bool, key: str) -> Talk:
    conversation = talk(client, stream, key=key)
    conversation.say()
    assert conversation.remembers()
    return conversation


@both_modes
def test_a_user_s_keys_continue_each_other_and_no_other_user_s_does(
    stream: bool,
    management: Management,
    with_patch: ResponsesClient,
    talk: Begin,
    provider: Provider,
    shared_url: str,
) -> None:
    alice, bob = management.new_user(), management.new_user()
    conversation = played(talk, with_patch, stream, management.new_key(alice))
    others = [conversation.fork(key=key) for key in (management.new_key(bob), management.new_key())]
    assert conversation.fork(key=management.new_key(alice)).remembers()
    assert all(learns_nothing(other, provider) for other in others)
    wait_for_rows(shared_url, conversation.tags)
    assert all(learns_nothing(other, provider) for other in others)


@both_modes
def test_a_key_without_a_user_is_continued_by_itself_alone(
    stream: bool,
    management: Management,
    with_patch: ResponsesClient,
    talk: Begin,
    provider: Provider,
    shared_url: str,
) -> None:
    conversation = played(talk, with_patch, stream, management.new_key())
    other = conversation.fork(key=management.new_key())
    assert learns_nothing(other, provider)
    wait_for_rows(shared_url, conversation.tags)
    assert learns_nothing(other, provider)
    assert conversation.remembers()


@both_modes
def test_a_team_s_keys_continue_each_other_and_no_other_team_s_does(
    stream: bool,
    management: Management,
    with_patch: ResponsesClient,
    talk: Begin,
    provider: Provider,
    shared_url: str,
) -> None:
    red, blue = management.new_team(), management.new_team()
    conversation = played(talk, with_patch, stream, management.new_key(team=red))
    other = conversation.fork(key=management.new_key(team=blue))
    assert conversation.fork(key=management.new_key(team=red)).remembers()
    assert learns_nothing(other, provider)
    wait_for_rows(shared_url, conversation.tags)
    assert learns_nothing(other, provider)


@both_modes
def test_a_user_of_two_teams_keeps_them_apart(
    stream: bool,
    management: Management,
    with_patch: ResponsesClient,
    talk: Begin,
    provider: Provider,
    shared_url: str,
) -> None:
    alice, bob = management.new_user(), management.new_user()
    red, blue = management.new_team(alice, bob), management.new_team(alice)
    conversation = played(talk, with_patch, stream, management.new_key(alice, red))
    others = [conversation.fork(key=management.new_key(*owner)) for owner in ((alice, blue), (bob, red), (alice, None))]
    assert all(learns_nothing(other, provider) for other in others)
    wait_for_rows(shared_url, conversation.tags)
    assert all(learns_nothing(other, provider) for other in others)
    assert conversation.fork(key=management.new_key(alice, red)).remembers()
