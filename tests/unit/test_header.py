"""The history header outlives what LiteLLM does to a reply between the bridge and the client."""

from __future__ import annotations

import copy
import datetime
from types import SimpleNamespace
from typing import Any

import pytest
from litellm.litellm_core_utils.core_helpers import process_response_headers
from litellm.litellm_core_utils.litellm_logging import Logging
from litellm.litellm_core_utils.llm_response_utils.response_metadata import update_response_metadata
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


class Stream:
    """As the iterator of a bridged stream, which has no hidden params of its own."""


def logging_of_a_stream() -> Logging:
    now = datetime.datetime.now()
    return Logging("m", [], True, "aresponses", now, "call", "function")


def note_the_times(reply: Any, logging: Logging) -> None:
    now = datetime.datetime.now()
    update_response_metadata(reply, logging, "deepseek/deepseek-chat", {}, now, now)


def test_a_stream_has_the_header_when_litellm_has_noted_its_times() -> None:
    stream, logging = Stream(), logging_of_a_stream()
    set_history_header(stream, "redis", logging)
    assert not hasattr(stream, "_hidden_params")
    note_the_times(stream, logging)
    assert headers(stream) == {HISTORY_HEADER: "redis"}


def test_nobody_calculates_what_a_stream_costs_that_has_only_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(Logging, "response_cost_calculator", lambda self, result, **_: asked.append(result))
    stream, logging = Stream(), logging_of_a_stream()
    set_history_header(stream, "redis", logging)
    note_the_times(stream, logging)
    assert not asked
    assert logging.response_timing_metrics.keys() == {"_response_ms"}


def test_a_stream_with_the_header_is_still_what_it_was() -> None:
    stream, other = Stream(), Stream()
    set_history_header(stream, "redis", logging_of_a_stream())
    assert isinstance(stream, Stream)
    assert type(stream).__name__ == "Stream"
    assert not hasattr(other, "_hidden_params")


def test_what_the_router_adds_to_a_stream_stays() -> None:
    stream, logging = Stream(), logging_of_a_stream()
    set_history_header(stream, "redis", logging)
    note_the_times(stream, logging)
    stream._hidden_params = {**stream._hidden_params, "model_id": "m"}
    assert stream._hidden_params["model_id"] == "m"
    assert headers(stream) == {HISTORY_HEADER: "redis"}
