"""Whatever a client and a provider say comes back from storage exactly."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from litellm.responses.litellm_completion_transformation.redis_session_patch import conversation as conv
from litellm.responses.litellm_completion_transformation.redis_session_patch.conversation import Record, Turn
from litellm.responses.litellm_completion_transformation.redis_session_patch.owner import Owner

TEXT = st.text(st.characters(exclude_categories=[]))  # Surrogates and controls too.
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
MESSAGES = st.lists(st.dictionaries(TEXT, VALUES, max_size=3), max_size=3).map(tuple)
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


@given(request=TEXT | VALUES, instructions=NAMES, answer=MESSAGES, earlier=MESSAGES, parent=NAMES)
@example(request=IMAGE, instructions="\x00", answer=({"role": "assistant", "content": None},), earlier=(), parent=None)
@example(request="\ud83d", instructions=None, answer=(), earlier=({"role": "user", "content": "\udc00"},), parent="p")
@example(request="مرحبا שלום こんにちは 안녕 ไทย हिन्दी 𝔘𝔫𝔦 🇺🇳", instructions="", answer=(), earlier=(), parent=None)
def test_a_turn_comes_back_exactly(request, instructions, answer, earlier, parent):
    turn = Turn("id", parent, request, instructions, answer, created=1.5, earlier=earlier)
    encoded = conv.encode_turn(turn)
    assert encoded.isascii()
    assert conv.decode_turn(encoded) == turn


PATHS = st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), max_size=5).map(tuple)


@given(path=PATHS, user=NAMES, team=NAMES, key=NAMES, session=NAMES, created=st.floats(0, 1e11), life=st.integers(1))
def test_a_record_comes_back_exactly(path, user, team, key, session, created, life):
    record = Record("conversation", path, "leaf", Owner(user, team, key), session, created, life)
    assert conv.decode_record(conv.encode_record(record)) == record


def test_values_of_litellm_s_own_classes_are_stored_as_their_fields():
    from litellm.types.utils import Function

    turn = Turn("id", None, [{"f": Function(name="look", arguments="{}")}], None, ())
    assert conv.decode_turn(conv.encode_turn(turn)).input == [{"f": {"name": "look", "arguments": "{}"}}]


def test_what_json_lacks_is_refused_and_not_made_into_text():
    with pytest.raises(TypeError, match="object"):
        conv.encode_turn(Turn("id", None, [object()], None, ()))
