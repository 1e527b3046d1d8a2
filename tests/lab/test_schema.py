"""The check of replies notices what is missing, and what is null where it may not be."""

from __future__ import annotations

from typing import Any

import pytest

from lab.client import Reply
from lab.schema import faults_in

ITEM = {
    "type": "message", "id": "m", "status": "completed", "role": "assistant",
    "content": [{"type": "output_text", "text": "hi", "annotations": [], "logprobs": []}],
}  # fmt: skip
WHOLE: dict[str, Any] = {
    "id": "resp_1", "object": "response", "created_at": 1, "completed_at": 2, "status": "completed", "error": None,
    "incomplete_details": None, "model": "m", "previous_response_id": None, "instructions": None, "output": [ITEM],
    "tools": [], "tool_choice": "auto", "truncation": "disabled", "parallel_tool_calls": True, "top_p": 1.0,
    "text": {"format": {"type": "text"}}, "presence_penalty": 0, "frequency_penalty": 0, "top_logprobs": 0,
    "temperature": 1.0, "reasoning": None, "user": None, "usage": None, "max_output_tokens": None, "store": True,
    "max_tool_calls": None, "background": False, "service_tier": "default", "metadata": {}, "safety_identifier": None,
    "prompt_cache_key": None,
}  # fmt: skip


def test_what_is_whole_has_no_faults() -> None:
    assert faults_in(Reply(200, WHOLE)) == []
    assert faults_in(Reply(200, {**WHOLE, "more": 1})) == []
    event = {"type": "response.completed", "sequence_number": 0, "response": WHOLE}
    assert faults_in(Reply(200, WHOLE, (event,))) == []


@pytest.mark.parametrize("name", WHOLE)
def test_a_field_that_is_missing_is_named(name: str) -> None:
    fewer = {each: value for each, value in WHOLE.items() if each != name}
    (fault,) = faults_in(Reply(200, fewer))
    assert fault.startswith(f"response.{name}: ")


@pytest.mark.parametrize("name", ["temperature", "text", "truncation", "store", "service_tier", "output"])
def test_a_null_is_named(name: str) -> None:
    assert faults_in(Reply(200, {**WHOLE, name: None}))


@pytest.mark.parametrize(
    "change", [{"phase": None}, {"status": None}, {"content": [{"type": "output_text", "text": ""}]}]
)
def test_an_item_s_fault_is_named(change: dict[str, Any]) -> None:
    assert faults_in(Reply(200, {**WHOLE, "output": [{**ITEM, **change}]}))


def test_events_are_checked_and_their_numbers() -> None:
    delta = {"type": "response.output_text.delta", "item_id": "m", "output_index": 0, "content_index": 0, "delta": "a"}
    whole = {**delta, "logprobs": [], "sequence_number": 0}
    assert faults_in(Reply(200, {}, (whole,))) == []
    assert len(faults_in(Reply(200, {}, (delta,)))) == 3
    assert len(faults_in(Reply(200, {}, (whole, whole)))) == 1
