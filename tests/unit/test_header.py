"""The history header outlives what LiteLLM does to a reply between the bridge and the client."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import pytest
from litellm.litellm_core_utils.core_helpers import process_response_headers
from litellm.types.llms.openai import ResponsesAPIResponse
from litellm.types.utils import HiddenParams

from litellm.responses.litellm_completion_transformation.redis_session_patch.header import (
    HISTORY_HEADER,
    set_history_header,
)


def response() -> ResponsesAPIResponse:
    return ResponsesAPIResponse(id="r", created_at=1, output=[])


def headers(reply: Any) -> dict[str, Any]:
    return dict(reply._hidden_params["additional_headers"])


@pytest.mark.parametrize("make_reply", [response, SimpleNamespace], ids=["response", "stream"])
def test_a_reply_has_the_header(make_reply: Any) -> None:
    reply = make_reply()
    set_history_header(reply, "redis")
    assert headers(reply) == {HISTORY_HEADER: "redis"}


def test_other_hidden_params_stay() -> None:
    reply = response()
    reply._hidden_params = {"model_id": "m", "additional_headers": {"llm_provider-x": "1"}}
    set_history_header(reply, "none")
    assert reply._hidden_params["model_id"] == "m"
    assert headers(reply) == {"llm_provider-x": "1", HISTORY_HEADER: "none"}


def test_hidden_params_that_are_a_model_stay() -> None:
    reply = response()
    reply._hidden_params = HiddenParams(model_id="m")
    set_history_header(reply, "none")
    assert reply._hidden_params["model_id"] == "m"
    assert headers(reply) == {HISTORY_HEADER: "none"}


def test_the_chat_completion_whose_params_they_were_gets_no_header() -> None:
    completions_own = {"additional_headers": {"x": "1"}}
    reply = response()
    reply._hidden_params = completions_own
    set_history_header(reply, "redis")
    assert completions_own == {"additional_headers": {"x": "1"}}


def test_the_header_is_there_once_when_litellm_has_made_the_headers_anew() -> None:
    reply = response()
    set_history_header(reply, "database")
    made_anew = process_response_headers(reply._hidden_params["additional_headers"])
    assert list(made_anew) == [f"llm_provider-{HISTORY_HEADER}"]  # What releases without headers of their own make.
    reply._hidden_params.update({"additional_headers": made_anew, "api_base": "a"})
    assert headers(reply) == {HISTORY_HEADER: "database"}
    assert reply._hidden_params["api_base"] == "a"


def test_the_header_comes_back_when_all_headers_were_dropped() -> None:
    reply = response()
    set_history_header(reply, "redis")
    reply._hidden_params["additional_headers"] = None
    reply._hidden_params.update(cache_key="c")
    assert headers(reply) == {HISTORY_HEADER: "redis"}


def test_a_copied_reply_keeps_the_header() -> None:
    reply = response()
    set_history_header(reply, "redis")
    copied = copy.deepcopy(reply)
    copied._hidden_params.update(additional_headers={})
    assert headers(copied) == {HISTORY_HEADER: "redis"}
