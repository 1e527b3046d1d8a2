"""What a client is told of a previous response that is not there, or cannot be asked for."""

from __future__ import annotations

import pytest

import litellm
from litellm.responses.litellm_completion_transformation.redis_session_patch.values import refusals

NOT_FOUND, CANNOT_ASK = "previous_response_not_found", "previous_response_unavailable"


@pytest.mark.parametrize(
    "code, status, kind", [(NOT_FOUND, 400, "invalid_request_error"), (CANNOT_ASK, 503, "server_error")]
)
def test_status_and_body_are_openai_s(code, status, kind):
    assert refusals.is_refusal(code)
    said, _, body = refusals.answer_of(code, "litellm.BadRequestError: in LiteLLM's words. Received Model Group=m")
    message = body["error"].pop("message")
    assert said == status and message.startswith("The previous response ") and "itellm" not in message
    assert body == {"error": {"type": kind, "param": "previous_response_id", "code": code}}


@pytest.mark.parametrize(
    "code, status, kind, shown",
    [
        (refusals.ITEM, 404, "invalid_request_error", None),
        (refusals.ITEM_UNSTORED, 404, "invalid_request_error", None),
        (refusals.CANNOT_ASK_ITEM, 503, "server_error", refusals.CANNOT_ASK_ITEM),
    ],
)
def test_an_item_that_is_not_there_is_named_whatever_litellm_makes_of_the_message(code, status, kind, shown):
    with pytest.raises(litellm.BadRequestError) as caught:
        refusals.refuse(code, "m", "groq", "msg_{1}")
    said, headers, body = refusals.answer_of(code, f"litellm.{caught.value}. Received Model Group=m")
    message = body["error"].pop("message")
    assert (said, "Retry-After" in headers) == (status, status == 503)
    assert message.count("'msg_{1}'") == 1 and "itellm" not in message
    assert body == {"error": {"type": kind, "param": "input", "code": shown}}


def test_only_what_may_be_tried_again_says_when():
    assert int(refusals.answer_of(CANNOT_ASK, "")[1]["Retry-After"]) >= 1
    assert refusals.answer_of(NOT_FOUND, "")[1] == {}


@pytest.mark.parametrize("code", [None, "", "invalid_api_key", 400, "400"])
def test_other_codes_are_none_of_ours(code):
    assert not refusals.is_refusal(code)


@pytest.mark.parametrize("code", [NOT_FOUND, CANNOT_ASK])
@pytest.mark.parametrize("provider", ["groq", None])
def test_to_the_router_a_refusal_is_a_bad_request_and_not_a_deployment_s_fault(code, provider):
    with pytest.raises(litellm.BadRequestError) as caught:
        refusals.refuse(code, "m", provider)
    error = caught.value
    assert (error.code, error.param, error.type) == (
        code,
        "previous_response_id",
        refusals.answer_of(code, "")[2]["error"]["type"],
    )


@pytest.mark.parametrize(
    "ours, status, param, code",
    [
        (refusals.CONVERSATION, 404, None, None),
        (refusals.CONVERSATION_TOO, 400, None, "mutually_exclusive_parameters"),
        (refusals.CONVERSATION_LOCKED, 400, "conversation", "conversation_locked"),
    ],
)
def test_a_conversation_object_is_refused_in_openai_s_words(ours, status, param, code):
    with pytest.raises(litellm.BadRequestError) as caught:
        refusals.refuse(ours, "m", "groq", "conv_1")
    assert not refusals.is_refusal(code), "a native model's provider may say so too"
    assert refusals.is_refusal(caught.value.code)
    answered, _, body = refusals.answer_of(caught.value.code, str(caught.value))
    error = body["error"]
    assert answered == status
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, code)
    assert "conv_1" in error["message"] or ours != refusals.CONVERSATION
