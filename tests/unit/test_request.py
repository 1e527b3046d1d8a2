"""What the patch knows of a request from the arguments of the bridge's handler."""

from __future__ import annotations

import json
from typing import Any

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.owner import Owner
from litellm.responses.litellm_completion_transformation.redis_session_patch.request import (
    History,
    Source,
    request_from_call,
)

from .support.bridge import request_of
from .support.stores import ALICE, BOB


def call_of(request_input: Any = "hello", **fields: Any) -> dict[str, Any]:
    """The handler's keyword arguments."""
    defaults = {
        "request_input": request_input,
        "responses_api_request": {"instructions": "be kind", "store": False},
        "litellm_completion_request": {"model": "claude-4", "custom_llm_provider": "bedrock", "messages": []},
        "litellm_metadata": {},
    }
    return {**defaults, **fields}


def test_it_knows_owner_input_instructions_and_whose_model_it_is():
    request = request_from_call(call_of(), ALICE)
    assert request.owner is ALICE and request.input == "hello"
    assert request.instructions == "be kind" and request.params["store"] is False
    assert (request.maker, request.provider) == ("claude", "bedrock")
    assert request.history is None and request.connection_turns == ()


@pytest.mark.parametrize(
    "fields, session_id",
    [
        ({"litellm_session_id": "own", "litellm_trace_id": "trace"}, "own"),
        ({"litellm_trace_id": "trace"}, "trace"),
        ({"litellm_metadata": {"session_id": "metadata"}}, "metadata"),
        ({"litellm_metadata": None}, None),
    ],
)
def test_its_session_is_the_one_of_its_row_in_the_spend_logs(fields, session_id):
    assert request_from_call(call_of(**fields), ALICE).session_id == session_id


def test_what_providers_change_in_the_input_later_is_not_stored():
    sent = [{"role": "user", "content": [{"type": "input_text", "text": "hello"}]}]
    request = request_from_call(call_of(sent), ALICE)
    sent[0]["content"][0]["text"] = "changed"
    assert json.loads(request.snapshot.text)[0]["content"][0]["text"] == "hello"


def deeply_nested() -> Any:
    value: Any = "core"
    for _ in range(5_000):
        value = [value]
    return value


@pytest.mark.parametrize("unusual", [{1, 2}, deeply_nested(), [object()]], ids=["a set", "deeply nested", "an object"])
def test_an_input_that_has_no_json_is_left_to_upstream_and_has_no_snapshot(unusual):
    request = request_from_call(call_of(unusual), ALICE)
    assert request.snapshot is None and request.input is unusual


def test_messages_of_the_completion_can_still_be_changed_for_the_provider():
    call = call_of()
    request_from_call(call, ALICE).completion["messages"] = ["new"]
    assert call["litellm_completion_request"]["messages"] == ["new"]


@pytest.mark.parametrize("owner, allowed", [(ALICE, True), (BOB, False), (Owner(ALICE.user, ALICE.team, "k9"), True)])
def test_it_may_continue_what_is_its_owner_s(owner, allowed):
    assert request_of().may_continue(owner) is allowed


@pytest.mark.parametrize(
    "source, is_ours",
    [
        (Source.REDIS, True),
        (Source.CONNECTION, True),
        (Source.DATABASE, False),
        (Source.NONE, False),
        (Source.UNAVAILABLE, False),
    ],
)
def test_only_a_history_of_ours_holds_its_tool_calls_already(source, is_ours):
    assert History(source).is_ours is is_ours
