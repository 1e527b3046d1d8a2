"""Response ids: LiteLLM's wrapper, and the place of a turn in it, which LiteLLM does not see."""

from __future__ import annotations

import base64
from collections.abc import Callable
from importlib.util import find_spec

import pytest
from hypothesis import given
from hypothesis import strategies as st
from litellm.responses.utils import ResponsesAPIRequestUtils

from litellm.responses.litellm_completion_transformation.redis_session_patch.values.ids import (
    Place,
    decrypted,
    inner_id,
    new_conversation,
    new_turn,
    place_of,
    provider_of,
    with_place,
    wrapped_with_place,
)

build = ResponsesAPIRequestUtils._build_responses_api_response_id
decode = getattr(ResponsesAPIRequestUtils, "decode_responses_api_response_id", None) or (
    ResponsesAPIRequestUtils._decode_responses_api_response_id
)

HERE, THERE = Place("c0nversat-_", "102"), Place("elsewhere-1", "281474976710655")

PLAIN_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=";"), min_size=1)
PROVIDER_IDS = PLAIN_TEXT.filter(lambda text: "response_id:" not in text and not text.startswith("resp_"))
PLACES = st.builds(lambda _: Place(new_conversation(), new_turn()), st.integers())


@given(provider=PLAIN_TEXT, model=PLAIN_TEXT, own=PROVIDER_IDS, place=PLACES)
def test_what_litellm_wraps_has_the_place_and_to_litellm_the_provider_s_id(provider, model, own, place):
    wrapped = build(custom_llm_provider=provider, model_id=model, response_id=with_place(own, place))
    assert (inner_id(wrapped), place_of(wrapped)) == (own, place)
    assert decode(wrapped) == {"custom_llm_provider": provider, "model_id": model, "response_id": own}


@given(provider=PLAIN_TEXT, model=PLAIN_TEXT, own=PROVIDER_IDS, place=PLACES)
def test_an_id_that_the_fork_wraps_is_the_one_that_litellm_makes(provider, model, own, place):
    made = build(custom_llm_provider=provider, model_id=model, response_id=with_place(own, place))
    assert wrapped_with_place(own, place, None, provider, model) == made
    plain = build(custom_llm_provider=provider, model_id=model, response_id=own)
    assert wrapped_with_place(plain, place, None, "another", "another") == made, "its own wrapper is kept"


@pytest.mark.parametrize("provider, model", [(None, None), ("groq", None), (None, "m")])
def test_what_is_not_known_of_a_stream_is_wrapped_as_litellm_does(provider, model):
    made = build(custom_llm_provider=provider, model_id=model, response_id=with_place("chatcmpl-1", HERE))
    assert wrapped_with_place("chatcmpl-1", HERE, None, provider, model) == made


def test_a_new_place_replaces_the_old_one():
    old, new = (wrapped_with_place("chatcmpl-1", place, None, "groq", "m") for place in (THERE, HERE))
    assert wrapped_with_place(old, HERE, None, None, None) == new
    for each in (old, with_place("chatcmpl-1", THERE)):
        assert with_place(each, HERE) == with_place("chatcmpl-1", HERE)


def test_where_a_provider_repeats_an_id_the_next_response_has_one_of_its_own():
    """Else upstream takes it for the response before."""
    before = wrapped_with_place("chatcmpl-1", THERE, None, "groq", "m")
    own = with_place("chatcmpl-1", HERE, before)
    assert (inner_id(own), place_of(own)) == (f"chatcmpl-1-{HERE.turn}", HERE)
    assert with_place(own, HERE, before) == own == with_place(before, HERE, before)
    wrapped = wrapped_with_place("chatcmpl-1", HERE, before, "groq", "m")
    assert wrapped == build(custom_llm_provider="groq", model_id="m", response_id=own)
    assert inner_id(with_place("chatcmpl-2", HERE, before)) == "chatcmpl-2"


def test_an_id_that_was_wrapped_twice_is_read_to_its_middle():
    """As an MCP round trip does."""
    once = wrapped_with_place("chatcmpl-1", HERE, None, "groq", "m")
    twice = build(custom_llm_provider="groq", model_id="m", response_id=once)
    assert (inner_id(twice), place_of(twice)) == ("chatcmpl-1", HERE)


@pytest.mark.parametrize("model", [None, "", "a;b"])
def test_odd_model_names_hide_nothing(model):
    wrapped = wrapped_with_place("chatcmpl-1", HERE, None, None, model)
    assert (inner_id(wrapped), place_of(wrapped)) == ("chatcmpl-1", HERE)


def test_the_wrapper_says_whose_model_it_is():
    assert provider_of(wrapped_with_place("chatcmpl-1", HERE, None, "groq", "m")) == "groq"
    assert provider_of("chatcmpl-1") is None
    assert provider_of("resp_" + base64.b64encode(b"x;response_id:y").decode()) is None


