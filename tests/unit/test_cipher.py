"""Sealing values: what opens, what does not."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litellm.responses.litellm_completion_transformation.redis_session_patch.cipher import CannotOpen, Cipher

KEY, OTHER_KEY = os.urandom(32), os.urandom(32)
SECRET = b"the conversation of alice"
PLACE = b"litellm_patch:session:x"


@pytest.mark.parametrize("keys", [(), (KEY,), (KEY, OTHER_KEY)])
@given(data=st.binary(max_size=200), place=st.binary(max_size=20))
def test_what_is_sealed_opens_again(keys, data, place):
    assert Cipher(keys).open(Cipher(keys).seal(data, place), place) == data


def test_a_sealed_value_shows_nothing_and_never_looks_the_same_twice():
    cipher = Cipher([KEY])
    first, second = cipher.seal(SECRET, PLACE), cipher.seal(SECRET, PLACE)
    assert first != second
    assert all(SECRET[start : start + 6] not in first for start in range(len(SECRET) - 6))
    assert KEY not in first


def test_without_a_key_values_are_as_they_are():
    assert SECRET in Cipher().seal(SECRET, PLACE)


@pytest.mark.parametrize("keys", [(), (OTHER_KEY,)])
def test_a_sealed_value_does_not_open_without_its_key(keys):
    with pytest.raises(CannotOpen):
        Cipher(keys).open(Cipher([KEY]).seal(SECRET, PLACE), PLACE)


def test_a_sealed_value_moved_to_another_place_does_not_open():
    with pytest.raises(CannotOpen):
        Cipher([KEY]).open(Cipher([KEY]).seal(SECRET, b"mine"), b"yours")


def test_a_change_of_any_single_byte_is_noticed():
    cipher = Cipher([KEY])
    sealed = cipher.seal(SECRET, PLACE)
    for position in range(len(sealed)):
        altered = sealed[:position] + bytes([sealed[position] ^ 1]) + sealed[position + 1 :]
        with pytest.raises(CannotOpen):
            cipher.open(altered, PLACE)


def test_a_value_cut_short_is_noticed():
    cipher = Cipher([KEY])
    sealed = cipher.seal(SECRET, PLACE)
    for length in range(len(sealed)):
        with pytest.raises(CannotOpen):
            cipher.open(sealed[:length], PLACE)


def test_after_a_rotation_the_old_key_still_reads_and_the_new_one_seals():
    old_value = Cipher([KEY]).seal(SECRET, PLACE)
    rotated = Cipher([OTHER_KEY, KEY])
    assert rotated.open(old_value, PLACE) == SECRET
    assert Cipher([OTHER_KEY]).open(rotated.seal(SECRET, PLACE), PLACE) == SECRET


def test_values_from_before_encryption_stay_readable_unless_encryption_is_required():
    plain = Cipher().seal(SECRET, PLACE)
    assert Cipher([KEY]).open(plain, PLACE) == SECRET
    with pytest.raises(CannotOpen):
        Cipher([KEY], required=True).open(plain, PLACE)
    assert Cipher([KEY], required=True).open(Cipher([KEY]).seal(SECRET, PLACE), PLACE) == SECRET


@pytest.mark.parametrize("value", [b"", b"E", b"X" + SECRET, b"R" + SECRET, b'J{"v":1}', b'{"v":2}'])
def test_an_unknown_form_is_refused(value):
    with pytest.raises(CannotOpen):
        Cipher([KEY]).open(value, PLACE)


def test_an_error_shows_neither_value_nor_key():
    with pytest.raises(CannotOpen) as caught:
        Cipher([KEY]).open(b"X" + SECRET, PLACE)
    assert SECRET.decode() not in str(caught.value) and KEY.hex() not in str(caught.value)
