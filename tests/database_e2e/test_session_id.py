"""The logs page groups rows by `session_id`: the turns that Redis serves stay one group."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.client import ResponsesClient

from .rows import wait_for_rows
from .talks import Talk


@pytest.mark.parametrize("stream", [False, True])
def test_all_turns_of_a_conversation_have_the_session_id_of_the_first(
    stream: bool, with_patch: ResponsesClient, talk: Callable[..., Talk], shared_url: str
) -> None:
    conversation = talk(with_patch, stream)
    for _ in range(4):
        assert conversation.remembers()
    sessions = [row["session_id"] for row in wait_for_rows(shared_url, conversation.tags)]
    assert len(set(sessions)) == 1, sessions


@pytest.mark.parametrize("stream", [False, True])
def test_branches_of_a_conversation_are_one_group(
    stream: bool, with_patch: ResponsesClient, talk: Callable[..., Talk], shared_url: str
) -> None:
    trunk = talk(with_patch, stream)
    trunk.say()
    branches = [trunk.fork(), trunk.fork()]
    for branch in branches:
        branch.say()
        branch.say()
    rows = wait_for_rows(shared_url, [tag for branch in branches for tag in branch.tags])
    assert len({row["session_id"] for row in rows}) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_two_conversations_are_two_groups(
    stream: bool, with_patch: ResponsesClient, talk: Callable[..., Talk], shared_url: str
) -> None:
    conversations = [talk(with_patch, stream) for _ in range(2)]
    for conversation in conversations:
        conversation.say()
        conversation.say()
    rows = wait_for_rows(shared_url, [tag for conversation in conversations for tag in conversation.tags])
    assert len({row["session_id"] for row in rows}) == 2


@pytest.mark.parametrize("stream", [False, True])
def test_a_session_that_the_client_named_is_the_session_of_later_turns_too(
    stream: bool, with_patch: ResponsesClient, talk: Callable[..., Talk], shared_url: str
) -> None:
    conversation = talk(with_patch, stream)
    name = f"session-{next(conversation.numbers)}"
    conversation.say(litellm_session_id=name)
    conversation.say()
    conversation.say()
    sessions = [row["session_id"] for row in wait_for_rows(shared_url, conversation.tags)]
    assert sessions == [name] * 3
