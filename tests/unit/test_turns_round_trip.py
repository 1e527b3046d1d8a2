"""Whatever a client and a provider say comes back from storage exactly."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from litellm.responses.litellm_completion_transformation.redis_session_patch.values.turns import (
    Turn,
    decode_turns,
    encode_turn,
    take_down,
)

TEXT = st.text(st.characters(exclude_categories=[]))  # Surrogates and controls too.
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.dictionaries(TEXT.map("x".__add__), VALUES, max_size=3)
ITEMS = st.builds(lambda fields: {**fields, "type": "message", "role": "user"}, FIELDS)
MESSAGES = st.builds(lambda fields, text: {**fields, "role": "assistant", "content": text}, FIELDS, TEXT)
NAMES = st.none() | TEXT

IMAGE = [
    {
        "role": "user",
        "content": [
            {"type": "input_text", "text": "Что это? \N{WAVING HAND SIGN}\N{EMOJI MODIFIER FITZPATRICK TYPE-6}\u200d"},
            {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo=", "detail": "high"},
        ],
    },
    {"type": "function_call_output", "call_id": "call_1", "output": "\x00 \ud83d lone \udc00 \u2028\x0b"},
]


TAGS = st.lists(st.text("abc-_.", min_size=1, max_size=60), max_size=3).map(tuple)


@given(request=TEXT | st.lists(ITEMS, max_size=3), instructions=NAMES, answer=st.lists(MESSAGES, max_size=3), by=TAGS)
@example(request=IMAGE, instructions="\x00", answer=[{"role": "assistant", "content": None}], by=())
@example(request="\ud83d", instructions="\udc00", answer=[{"role": "user", "content": "\ud83d\udc00"}], by=("..k",))
@example(request="مرحبا שלום こんにちは 안녕 ไทย हिन्दी 𝔘𝔫𝔦 🇺🇳", instructions="", answer=[], by=())
def test_turns_come_back_exactly(request, instructions, answer, by):
    turn = Turn(request, tuple(answer), instructions, "claude", "session", by=by)
    again = encode_turn(turn, turn)
    assert decode_turns(encode_turn(turn, None) + again) == (turn, turn)
    early = Turn(take_down(request), tuple(answer), instructions, "claude", "session", by=by)
    assert encode_turn(early, turn) == again


def test_values_of_litellm_s_own_classes_are_stored_as_their_fields():
    from litellm.types.utils import Function

    turn = Turn([{"type": "x", "f": Function(name="look", arguments="{}")}])
    (found,) = decode_turns(encode_turn(turn, None))
    assert found.input == [{"type": "x", "f": {"name": "look", "arguments": "{}"}}]


def test_what_json_lacks_is_refused_and_not_made_into_text():
    with pytest.raises(TypeError, match="object"):
        encode_turn(Turn([object()]), None)


def test_letters_outside_ascii_take_their_utf_8_bytes():
    assert len(encode_turn(Turn("ж" * 100), None)) - len(encode_turn(Turn(""), None)) == 200
