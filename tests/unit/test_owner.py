"""Who may continue a response, and how it is known without names."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.values.owner import (
    ANYBODY,
    NOBODY,
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
        (Owner(None, None, "k1"), Owner(None, None, "k1", "eve", "acme"), True),
        (Owner(end_user="eve"), Owner(end_user="eve"), True),
        (Owner(end_user="eve"), Owner(end_user="mallory"), False),
        (Owner(end_user="eve"), Owner(organization="eve"), False),
        (Owner(end_user="eve"), Owner(end_user="eve", organization="acme"), False),
        (Owner(end_user="eve", organization="acme"), Owner(end_user="eve"), False),
        (Owner(end_user="eve", organization="acme"), Owner(organization="acme"), False),
        (Owner(end_user="eve", organization="acme"), Owner(end_user="eve", organization="acme"), True),
        (Owner(organization="acme"), Owner(organization="acme"), True),
        (Owner(organization="acme"), Owner(organization="acme", claimed_end_user="eve"), True),
        (Owner(organization="acme"), Owner(organization="umbrella"), False),
        (Owner(end_user="eve"), Owner(claimed_end_user="eve"), False),
        (Owner(end_user="eve"), Owner(None, None, "k1", "eve"), False),
        (Owner(end_user="eve"), Owner("alice", None, None, "eve"), False),
        (Owner(None, None, "eve"), Owner(end_user="eve"), False),
        (ANYBODY, ANYBODY, True),
        (ANYBODY, Owner(key=ANYBODY.key, claimed_end_user="eve"), True),
        (ANYBODY, Owner(None, None, "k1"), False),
        (ANYBODY, NOBODY, False),
        *((owner, NOBODY, False) for owner in (Owner("alice"), Owner(end_user="eve"), Owner(organization="acme"))),
        *((NOBODY, reader, False) for reader in (NOBODY, ANYBODY, Owner("alice", "red", "k1"), Owner(end_user="eve"))),
        *((owner, owner, False) for owner in (NOBODY, Owner(claimed_end_user="eve"))),
    ],
)
def test_same_user_and_team_else_the_same_key_else_the_same_end_user_and_organization(owner, reader, allowed):
    assert may_continue(reader, owner) is allowed


def test_one_of_whom_nothing_is_known_has_no_identity():
    assert NOBODY.identity is None and Owner(claimed_end_user="eve").identity is None


def test_identities_of_different_kinds_are_different_although_the_words_are_one():
    kinds = [Owner("x"), Owner(None, "x"), Owner(key="x"), Owner(end_user="x"), Owner(organization="x")]
    assert len({each.identity for each in kinds}) == len(kinds)


def test_no_name_s_digest_is_the_word_for_everybody():
    assert len(str(ANYBODY.key)) != len(digest_of("any name"))


A, B, C, D, E = (digest_of(name) for name in ("a", "b", "c", "d", "e"))


@pytest.mark.parametrize(
    "metadata, owner",
    [
        ({}, Owner()),
        ({"user_api_key_user_id": "a", "user_api_key_team_id": "b"}, Owner(A, B)),
        ({"user_api_key_hash": "c", "user_api_key": "other"}, Owner(key=C)),
        ({"user_api_key": "c"}, Owner(key=C)),
        ({"user_api_key_user_id": "", "user_api_key_team_id": None, "user_api_key_hash": "c"}, Owner(key=C)),
        ({"user_api_key_user_id": "a", "user_api_key_end_user_id": "d"}, Owner(A, end_user=D)),
        ({"user_api_key_end_user_id": "d", "user_api_key_org_id": "e"}, Owner(end_user=D, organization=E)),
        ({"user_id": "a", "session_id": "c", "user_api_key_alias": "d"}, Owner()),
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
    "owner, tag",
    [
        (Owner("u", "t", "k", "e", "o"), "u.t.k.e.o"),
        (Owner(key="k"), "..k.."),
        (Owner(organization="o"), "....o"),
        (Owner(), "...."),
        (Owner("u", claimed_end_user="c"), "u...c."),
        (Owner("u", end_user="e", claimed_end_user="c"), "u...e."),
        (ANYBODY, "..anybody.."),
    ],
)
def test_the_tag_tells_the_five_parts_apart(owner, tag):
    assert owner.tag == tag
