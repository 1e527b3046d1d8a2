"""Who keeps the history of a WebSocket connection, and how a refusal is said over it."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

import litellm
from litellm.responses.litellm_completion_transformation.redis_session_patch import runtime as runtimes
from litellm.responses.litellm_completion_transformation.redis_session_patch.misses import refuse_unknown_response
from litellm.responses.litellm_completion_transformation.redis_session_patch.websockets import (
    note_websocket_call,
    refused_over_websocket,
    websocket_history_is_elsewhere,
)


@pytest.fixture
def in_use(undecided: pytest.MonkeyPatch) -> None:
    runtimes.use(runtimes.Runtime(runtimes.Settings(), lambda: None))


def handler_of(call: dict[str, Any] | None) -> SimpleNamespace:
    handler = SimpleNamespace()
    if call is not None:
        note_websocket_call(handler, call)
    return handler


@pytest.mark.parametrize(
    "call, elsewhere",
    [(None, False), ({}, False), ({"previous_response_id": None}, False), ({"previous_response_id": "x"}, True)],
)
def test_only_a_turn_that_began_before_the_connection_is_left_to_the_store(in_use, call, elsewhere):
    assert websocket_history_is_elsewhere(handler_of(call)) is elsewhere


def test_what_upstream_takes_out_of_the_call_it_keeps_itself(in_use):
    call = {"previous_response_id": "x"}
    handler = handler_of(call)
    del call["previous_response_id"]
    assert not websocket_history_is_elsewhere(handler)


def test_without_the_patch_upstream_keeps_everything(undecided):
    assert not websocket_history_is_elsewhere(handler_of({"previous_response_id": "x"}))


class Socket:
    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    async def send_text(self, text: str) -> None:
        self.sent.append(json.loads(text))


async def test_a_refusal_is_sent_as_openai_s_error_event():
    socket = Socket()
    try:
        refuse_unknown_response("m", "groq")
    except litellm.BadRequestError:
        assert await refused_over_websocket(socket)
    (event,) = socket.sent
    assert (event["type"], event["status"]) == ("error", 400)
    assert event["error"]["code"] == "previous_response_not_found"
    assert event["error"]["param"] == "previous_response_id"
    assert event["error"]["type"] == "invalid_request_error"


async def test_any_other_error_is_left_to_upstream():
    socket = Socket()
    assert not await refused_over_websocket(socket)
    try:
        raise ZeroDivisionError
    except ZeroDivisionError:
        assert not await refused_over_websocket(socket)
    assert socket.sent == []
