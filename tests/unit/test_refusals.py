"""What a client is told of a previous response that is not there, or cannot be asked for."""

from __future__ import annotations

import pytest

import litellm
from litellm.responses.litellm_completion_transformation.redis_session_patch import refusals

NOT_FOUND, CANNOT_ASK = "previous_response_not_found", "previous_response_unavailable"


@pytest.mark.parametrize(
    "code, status, kind", [(NOT_FOUND, 400, "invalid_request_error"), (CANNOT_ASK, 503, "server_error")]
)
def test_status_and_body_are_openai_s(code, status, kind):
    assert refusals.is_refusal(code) and refusals.status_of(code) == status
    assert refusals.error_body(code, "Why.") == {
        "error": {"message": "Why.", "type": kind, "param": "previous_response_id", "code": code}
    }


def test_only_what_may_be_tried_again_says_when():
    assert int(refusals.headers_of(CANNOT_ASK)["Retry-After"]) >= 1
    assert refusals.headers_of(NOT_FOUND) == {}


@pytest.mark.parametrize("code", [None, "", "invalid_api_key", 400, "400"])
def test_other_codes_are_none_of_ours(code):
    assert not refusals.is_refusal(code)


@pytest.mark.parametrize(
    "refuse, code", [(refusals.refuse_unknown_response, NOT_FOUND), (refusals.refuse_for_now, CANNOT_ASK)]
)
@pytest.mark.parametrize("provider", ["groq", None])
def test_to_the_router_a_refusal_is_a_bad_request_and_not_a_deployment_s_fault(refuse, code, provider):
    with pytest.raises(litellm.BadRequestError) as caught:
        refuse("m", provider)
    error = caught.value
    assert (error.code, error.param, error.type) == (
        code,
        "previous_response_id",
        refusals.error_body(code, "")["error"]["type"],
    )


@pytest.mark.parametrize(
    "has_previous_response, param, code",
    [(False, "conversation", "unsupported_parameter"), (True, None, "mutually_exclusive_parameters")],
)
def test_a_conversation_object_is_refused_in_openai_s_words(has_previous_response, param, code):
    with pytest.raises(litellm.BadRequestError) as caught:
        refusals.refuse_conversation("m", "groq", has_previous_response)
    assert not refusals.is_refusal(code), "a native model's provider may say so too"
    assert refusals.is_refusal(caught.value.code) and refusals.status_of(caught.value.code) == 400
    error = refusals.error_body(caught.value.code, str(caught.value))["error"]
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, code)
    assert "previous_response_id" in error["message"]
