"""Sealing values: what opens, what does not."""

from __future__ import annotations

import hmac
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litellm.responses.litellm_completion_transformation.redis_session_patch.values.cipher import Cipher
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.results import Unreadable

KEY, OTHER_KEY = os.urandom(32), os.urandom(32)
SECRET = b"the conversation of alice"
WHERE = (b"conversation", b"place")
BYTES = st.binary(max_size=20)


@pytest.mark.parametrize("keys", [(), (KEY,), (KEY, OTHER_KEY)])
@given(data=st.binary(max_size=200), context=BYTES, place=BYTES)
def test_what_is_sealed_opens_again_and_is_so_much_longer(keys, data, context, place):
    sealed = Cipher(keys).seal(data, context, place)
    assert Cipher(keys).open(sealed, context, place) == data
    assert len(sealed) == len(data) + Cipher(keys).overhead


def test_a_sealed_value_shows_nothing_and_never_looks_the_same_twice():
    cipher = Cipher([KEY])
    first, second = cipher.seal(SECRET, *WHERE), cipher.seal(SECRET, *WHERE)
    assert first != second
    assert all(SECRET[start : start + 6] not in first for start in range(len(SECRET) - 6))
    assert KEY not in first


def test_without_a_key_values_are_as_they_are():
    assert SECRET in Cipher().seal(SECRET, *WHERE)


@pytest.mark.parametrize("keys", [(), (OTHER_KEY,)])
def test_a_sealed_value_does_not_open_without_its_key(keys):
    with pytest.raises(Unreadable):
        Cipher(keys).open(Cipher([KEY]).seal(SECRET, *WHERE), *WHERE)


def test_a_sealed_value_that_was_moved_within_its_conversation_does_not_open():
    with pytest.raises(Unreadable):
        Cipher([KEY]).open(Cipher([KEY]).seal(SECRET, b"one", b"here"), b"one", b"there")


def test_a_sealed_value_of_another_conversation_does_not_open_in_the_same_place():
    with pytest.raises(Unreadable):
        Cipher([KEY]).open(Cipher([KEY]).seal(SECRET, b"one", b"here"), b"another", b"here")


def test_each_conversation_has_a_key_of_its_own_derived_as_nist_says():
    """SP 800-108: HMAC-SHA-256 in counter mode: counter, label, a zero byte, context, length in bits."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    def key_of(context: bytes) -> bytes:
        return hmac.digest(KEY, b"\x00\x00\x00\x01litellm_patch\x00" + context + b"\x00\x00\x01\x00", "sha256")

    sealed = Cipher([KEY]).seal(SECRET, *WHERE)
    nonce, body = sealed[5:17], sealed[17:]
    assert AESGCM(key_of(WHERE[0])).decrypt(nonce, body, WHERE[1]) == SECRET
    for other in (KEY, key_of(b"another")):
        with pytest.raises(InvalidTag):
            AESGCM(other).decrypt(nonce, body, WHERE[1])


def test_a_change_of_any_single_byte_is_noticed():
    cipher = Cipher([KEY])
    sealed = cipher.seal(SECRET, *WHERE)
    for position in range(len(sealed)):
        altered = sealed[:position] + bytes([sealed[position] ^ 1]) + sealed[position + 1 :]
        with pytest.raises(Unreadable):
            cipher.open(altered, *WHERE)


def test_a_value_cut_short_is_noticed():
    cipher = Cipher([KEY])
    sealed = cipher.seal(SECRET, *WHERE)
    for length in range(len(sealed)):
        with pytest.raises(Unreadable):
            cipher.open(sealed[:length], *WHERE)


def test_after_a_rotation_the_old_key_still_reads_and_the_new_one_seals():
    old_value = Cipher([KEY]).seal(SECRET, *WHERE)
    rotated = Cipher([OTHER_KEY, KEY])
    assert rotated.open(old_value, *WHERE) == SECRET
    assert Cipher([OTHER_KEY]).open(rotated.seal(SECRET, *WHERE), *WHERE) == SECRET


def test_values_from_before_encryption_stay_readable_unless_encryption_is_required():
    plain = Cipher().seal(SECRET, *WHERE)
    assert Cipher([KEY]).open(plain, *WHERE) == SECRET
    with pytest.raises(Unreadable):
        Cipher([KEY], required=True).open(plain, *WHERE)
    assert Cipher([KEY], required=True).open(Cipher([KEY]).seal(SECRET, *WHERE), *WHERE) == SECRET


@pytest.mark.parametrize("value", [b"", b"E", b"X" + SECRET, b"R" + SECRET, b'J{"v":1}', b'{"v":2}'])
def test_an_unknown_form_is_refused(value):
    with pytest.raises(Unreadable):
        Cipher([KEY]).open(value, *WHERE)


def test_an_error_shows_neither_value_nor_key():
    with pytest.raises(Unreadable) as caught:
        Cipher([KEY]).open(b"X" + SECRET, *WHERE)
    assert SECRET.decode() not in str(caught.value) and KEY.hex() not in str(caught.value)