NO_WRAPPERS = [
    "",
    "chatcmpl-123",
    "resp_",
    "resp_7f9c2ba4-e88f-4b0c-9d5e-2a1b3c4d5e6f",
    "resp_" + base64.b64encode(b"something else entirely").decode(),
    "resp_" + base64.b64encode(b"\xff\xfe;response_id:").decode(),
    "resp_ключ",
    base64.b64encode(b"litellm:model_id:m;response_id:x").decode(),
    "\ud800",
]


@pytest.mark.parametrize("plain", NO_WRAPPERS)
def test_an_id_that_is_no_wrapper_is_its_own_inner_id_and_has_no_place(plain):
    assert (inner_id(plain), place_of(plain), provider_of(plain)) == (plain, None, None)


@pytest.mark.parametrize(
    "place",
    [
        "",
        "c0nversat-_",
        "AAAAAABm",
        "c0nversat-_AAAAAAAA",
        "c0nversat-_AAAAABm",
        "c0nversat-_AAAAAAABm",
        "c0nversat-_AAAAAABm ",
        "c0nversat-_AAAAAABm\n",
        "c0nversat-_AAAA+/Bm",
        "c0nversat-_AAAAAA==",
        "c0nversat-_.102",
        "c0nversat-_AAAAAABm;turn:c0nversat-_AAAAAABn",
        "c0nversat-_AAAAAAB\N{ARABIC-INDIC DIGIT THREE}",
        "}:turns\n{x}AAAAAABm",
        "c0nver{at}_AAAAAABm",
        "c0nvers*t-_AAAAAABm",
        "c0nversätz_AAAAAABm",
    ],
)
def test_a_place_in_another_form_is_none(place):
    assert place_of(f"chatcmpl-1;turn:{place}") is None
    assert place_of(build(custom_llm_provider="p", model_id="m", response_id=f"chatcmpl-1;turn:{place}")) is None


@given(st.text() | st.text().map("x;turn:".__add__) | st.text().map(lambda text: f"x;turn:c0nversat-_{text}"))
def test_any_text_at_all_is_an_id_and_leads_out_of_no_key(text):
    assert isinstance(inner_id(text), str)
    place = place_of(text)
    assert place is None or (len(place.conversation) == 11 and not set(place.conversation) & set("{}:*?[]\\ \n"))
    assert place is None or float(place.turn) == int(place.turn) > 0
    assert inner_id(with_place(text, HERE)) == inner_id(text)


def test_new_places_differ_and_are_read_again():
    places = {Place(new_conversation(), new_turn()) for _ in range(1_000)}
    assert len({place.conversation for place in places}) == 1_000 == len({place.turn for place in places})
    for place in places:
        assert float(place.turn) == int(place.turn) > 0  # Redis keeps it as a score; 0 stands for none.
        assert place_of(with_place("chatcmpl-1", place)) == place


@pytest.fixture
def encrypting(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Encrypts an id as LiteLLM's hook does, for a user and a team."""
    if find_spec("litellm.proxy.hooks.responses_id_security") is None:
        pytest.skip("this release does not encrypt ids")
    from litellm.proxy.common_utils.encrypt_decrypt_utils import encrypt_value_helper
    from litellm.types.utils import SpecialEnums

    monkeypatch.setenv("LITELLM_SALT_KEY", "sk-salt")
    form = SpecialEnums.LITELLM_MANAGED_RESPONSE_API_RESPONSE_ID_COMPLETE_STR.value
    return lambda response_id: f"resp_{encrypt_value_helper(value=form.format(response_id, 'alice', 'red'))}"


def test_an_id_that_the_proxy_encrypted_is_read_as_before(encrypting):
    wrapped = wrapped_with_place("chatcmpl-1", HERE, None, "groq", "m")
    encrypted = encrypting(wrapped)
    assert encrypted != wrapped and place_of(encrypted) is None
    assert decrypted(encrypted) == wrapped


def test_an_encrypted_id_that_was_changed_has_no_place(encrypting):
    encrypted = encrypting(wrapped_with_place("chatcmpl-1", HERE, None, "groq", "m"))
    for changed in (encrypted[:-4], encrypted[:20] + "AAAA" + encrypted[24:]):
        assert place_of(decrypted(changed)) is None


@pytest.mark.parametrize("plain", [*NO_WRAPPERS, wrapped_with_place("chatcmpl-1", HERE, None, "groq", "m")])
def test_an_id_that_is_not_encrypted_is_left_as_it_is(plain, monkeypatch):
    monkeypatch.setenv("LITELLM_SALT_KEY", "sk-salt")
    assert decrypted(plain) == plain
