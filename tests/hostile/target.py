"""What is fuzzed: everything that reads bytes out of Redis, up to the messages that a model is sent.

An input is a letter and what follows it: `R` a record, `P` pieces of the deflate stream (each with two bytes of length
before it), `T` the text of a conversation. Nothing but a miss may come of it; and what can be read is what was written.
"""

from __future__ import annotations

import json
import zlib
from itertools import pairwise

from litellm.responses.litellm_completion_transformation.redis_session_patch import conversation as conv
from litellm.responses.litellm_completion_transformation.redis_session_patch import history, lookup
from litellm.responses.litellm_completion_transformation.redis_session_patch.packing import Unpackable, pack, unpack

MOST_BYTES = 100_000


def read(data: bytes) -> None:
    """Raises for everything but a miss."""
    kind, value = data[:1], data[1:]
    if kind == b"R":
        read_record(value)
    elif kind == b"P":
        read_pieces(value)
    elif kind == b"T":
        read_text(value)


def read_record(value: bytes) -> None:
    try:
        record = conv.decode_record(value)
    except conv.Unreadable:
        return
    written = conv.encode_record(record)  # without what is of no use
    assert conv.encode_record(conv.decode_record(written)) == written, record


def read_pieces(value: bytes) -> None:
    pieces = []
    while value:
        size = int.from_bytes(value[:2], "big")
        pieces.append(value[2 : 2 + size])
        value = value[2 + size :]
    # A wrong sum is found at the end alone, so the right one would find nothing more.
    try:
        text = unpack(pieces, MOST_BYTES, 0)
    except Unpackable:
        return
    assert len(text) == MOST_BYTES and zlib.crc32(text) == 0


def read_text(value: bytes) -> None:
    try:
        turns = conv.decode_turns(value)
    except conv.Unreadable:
        return
    texts = [conv.encode_turn(turn, before) for before, turn in pairwise([None, *turns])]
    assert conv.decode_turns(b"".join(texts)) == turns, value
    before = b""
    pieces = []
    for text in texts:
        pieces.append(pack(text, before))
        before += text
    assert unpack(pieces, len(before), zlib.crc32(before)) == before
    serve(turns)


def serve(turns: tuple[conv.Turn, ...]) -> None:
    """All that the lookup makes of turns; what upstream makes of an input is caught there, and here."""
    for maker in ("claude", None):
        history.spend_log_rows(turns, "session", maker)
    history.latest_instructions(turns)
    for turn in turns:
        history.new_after_restating(turn, turn.input)
        history.new_after_restating(turn, "And?")
    try:
        messages = history.history_messages(turns, lookup._input_to_messages, maker="claude", with_instructions=True)
    except Exception:
        return
    history.without_repeated_calls(messages, turns[-1].input if turns else "", messages)
    json.dumps(messages, default=str)
