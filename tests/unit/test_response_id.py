"""The wrapper around a response id, against LiteLLM's own."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from litellm.responses.utils import ResponsesAPIRequestUtils

from litellm.responses.litellm_completion_transformation.redis_session_patch.response_id import inner_id, with_inner_id

build = ResponsesAPIRequestUtils._build_responses_api_response_id
decode = getattr(ResponsesAPIRequestUtils, "decode_responses_api_response_id", None) or (
    ResponsesAPIRequestUtils._decode_responses_api_response_id
)

PLAIN_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=";"), min_size=1)
PROVIDER_IDS = PLAIN_TEXT.filter(lambda text: "response_id:" not in text)


@given(provider=PLAIN_TEXT, model=PLAIN_TEXT, own=PROVIDER_IDS)
def test_the_inner_id_is_the_one_that_litellm_decodes(provider, model, own):
    wrapped = build(custom_llm_provider=provider, model_id=model, response_id=own)
    assert inner_id(wrapped) == own == decode(wrapped)["response_id"]


@given(model=PLAIN_TEXT, own=PROVIDER_IDS, new=PROVIDER_IDS)
def test_another_inner_id_leaves_the_wrapper_as_litellm_made_it(model, own, new):
    wrapped = build(custom_llm_provider="gemini", model_id=model, response_id=own)
    assert with_inner_id(wrapped, new) == build(custom_llm_provider="gemini", model_id=model, response_id=new)
    assert decode(with_inner_id(wrapped, new)) == {
        "custom_llm_provider": "gemini",
        "model_id": model,
        "response_id": new,
    }


@pytest.mark.parametrize("model", [None, "", "a;b"])
def test_odd_model_names_do_not_hide_the_inner_id(model):
    wrapped = build(custom_llm_provider=None, model_id=model, response_id="chatcmpl-1")
    assert inner_id(wrapped) == "chatcmpl-1"
    assert inner_id(with_inner_id(wrapped, "chatcmpl-2")) == "chatcmpl-2"


@pytest.mark.parametrize(
    "plain",
    [
        "",
        "chatcmpl-123",
        "resp_",
        "resp_7f9c2ba4-e88f-4b0c-9d5e-2a1b3c4d5e6f",
        "resp_" + base64.b64encode(b"something else entirely").decode(),
        "resp_" + base64.b64encode(b"\xff\xfe;response_id:").decode(),
        "resp_ключ",
        base64.b64encode(b"litellm:model_id:m;response_id:x").decode(),
        "\ud800",
    ],
)
def test_an_id_that_is_no_wrapper_is_its_own_inner_id(plain):
    assert inner_id(plain) == plain
    assert with_inner_id(plain, "new") == "new"


@given(st.text())
def test_any_text_at_all_has_an_inner_id(text):
    assert isinstance(inner_id(text), str)
    assert inner_id(with_inner_id(text, "chatcmpl-new")) == "chatcmpl-new"
