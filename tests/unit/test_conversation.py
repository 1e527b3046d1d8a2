"""Turns, records and paths as values."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litellm.responses.litellm_completion_transformation.redis_session_patch import conversation as conv
from litellm.responses.litellm_completion_transformation.redis_session_patch.conversation import Record, Turn

from .support.stores import ALICE


def turns_of(length: int) -> tuple[Turn, ...]:
    parents = (None, *(f"t{number}" for number in range(length - 1)))
    return tuple(Turn(f"t{number}", parents[number], f"q{number}", None, ()) for number in range(length))


def record_of(path: conv.Path, leaf: str) -> Record:
    return Record("c", path, leaf, ALICE, "trace", 1.0, 100)


def straight_path(length: int) -> conv.Path:
    path: conv.Path = ()
    for index in range(length):
        path = conv.extend_path(path, index)
    return path


@pytest.mark.parametrize("length", [1, 2, 10, 5_000])
def test_a_straight_conversation_is_one_range_however_long(length):
    assert straight_path(length) == ((0, length - 1),)
    assert conv.path_length(straight_path(length)) == length


def test_the_record_of_a_long_conversation_is_no_bigger_than_that_of_a_short_one():
    sizes = [len(conv.encode_record(record_of(straight_path(length), "leaf"))) for length in (10, 5_000)]
    assert sizes[1] - sizes[0] <= 4  # Only the digits of the last index.


def test_a_branch_starts_a_new_range():
    assert conv.extend_path(((0, 2),), 7) == ((0, 2), (7, 7))
    assert conv.extend_path(((0, 2), (7, 7)), 8) == ((0, 2), (7, 8))
    assert conv.extend_path(((0, 2), (7, 8)), 20) == ((0, 2), (7, 8), (20, 20))


@given(st.lists(st.integers(1, 5), min_size=1, max_size=50))
def test_a_path_names_exactly_its_indexes_in_order(gaps):
    indexes, path = [sum(gaps[: end + 1]) for end in range(len(gaps))], ()
    for index in indexes:
        path = conv.extend_path(path, index)
    assert [index for first, last in path for index in range(first, last + 1)] == indexes
    assert conv.path_length(path) == len(indexes)
    assert len(path) == 1 + sum(gap > 1 for gap in gaps[1:])


def test_all_turns_of_the_path_in_order_are_whole():
    assert conv.is_whole(record_of(((0, 1), (5, 5)), "t2"), turns_of(3))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda turns: (),
        lambda turns: turns[:-1],
        lambda turns: turns[1:],
        lambda turns: (turns[0], turns[2]),
        lambda turns: (*turns, replace(turns[2], id="t3", parent="t2")),
        lambda turns: (turns[1], turns[0], turns[2]),
        lambda turns: (turns[0], replace(turns[1], parent="somebody else's"), turns[2]),
        lambda turns: (turns[0], replace(turns[1], id="somebody else's"), turns[2]),
        lambda turns: (replace(turns[0], parent="t-1"), *turns[1:]),
        lambda turns: (turns[0], turns[0], turns[2]),
        lambda turns: (*turns[:2], replace(turns[2], id="a sibling")),
    ],
    ids=[
        "none",
        "no last",
        "no first",
        "gap",
        "too many",
        "swapped",
        "foreign parent",
        "foreign turn",
        "cut before",
        "twice",
        "sibling",
    ],
)
def test_missing_foreign_or_misordered_turns_are_not_whole(spoil):
    assert not conv.is_whole(record_of(((0, 2),), "t2"), tuple(spoil(turns_of(3))))


def test_an_empty_path_is_not_whole():
    assert not conv.is_whole(record_of((), "t0"), ())


def test_new_ids_differ():
    assert len({conv.new_id() for _ in range(1_000)}) == 1_000


TURN, RECORD = conv.encode_turn(turns_of(1)[0]), conv.encode_record(record_of(((0, 0),), "t0"))


def altered(data: bytes, **fields: object) -> bytes:
    """The encoded value with other fields; a field given as `...` is left out."""
    changed = {**json.loads(data), **fields}
    return json.dumps({name: value for name, value in changed.items() if value is not ...}).encode()


GARBAGE = [
    b"",
    b"null",
    b"[]",
    b'"text"',
    b"17",
    b"{}",
    b"\xff\xfe",
    b"not json",
    TURN[:-1],
    RECORD[:-1],
    b'{"v":true}',
]


@pytest.mark.parametrize(
    "data",
    [
        *GARBAGE,
        RECORD,
        altered(TURN, v=2),
        altered(TURN, v=...),
        altered(TURN, answer=...),
        altered(TURN, answer=None),
        altered(TURN, surprise=1),
    ],
)
def test_what_is_no_turn_of_this_format_is_unreadable(data):
    with pytest.raises(conv.Unreadable):
        conv.decode_turn(data)


@pytest.mark.parametrize(
    "data",
    [
        *GARBAGE,
        TURN,
        altered(RECORD, v=2),
        altered(RECORD, v=...),
        altered(RECORD, path=...),
        altered(RECORD, path=[["a", "b"]]),
        altered(RECORD, path=[[1, 2, 3]]),
        altered(RECORD, owner=None),
        altered(RECORD, owner={"nobody": 1}),
        altered(RECORD, surprise=1),
    ],
)
def test_what_is_no_record_of_this_format_is_unreadable(data):
    with pytest.raises(conv.Unreadable):
        conv.decode_record(data)


def test_an_error_about_a_stored_value_does_not_quote_it():
    with pytest.raises(conv.Unreadable) as caught:
        conv.decode_turn(b'{"v":1,"input":"a secret"}')
    assert "a secret" not in str(caught.value)
