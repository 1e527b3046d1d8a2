"""The logs page groups rows by `session_id`: the turns that Redis serves stay one group."""

from __future__ import annotations

from .talks import Talk


def sessions_of(*conversations: Talk) -> list[str]:
    return [row["session_id"] for conversation in conversations for row in conversation.rows()]


def test_all_turns_of_a_conversation_have_the_session_id_of_the_first(conversation: Talk) -> None:
    for _ in range(4):
        assert conversation.remembers()
    sessions = sessions_of(conversation)
    assert len(sessions) == 4 and len(set(sessions)) == 1, sessions


def test_branches_of_a_conversation_are_one_group_and_another_conversation_is_not_in_it(conversation: Talk) -> None:
    other = conversation.fork()
    conversation.say()
    branches = [conversation.fork(), conversation.fork()]
    for each in (other, *branches):
        each.say()
        each.say()
    assert len(set(sessions_of(*branches))) == len(set(sessions_of(other))) == 1
    assert len(set(sessions_of(other, *branches))) == 2


def test_a_session_that_the_client_named_is_the_session_of_later_turns_too(conversation: Talk) -> None:
    name = f"session-{next(conversation.numbers)}"
    conversation.say(litellm_session_id=name)
    conversation.say()
    conversation.say()
    assert sessions_of(conversation) == [name] * 3


def test_turns_after_an_unknown_response_are_one_group(conversation: Talk) -> None:
    conversation.previous = "resp_nobody_knows"
    conversation.say()
    conversation.say()
    conversation.say()
    assert len(set(sessions_of(conversation))) == 1, sessions_of(conversation)
