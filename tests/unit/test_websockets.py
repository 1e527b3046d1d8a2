"""Who keeps the history of a WebSocket connection, and how a refusal is said over it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

import litellm
from litellm.responses.litellm_completion_transformation.redis_session_patch import bridge, defects
from litellm.responses.litellm_completion_transformation.redis_session_patch import runtime as runtimes
from litellm.responses.litellm_completion_transformation.redis_session_patch.refusals import (
    refuse_for_now,
    refuse_unknown_response,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.request import CURRENT
from litellm.responses.litellm_completion_transformation.redis_session_patch.websockets import (
    _CONNECTION,
    enter_connection,
    leave_history_to_redis,
    refused_over_websocket,
    remembered_by_the_connection,
)

from .support.bridge import asked_by
from .support.lookups import MEMORY
from .support.stores import ALICE, BOB, OF_ALICE


@pytest.fixture(autouse=True)
def is_used(runtime) -> Iterator[None]:
    runtimes.use(runtime)
    enter_connection()
    yield
    runtimes.use(None)
    leave_history_to_redis({}, None, [])
    _CONNECTION.set(None)


def test_a_turn_whose_history_the_connection_knows_goes_as_over_http_and_the_memory_goes_along():
    call: dict[str, Any] = {"input": "now"}
    with asked_by(ALICE):
        assert leave_history_to_redis(call, "x", [*MEMORY])
    assert call == {"input": "now", "previous_response_id": "x"}
    assert remembered_by_the_connection() == MEMORY


@pytest.mark.parametrize("previous, remembered", [(None, MEMORY), ("", MEMORY), ("x", ()), ("x", [])])
def test_a_first_turn_and_one_that_the_connection_does_not_know_are_left_to_upstream(previous, remembered):
    call: dict[str, Any] = {"input": "now"}
    with asked_by(ALICE):
        assert leave_history_to_redis({}, "an earlier one", MEMORY)
        assert not leave_history_to_redis(call, previous, remembered)
    assert call == {"input": "now"} and remembered_by_the_connection() == ()


def test_without_redis_upstream_keeps_everything():
    runtimes.use(None)
    check_upstream_keeps_everything(ALICE)


def test_of_a_connection_that_came_by_no_route_of_ours_upstream_keeps_everything():
    _CONNECTION.set(None)
    check_upstream_keeps_everything(None)


async def test_a_connection_whose_turn_was_not_understood_gives_its_history_itself():
    """What failed may fail again, and then only the connection knows its history."""

    with asked_by(ALICE):
        await bridge.remember_request(_nothing)(request_input_renamed="now", litellm_metadata=OF_ALICE)
    assert defects.counted() == 1
    check_upstream_keeps_everything(ALICE)
    enter_connection()
    with asked_by(ALICE):
        assert leave_history_to_redis({}, "x", MEMORY)


async def test_a_connection_with_the_turn_of_another_caller_gives_its_history_itself():
    with asked_by(BOB):
        await bridge.remember_request(_nothing)(litellm_metadata=OF_ALICE)
    check_upstream_keeps_everything(BOB)


async def test_what_a_guardrail_asks_for_in_a_turn_changes_nothing():
    with asked_by(ALICE):
        await bridge.remember_request(_nothing)(request_input="judge")
        assert leave_history_to_redis({}, "x", MEMORY)


async def _nothing(**call: Any) -> None: ...


def check_upstream_keeps_everything(caller: Any) -> None:
    call: dict[str, Any] = {}
    with asked_by(caller):
        assert not leave_history_to_redis(call, "x", MEMORY)
    assert call == {} and remembered_by_the_connection() == ()


def test_a_call_that_takes_no_id_keeps_its_memory_with_upstream():
    with asked_by(ALICE):
        assert not leave_history_to_redis(None, "x", MEMORY)
    assert defects.counted() == 1


async def test_the_request_of_the_turn_knows_what_the_connection_remembers():
    class Reply: ...

    @bridge.remember_request
    async def handler(**call: Any) -> Any:
        seen.append(CURRENT.get().connection_turns)
        return Reply()

    seen: list[Any] = []
    call = {"request_input": "now", "responses_api_request": {}, "litellm_completion_request": {}}
    with asked_by(ALICE):
        leave_history_to_redis({}, "x", MEMORY)
        await handler(**call, litellm_metadata=OF_ALICE)
        leave_history_to_redis({}, None, [])
        await handler(**call, litellm_metadata=OF_ALICE)
    assert seen == [MEMORY, ()]


class Handler:
    """LiteLLM's handler of a connection, and what it sent."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.websocket = SimpleNamespace(send_text=self.send_text)

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
    handler = Handler()
    try:
        refuse("m", "groq")
    except litellm.BadRequestError:
        assert await refused_over_websocket(handler)
    (event,) = handler.sent
    assert (event["type"], event["status"]) == ("error", status)
    assert event["error"]["code"] == code and event["error"]["type"] == kind
    assert event["error"]["param"] == "previous_response_id" and event["error"]["message"]


async def test_any_other_error_is_left_to_upstream():
    handler = Handler()
    assert not await refused_over_websocket(handler)
    for error in (ZeroDivisionError(), litellm.BadRequestError("no", "m", "groq")):
        try:
            raise error
        except type(error):
            assert not await refused_over_websocket(handler)
    assert handler.sent == [] and defects.counted() == 0


async def test_a_refusal_that_cannot_be_sent_is_left_to_upstream():
    try:
        refuse_unknown_response("m", "groq")
    except litellm.BadRequestError:
        assert not await refused_over_websocket(SimpleNamespace(socket="under another name"))
    assert defects.counted() == 1
