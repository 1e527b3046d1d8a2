"""What the patch knows of a request from the arguments of the bridge's handler."""

from __future__ import annotations

from typing import Any

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.owner import Owner
from litellm.responses.litellm_completion_transformation.redis_session_patch.request import request_from_call

from .support.bridge import request_of


def call_of(request_input: Any = "hello", **fields: Any) -> dict[str, Any]:
    """The handler's keyword arguments."""
    defaults = {
        "request_input": request_input,
        "responses_api_request": {"instructions": "be kind", "store": False},
        "litellm_completion_request": {"model": "claude-4", "custom_llm_provider": "bedrock", "messages": []},
        "litellm_metadata": {"user_api_key_user_id": "alice", "user_api_key_hash": "h"},
    }
    return {**defaults, **fields}


def test_it_knows_owner_input_instructions_and_whose_model_it_is():
    request = request_from_call(call_of())
    assert request.owner == Owner(user="alice", key="h") and request.input == "hello"
    assert request.instructions == "be kind" and request.params["store"] is False
    assert (request.maker, request.provider) == ("claude", "bedrock")
    assert request.may_store and request.parent is None and not request.history_is_whole


@pytest.mark.parametrize("metadata", [None, {}])
def test_a_request_that_nobody_authenticated_has_no_owner(metadata):
    assert request_from_call(call_of(litellm_metadata=metadata)).owner == Owner()


def test_what_providers_change_in_the_input_later_is_not_stored():
    sent = [{"role": "user", "content": [{"type": "input_text", "text": "hello"}]}]
    request = request_from_call(call_of(sent))
    sent[0]["content"][0]["text"] = "changed"
    assert request.input[0]["content"][0]["text"] == "hello"


def test_an_input_that_cannot_be_copied_is_left_to_upstream_and_not_stored():
    nested: Any = "core"
    for _ in range(5_000):
        nested = [nested]
    assert not request_from_call(call_of(nested)).may_store


def test_messages_of_the_completion_can_still_be_changed_for_the_provider():
    call = call_of()
    request_from_call(call).completion["messages"] = ["new"]
    assert call["litellm_completion_request"]["messages"] == ["new"]


@pytest.mark.parametrize("owner, allowed", [(Owner("alice", "red", "k9"), True), (Owner("bob", "red", "k1"), False)])
def test_it_may_continue_what_is_its_owner_s(owner, allowed):
    assert request_of().may_continue(owner) is allowed
