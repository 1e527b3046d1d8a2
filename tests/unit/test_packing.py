"""Packing: every byte comes back, what was said before costs next to nothing, and nothing else unpacks."""

from __future__ import annotations

import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litellm.responses.litellm_completion_transformation.redis_session_patch.packing import (
    WINDOW_BYTES,
    Unpackable,
    pack,
    unpack,
)

TEXT = "שלום \x00 \ud83d \U0001f600 ".encode("utf-8", "surrogatepass") * 20
LIMIT = 10_000_000


def noise(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


@given(data=st.binary(max_size=300), times=st.integers(1, 200), earlier=st.binary(max_size=300))
def test_what_is_packed_unpacks_again(data, times, earlier):
    assert unpack(pack(data * times, earlier * times), earlier * times, LIMIT) == data * times


@pytest.mark.parametrize("size", [0, 1, 99, 100, 101, WINDOW_BYTES, 1 << 20, (1 << 20) + 1, 3_000_000])
@pytest.mark.parametrize("earlier", [b"", b"x", TEXT, noise(WINDOW_BYTES + 5_000)], ids=len)
def test_every_size_comes_back_after_every_beginning(size, earlier):
    for data in (noise(size), (TEXT * (1 + size // len(TEXT)))[:size]):
        packed = pack(data, earlier)
        assert unpack(packed, earlier, LIMIT) == data
        assert len(packed) <= len(data) + 1


@pytest.mark.parametrize("extra", [0, 1, 100_000])
def test_only_the_end_of_what_came_before_is_needed(extra):
    earlier = noise(WINDOW_BYTES, 2)
    packed = pack(earlier[-2_000:] + b"!", noise(extra, 3) + earlier)
    assert unpack(packed, earlier, LIMIT) == earlier[-2_000:] + b"!"


def test_what_was_said_before_costs_next_to_nothing():
    said = noise(WINDOW_BYTES - 2_000)
    assert len(pack(said, b"")) > len(said) - 10
    assert len(pack(said, said)) < 400
    assert len(pack(said + b"and on", b"before" + said)) < 400


def test_after_other_turns_it_does_not_unpack():
    packed = pack(TEXT, TEXT + b"a")
    for other in (b"", TEXT, b"a" + TEXT, TEXT + b"b"):
        with pytest.raises(Unpackable):
            unpack(packed, other, LIMIT)


def test_cut_anywhere_it_does_not_unpack():
    packed = pack(TEXT * 10, TEXT)
    assert packed[:1] == b"z"
    for length in range(len(packed)):
        with pytest.raises(Unpackable):
            unpack(packed[:length], TEXT, LIMIT)


@pytest.mark.parametrize("packed", [b"", b"x", b"Pj{}", b"z", b"z\0", b"z\0\0", b"z\xff\xff" + zlib.compress(b"a")])
def test_what_was_never_packed_does_not_unpack(packed):
    with pytest.raises(Unpackable):
        unpack(packed, b"", LIMIT)


@pytest.mark.parametrize("data", [noise(1_000), b"a" * 1_000, b"a" * 50])
def test_more_than_allowed_does_not_unpack(data):
    packed = pack(data)
    assert unpack(packed, b"", len(data)) == data
    with pytest.raises(Unpackable, match=f"more than {len(data) - 1} bytes"):
        unpack(packed, b"", len(data) - 1)


def test_a_bomb_is_unpacked_no_further_than_allowed(monkeypatch):
    """A thousandth of its size says nothing of it: what is unpacked is counted."""
    bomb, seen = pack(b"\0" * 100_000_000), []
    make = zlib.decompressobj

    class Watched:
        def __init__(self, *options):
            self._own = make(*options)

        def decompress(self, data, most):
            seen.append(len(out := self._own.decompress(data, most)))
            return out

        @property
        def eof(self):
            return self._own.eof

    monkeypatch.setattr(zlib, "decompressobj", Watched)
    with pytest.raises(Unpackable):
        unpack(bomb, b"", 1_000)
    assert len(bomb) < 1_000_000 and seen == [1_001]


def test_an_error_does_not_quote_what_was_said():
    with pytest.raises(Unpackable) as caught:
        unpack(pack(b"a secret " * 50)[:-5], b"", LIMIT)
    assert "secret" not in str(caught.value)
