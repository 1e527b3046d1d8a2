"""Packing: a conversation is one stream; every byte comes back, repetition costs little, nothing else unpacks."""

from __future__ import annotations

import itertools
import random
import zlib
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litellm.responses.litellm_completion_transformation.redis_session_patch.values import packing
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.packing import (
    WINDOW_BYTES,
    pack,
    unpack,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.results import Unreadable

TEXT = "שלום \x00 \ud83d \U0001f600 ".encode("utf-8", "surrogatepass") * 20


def noise(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


def packed(parts: list[bytes]) -> list[bytes]:
    """Each part after those before it, of which its writer knows the end alone."""
    befores = itertools.accumulate(parts, initial=b"")
    return [pack(part, before[-WINDOW_BYTES:]) for part, before in zip(parts, befores, strict=False)]


def unpacked(pieces: list[bytes], text: bytes) -> bytes:
    return unpack(pieces, len(text), crc32(text))


PARTS = st.lists(st.builds(lambda data, times: data * times, st.binary(max_size=300), st.integers(1, 200)), max_size=6)


@given(PARTS)
def test_what_is_packed_piece_by_piece_unpacks_as_one_text(parts):
    assert unpacked(packed(parts), b"".join(parts)) == b"".join(parts)


@pytest.mark.parametrize("size", [0, 1, 99, 4_096, WINDOW_BYTES, WINDOW_BYTES + 1, (1 << 20) + 1, 3_000_000])
@pytest.mark.parametrize("before", [b"", b"x", TEXT, noise(WINDOW_BYTES + 5_000)], ids=len)
def test_every_size_comes_back_after_every_beginning(size, before):
    for data in (noise(size), (TEXT * (1 + size // len(TEXT)))[:size]):
        parts = [before, data, b"after"]
        assert unpacked(packed(parts), b"".join(parts)) == b"".join(parts)


def test_many_turns_come_back():
    parts = [noise(100, seed) + TEXT for seed in range(500)]
    assert unpacked(packed(parts), b"".join(parts)) == b"".join(parts)


def test_a_branch_is_a_stream_of_its_own():
    base, left, right = TEXT, b"left " * 100, b"right " * 100
    (first,) = packed([base])
    assert unpacked([first, pack(left, base)], base + left) == base + left
    assert unpacked([first, pack(right, base)], base + right) == base + right


def test_what_was_said_before_costs_next_to_nothing():
    said = noise(WINDOW_BYTES - 2_000)
    assert len(pack(said, b"")) > len(said) - 10
    assert len(pack(said, said)) < 400
    assert len(pack(b"!" + said + b"and on", b"before" + said)) < 400


def test_a_few_bytes_are_packed_into_few():
    assert len(pack(b"hello", b"")) < 15
    assert len(pack(b"hello", b"hello")) < 8


TURNS = [TEXT, b"a question " * 9, noise(300), b"a question " * 9 + b"?"]
WHOLE = b"".join(TURNS)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda pieces: [],
        lambda pieces: pieces[:-1],
        lambda pieces: pieces[1:],
        lambda pieces: [pieces[0], *pieces[2:]],
        lambda pieces: [*pieces, pieces[-1]],
        lambda pieces: [pieces[1], pieces[0], *pieces[2:]],
        lambda pieces: [*pieces[:3], pack(b"another one" * 9, WHOLE)],
        lambda pieces: [*pieces[:3], b""],
        lambda pieces: [*pieces[:3], b"\xff" * 20],
        lambda pieces: [b"", *pieces[1:]],
    ],
    ids=["none", "no last", "no first", "gap", "one twice", "swapped", "other last", "empty", "garbage", "empty first"],
)
def test_missing_foreign_or_misordered_pieces_do_not_unpack(spoil):
    pieces = packed(TURNS)
    assert unpacked(pieces, WHOLE) == WHOLE
    with pytest.raises(Unreadable):
        unpacked(spoil(pieces), WHOLE)


def test_a_piece_cut_anywhere_is_never_another_text():
    pieces, whole = packed(TURNS), 0
    for number, piece in enumerate(pieces):
        for length in range(len(piece)):
            try:
                assert unpacked([*pieces[:number], piece[:length], *pieces[number + 1 :]], WHOLE) == WHOLE
                whole += 1
            except Unreadable:
                continue
    assert whole <= 2  # Of the last bytes of the last piece none says anything.


def test_a_text_of_another_size_or_sum_does_not_unpack():
    pieces = packed(TURNS)
    for size, crc in ((len(WHOLE) - 1, crc32(WHOLE)), (len(WHOLE) + 1, crc32(WHOLE)), (len(WHOLE), crc32(WHOLE) ^ 1)):
        with pytest.raises(Unreadable):
            unpack(pieces, size, crc)


def test_a_bomb_is_unpacked_no_further_than_the_record_says(monkeypatch):
    bomb, seen = pack(b"\0" * 50_000_000, b""), []
    make = zlib.decompressobj

    class Watched:
        def __init__(self, *options):
            self._own = make(*options)

        def decompress(self, data, most):
            seen.append(len(out := self._own.decompress(data, most)))
            return out

    monkeypatch.setattr(packing.zlib, "decompressobj", Watched)
    with pytest.raises(Unreadable):
        unpack([bomb], 1_000, 0)
    assert len(bomb) < 500_000 and seen == [1_001]


def test_an_error_does_not_quote_what_was_said():
    with pytest.raises(Unreadable) as caught:
        unpack([pack(b"a secret " * 50, b"")[:-5]], 450, 0)
    assert "secret" not in str(caught.value)
