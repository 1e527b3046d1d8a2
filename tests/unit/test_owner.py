"""Who may continue a response, and how it is known without names."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.owner import (
    Owner,
    digest_of,
    may_continue,
    owner_of,
)


@pytest.mark.parametrize(
    "owner, reader, allowed",
    [
        (Owner("alice", "red", "k1"), Owner("alice", "red", "k1"), True),
        (Owner("alice", "red", "k1"), Owner("alice", "red", "k2"), True),
        (Owner("alice", "red", "k1"), Owner("alice", "red", "k1", "somebody"), True),
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


A, B, C, D = (digest_of(name) for name in ("a", "b", "c", "d"))


@pytest.mark.parametrize(
    "metadata, owner",
    [
        (None, Owner()),
        ({}, Owner()),
        ({"user_api_key_user_id": "a", "user_api_key_team_id": "b"}, Owner(A, B)),
        ({"user_api_key_hash": "c", "user_api_key": "other"}, Owner(key=C)),
        ({"user_api_key": "c"}, Owner(key=C)),
        ({"user_api_key_user_id": "", "user_api_key_team_id": None, "user_api_key_hash": "c"}, Owner(key=C)),
        ({"user_api_key_user_id": "a", "user_api_key_end_user_id": "d"}, Owner(A, end_user=D)),
        ({"user_api_key_user_id": 7}, Owner(digest_of("7"))),
    ],
)
def test_the_owner_is_the_identity_that_the_proxy_gave(metadata, owner):
    assert owner_of(metadata) == owner


@pytest.mark.parametrize("name", ["alice", "a" * 10_000, "עברית", "\ud800", "\x00", 7])
def test_a_digest_is_eleven_letters_that_say_nothing_of_the_name(name):
    first_bytes = hashlib.sha256(str(name).encode("utf-8", "surrogatepass")).digest()[:8]
    assert digest_of(name) == urlsafe_b64encode(first_bytes).decode()[:11]
    assert len(digest_of(name)) == 11 and str(name) not in digest_of(name)


@pytest.mark.parametrize("nobody", [None, ""])
def test_nobody_has_no_digest(nobody):
    assert digest_of(nobody) is None


def test_a_recorded_digest_is_still_found():
    """Stored owners and an administrator's erasure compare these."""
    assert digest_of("alice") == "K9gGyX8OAK8"


@pytest.mark.parametrize(
    "owner, tag", [(Owner("u", "t", "k", "e"), "u.t.k.e"), (Owner(key="k"), "..k."), (Owner(), "...")]
)
def test_the_tag_tells_the_four_parts_apart(owner, tag):
    assert owner.tag == tag
