"""Who keeps the history of a WebSocket connection, and how a refusal is said over it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

import litellm
from litellm.responses.litellm_completion_transformation.redis_session_patch import bridge
from litellm.responses.litellm_completion_transformation.redis_session_patch import runtime as runtimes
from litellm.responses.litellm_completion_transformation.redis_session_patch.refusals import (
    refuse_for_now,
    refuse_unknown_response,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.request import CURRENT
from litellm.responses.litellm_completion_transformation.redis_session_patch.websockets import (
    leave_history_to_redis,
    refused_over_websocket,
    remembered_by_the_connection,
)

from .support.lookups import MEMORY


@pytest.fixture(autouse=True)
def is_used(runtime) -> Iterator[None]:
    runtimes.use(runtime)
    yield
    runtimes.use(None)
    leave_history_to_redis({}, None, [])


def test_a_turn_whose_history_the_connection_knows_goes_as_over_http_and_the_memory_goes_along():
    call: dict[str, Any] = {"input": "now"}
    assert leave_history_to_redis(call, "x", [*MEMORY])
    assert call == {"input": "now", "previous_response_id": "x"}
    assert remembered_by_the_connection() == MEMORY


@pytest.mark.parametrize("previous, remembered", [(None, MEMORY), ("", MEMORY), ("x", ()), ("x", [])])
def test_a_first_turn_and_one_that_the_connection_does_not_know_are_left_to_upstream(previous, remembered):
    leave_history_to_redis({}, "an earlier one", MEMORY)
    call: dict[str, Any] = {"input": "now"}
    assert not leave_history_to_redis(call, previous, remembered)
    assert call == {"input": "now"} and remembered_by_the_connection() == ()


def test_without_redis_upstream_keeps_everything():
    runtimes.use(None)
    call: dict[str, Any] = {}
    assert not leave_history_to_redis(call, "x", MEMORY)
    assert call == {} and remembered_by_the_connection() == ()


async def test_the_request_of_the_turn_knows_what_the_connection_remembers():
    class Reply: ...

    @bridge.remember_request
    async def handler(**call: Any) -> Any:
        seen.append(CURRENT.get().connection_turns)
        return Reply()

    seen: list[Any] = []
    call = {"request_input": "now", "responses_api_request": {}, "litellm_completion_request": {}}
    leave_history_to_redis({}, "x", MEMORY)
    await handler(**call)
    leave_history_to_redis({}, None, [])
    await handler(**call)
    assert seen == [MEMORY, ()]


class Socket:
    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    async def send_text(self, text: str) -> None:
        self.sent.append(json.loads(text))


@pytest.mark.parametrize(
    "refuse, status, code, kind",
    [
        (refuse_unknown_response, 400, "previous_response_not_found", "invalid_request_error"),
        (refuse_for_now, 503, "previous_response_unavailable", "server_error"),
    ],
)
async def test_a_refusal_is_sent_as_openai_s_error_event(refuse, status, code, kind):
    socket = Socket()
    try:
        refuse("m", "groq")
    except litellm.BadRequestError:
        assert await refused_over_websocket(socket)
    (event,) = socket.sent
    assert (event["type"], event["status"]) == ("error", status)
    assert event["error"]["code"] == code and event["error"]["type"] == kind
    assert event["error"]["param"] == "previous_response_id" and event["error"]["message"]


async def test_any_other_error_is_left_to_upstream():
    socket = Socket()
    assert not await refused_over_websocket(socket)
    for error in (ZeroDivisionError(), litellm.BadRequestError("no", "m", "groq")):
        try:
            raise error
        except type(error):
            assert not await refused_over_websocket(socket)
    assert socket.sent == []
