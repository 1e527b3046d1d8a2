"""What is fuzzed: everything that reads bytes out of Redis, up to the messages that a model is sent; and clients' ids.

An input is a letter and what follows it: `I` a response id, `V` what Redis holds of each turn of a chain, `P` pieces of
the deflate stream (both with two bytes of length before each), `T` the text of a conversation. Nothing but a miss may
come of it; and what can be read is what was written.
"""

from __future__ import annotations

import asyncio
import json
import re
import zlib
from collections.abc import Sequence
from itertools import chain, pairwise
from typing import Any

from litellm.responses.litellm_completion_transformation.redis_session_patch.api import stored_responses
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.store import KEY_PREFIX, SessionStore
from litellm.responses.litellm_completion_transformation.redis_session_patch.request import conversation, history
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.fitting import fit
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.target import Target
from litellm.responses.litellm_completion_transformation.redis_session_patch.values import ids, turns
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.owner import ANYBODY
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.packing import (
    pack,
    unpack,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.results import Miss
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.settings import Settings

MOST_BYTES = 100_000
PLACE = ids.Place("c0nversat-_", "102")
LOOP = asyncio.new_event_loop()
TARGETS = (
    Target("claude", "anthropic"),
    Target("gemini", "vertex_ai"),
    Target("mistral", "mistral"),
    Target(None, None),
)


def read(data: bytes) -> None:
    """Raises for everything but a miss."""
    kind, value = data[:1], data[1:]
    if kind == b"I":
        read_id(value)
    elif kind == b"V":
        read_values(parts_of(value))
    elif kind == b"P":
        read_pieces(parts_of(value))
    elif kind == b"T":
        read_text(value)


def parts_of(value: bytes) -> list[bytes]:
    parts = []
    while value:
        size = int.from_bytes(value[:2], "big")
        parts.append(value[2 : 2 + size])
        value = value[2 + size :]
    return parts


def read_id(value: bytes) -> None:
    client_id = value.decode("utf-8", "surrogatepass") if is_text(value) else value.decode("latin-1")
    place = ids.place_of(client_id)
    assert place is None or (len(place.conversation) == 11 and float(place.turn) == int(place.turn) > 0)
    own = ids.inner_id(client_id)
    for made in (ids.with_place(client_id, PLACE), safely_wrapped(client_id)):
        assert made is None or (ids.inner_id(made), ids.place_of(made)) == (own, PLACE), client_id
    ids.provider_of(client_id)


def is_text(value: bytes) -> bool:
    try:
        value.decode("utf-8", "surrogatepass")
    except ValueError:
        return False
    return True


def safely_wrapped(client_id: str) -> str | None:
    """None for lone surrogates, which no provider's id has."""
    try:
        return ids.wrapped_with_place(client_id, PLACE, None, "p", "m")
    except UnicodeEncodeError:
        return None


class Answering:
    """A guard whose Redis gives this reply to everything."""

    def __init__(self, reply: list[Any]):
        self._reply = reply

    async def run(self, operation: object, size_bytes: int = 0) -> Any:
        return self._reply


def read_values(values: Sequence[bytes]) -> None:
    # The script looks at these numbers before it gives anything.
    head = re.match(rb"(\d{1,9}) (\d{1,9}) (\d{1,9}) ", values[-1]) if values else None
    if head is None or int(head[1]) != len(values) or int(head[3]) > MOST_BYTES:
        return
    path = chain.from_iterable((b"%d" % number, value) for number, value in enumerate(values, 1))
    guard: Any = Answering([b"found", b"1700000000", b"%d " % len(values), *path])
    store = SessionStore(Settings(), guard, guard, KEY_PREFIX, guard)
    found = LOOP.run_until_complete(store.read(PLACE, ANYBODY))
    assert found is Miss.UNREADABLE or len(found.turns) == len(values), found


def read_pieces(pieces: Sequence[bytes]) -> None:
    # A wrong sum is found at the end alone, so the right one would find nothing more.
    try:
        text = unpack(pieces, MOST_BYTES, 0)
    except turns.Unreadable:
        return
    assert len(text) == MOST_BYTES and zlib.crc32(text) == 0


def read_text(value: bytes) -> None:
    try:
        found = turns.decode_turns(value)
    except turns.Unreadable:
        return
    texts = [turns.encode_turn(turn, before) for before, turn in pairwise([None, *found])]
    assert turns.decode_turns(b"".join(texts)) == found, value
    before = b""
    pieces = []
    for text in texts:
        pieces.append(pack(text, before))
        before += text
    assert unpack(pieces, len(before), zlib.crc32(before)) == before
    serve(found)


def serve(found: tuple[turns.Turn, ...]) -> None:
    """All that the lookup and the routes make of turns. What upstream makes of an input is caught there, and here."""
    history.latest(found, "instructions")
    for number, turn in enumerate(found, 1):
        try:
            json.dumps(turn.shown)
            numbers = tuple(map(str, range(1, number + 1)))
            json.dumps(stored_responses.items_of(turns.Chain(found[:number], turn_ids=numbers)))
        except turns.Unreadable:
            continue
    for target in TARGETS:
        try:
            said = history.said_in(found, conversation.input_to_messages, target)
        except Exception:  # The lookup makes a miss of it.
            continue
        json.dumps(fit(said, target), default=str)
