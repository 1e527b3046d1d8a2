"""A history that the database gave, as turns: what follows it from Redis is what the provider was sent."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.request.database import (
    rows_of,
    turns_of,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.history import said_in
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.target import Target
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.owner import (
    ANYBODY,
    NOBODY,
    Owner,
    digest_of,
    owner_of,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.turns import (
    Turn,
    decode_turns,
    encode_turn,
)

ALICE = owner_of({"user_api_key_user_id": "alice", "user_api_key_team_id": "red", "user_api_key_hash": "k1"})
USER, SYSTEM = {"role": "user", "content": "hello"}, {"role": "system", "content": "be kind"}
CALLS = [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
CALLING = {"role": "assistant", "content": None, "tool_calls": CALLS}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "42"}


def message_object(**fields: Any) -> Any:
    """One of LiteLLM's own."""
    return SimpleNamespace(model_dump=lambda exclude_none: {"role": "assistant", **fields})


def replayed(turns: tuple[Turn, ...], maker: str | None = "groq") -> list[Any]:
    """The messages that a follow-up sends, once the turns have been stored and read again."""
    kept = decode_turns(b"".join(encode_turn(turn, None) for turn in turns))
    return [message for message, _ in said_in(kept, lambda given: given and [USER], Target(maker, maker))]


def test_all_messages_of_a_session_come_back_in_order_whatever_they_are():
    messages = [SYSTEM, USER, CALLING, RESULT, {"role": "assistant", "content": "Hi."}, USER]
    turns = turns_of({"messages": messages, "litellm_session_id": "s"}, "groq", ())
    assert len(turns) == 1 and replayed(turns) == messages


def test_messages_that_are_objects_of_litellm_come_back_as_their_fields():
    session = {"messages": [USER, message_object(content="Hi.", tool_calls=None)], "instructions": "be brief"}
    (turn,) = turns_of(session, "groq", ())
    assert replayed((turn,)) == [USER, {"role": "assistant", "content": "Hi."}]
    assert (turn.instructions, turn.maker) == ("be brief", "groq")


def test_what_a_model_may_not_be_sent_of_a_session_is_stored_and_not_sent():
    answer = {"role": "assistant", "content": "Hi.", "annotations": [{"type": "url_citation"}]}
    turns = turns_of({"messages": [USER, answer, {"role": "assistant", "content": ""}, USER]}, "groq", ())
    assert turns[0].answer[1] == answer
    assert replayed(turns) == [USER, {"role": "assistant", "content": "Hi."}, USER]


@pytest.mark.parametrize("session", [{}, {"messages": []}, {"messages": None, "litellm_session_id": "s"}])
def test_a_session_without_messages_is_no_history(session):
    assert turns_of(session, "groq", ()) == ()


WRITTEN = {"user": "alice", "team_id": "red", "api_key": "k1", "end_user": ""}


def test_rows_say_whose_they_are_as_the_proxy_does():
    """LiteLLM writes "" for what it does not know, and so does a release whose rows have fewer columns."""
    rows = [WRITTEN, {**WRITTEN, "end_user": "customer"}, WRITTEN, {}]
    (turn,) = turns_of({"messages": [USER]}, "groq", rows)
    assert sorted(turn.by) == sorted([ALICE.tag, replace(ALICE, end_user=digest_of("customer")).tag])


@pytest.mark.parametrize("rows", [[], [{}], [{"user": None, "team_id": ""}]])
def test_of_rows_that_say_nothing_nobody_took_part(rows):
    (turn,) = turns_of({"messages": [USER]}, "groq", rows)
    assert turn.by == ()


def written(**columns: str | None) -> dict[str, Any]:
    """A row with these columns; the others are as LiteLLM writes them where it knows nothing."""
    return {**dict.fromkeys(["user", "team_id", "api_key", "end_user", "organization_id"], ""), **columns}


ROWS = {
    "alice's": written(user="alice", team_id="red", api_key="k1"),
    "alice's by another key": written(user="alice", team_id="red", api_key="k2", end_user="customer"),
    "alice's in another team": written(user="alice", team_id="blue", api_key="k1"),
    "bob's in her team": written(user="bob", team_id="red", api_key="k1"),
    "the team's": written(team_id="red", api_key="k1"),
    "of a key alone": written(api_key="k1"),
    "of an end user alone": written(end_user="customer"),
    "nobody's": written(),
    "nobody's, with nulls": written(user=None, team_id=None, api_key=None, end_user=None, organization_id=None),
    "without columns": {},
}


@pytest.mark.parametrize(
    "caller, own",
    [
        (ALICE, ["alice's", "alice's by another key"]),
        (replace(ALICE, key=digest_of("k9")), ["alice's", "alice's by another key"]),
        (Owner(team=digest_of("red")), ["the team's"]),
        (Owner(key=digest_of("k1")), ["of a key alone"]),
        (Owner(key=digest_of("k9")), []),
        (Owner(end_user=digest_of("customer")), ["of an end user alone"]),
        (Owner(claimed_end_user=digest_of("customer")), []),
        (NOBODY, []),
        (ANYBODY, list(ROWS)),
        (replace(ANYBODY, claimed_end_user=digest_of("customer")), list(ROWS)),
    ],
    ids=["hers", "her new key", "team", "key", "new key", "end user", "claimed", "nobody", "anybody", "anybody claims"],
)
def test_a_caller_is_given_no_rows_but_their_own(caller, own):
    """On a proxy that does not authenticate everybody is one tenant."""
    given = rows_of(list(ROWS.values()), caller)
    assert [name for name, row in ROWS.items() if row in given] == own
