"""Who may continue a response."""

from __future__ import annotations

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.owner import Owner, may_continue, owner_of


@pytest.mark.parametrize(
    "owner, reader, allowed",
    [
        (Owner("alice", "red", "k1"), Owner("alice", "red", "k1"), True),
        (Owner("alice", "red", "k1"), Owner("alice", "red", "k2"), True),
        (Owner("alice", "red", "k1"), Owner("alice", "blue", "k1"), False),
        (Owner("alice", "red", "k1"), Owner("alice", None, "k1"), False),
        (Owner("alice", "red", "k1"), Owner("bob", "red", "k1"), False),
        (Owner("alice", "red", "k1"), Owner(None, "red", "k1"), False),
        (Owner("alice", None, "k1"), Owner("alice", None, "k2"), True),
        (Owner("alice", None, "k1"), Owner("alice", "red", "k1"), False),
        (Owner(None, "red", "k1"), Owner(None, "red", "k2"), True),
        (Owner(None, "red", "k1"), Owner("alice", "red", "k1"), False),
        (Owner(None, None, "k1"), Owner(None, None, "k1"), True),
        (Owner(None, None, "k1"), Owner(None, None, "k2"), False),
        (Owner(None, None, "k1"), Owner(None, None, None), False),
        (Owner(None, None, "k1"), Owner("alice", None, "k1"), False),
        (Owner(None, None, "k1"), Owner(None, "red", "k1"), False),
        (Owner(None, None, None), Owner(None, None, None), True),
        (Owner(None, None, None), Owner(None, None, "k1"), False),
        (Owner(None, None, None), Owner("alice", "red", "k1"), False),
    ],
)
def test_same_user_and_team_or_for_a_key_with_neither_the_same_key(owner, reader, allowed):
    assert may_continue(reader, owner) is allowed


@pytest.mark.parametrize(
    "metadata, owner",
    [
        (None, Owner()),
        ({}, Owner()),
        ({"user_api_key_user_id": "alice", "user_api_key_team_id": "red"}, Owner("alice", "red")),
        ({"user_api_key_hash": "h", "user_api_key": "other"}, Owner(key="h")),
        ({"user_api_key": "h"}, Owner(key="h")),
        ({"user_api_key_user_id": "", "user_api_key_team_id": None, "user_api_key_hash": "h"}, Owner(key="h")),
        ({"user_api_key_user_id": 7, "user_api_key_end_user_id": "somebody"}, Owner("7")),
    ],
)
def test_the_owner_is_the_identity_that_the_proxy_gave(metadata, owner):
    assert owner_of(metadata) == owner
