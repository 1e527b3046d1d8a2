"""The newest releases change the input, and may look up turns, before they call the handler that the fork decorates."""

from __future__ import annotations

import json
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch import runtime as runtimes
from litellm.responses.litellm_completion_transformation.redis_session_patch.bridge import (
    history_is_whole,
    remember_client_request,
    remember_request,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.request import (
    CURRENT,
    History,
    Request,
    Source,
)

from .support.bridge import asked_by
from .support.stores import ALICE, OF_ALICE, OF_BOB

SENT = [{"type": "tool_search_output", "call_id": "c1", "tools": [{"type": "function", "name": "found"}]}]


@pytest.fixture(autouse=True)
def is_used(runtime) -> Iterator[None]:
    runtimes.use(runtime)
    yield
    runtimes.use(None)


class Reply:
    """A response, as far as a header is put on it. ``request``: the one that was running."""

    def __init__(self) -> None:
        self.request, self.was_whole = CURRENT.get(), history_is_whole()


@remember_request
async def inner_handler(**call: Any) -> Reply:
    return Reply()


@remember_client_request
def outer_handler(input: Any, *, in_a_coroutine: bool = True, **call: Any) -> Coroutine[Any, Any, Any] | str:
    async def look_up_and_handle() -> tuple[Request | None, Reply]:
        early = CURRENT.get()
        if early is not None:
            early.history = History(Source.REDIS)  # what a lookup may find
        return early, await inner_handler(
            request_input="without the tools", responses_api_request={}, litellm_completion_request={}, **call
        )

    return look_up_and_handle() if in_a_coroutine else "done"


async def handled(**call: Any) -> tuple[Request | None, Reply]:
    with asked_by(ALICE):
        return await outer_handler(input=SENT, **{"litellm_metadata": OF_ALICE, **call})


async def test_what_is_stored_is_what_the_client_sent():
    _, reply = await handled()
    assert reply.request.input is SENT and json.loads(reply.request.snapshot.text) == SENT


async def test_a_lookup_before_the_call_knows_who_asks_and_its_outcome_stays():
    early, reply = await handled()
    assert early.owner is ALICE and early.input is SENT
    assert reply.request.history == History(Source.REDIS) and reply.was_whole
    assert CURRENT.get() is None and not history_is_whole()


async def test_a_request_inside_another_that_is_not_early_has_its_own_input():
    before = CURRENT.set((await handled())[1].request)
    try:
        with asked_by(ALICE):
            reply = await inner_handler(
                request_input="inner",
                responses_api_request={},
                litellm_completion_request={},
                litellm_metadata=OF_ALICE,
            )
        assert reply.request.input == "inner" and reply.request.history is None
    finally:
        CURRENT.reset(before)


def test_a_call_that_is_not_awaited_is_as_it_was():
    assert outer_handler(input=SENT, in_a_coroutine=False) == "done"


async def test_without_redis_nothing_is_remembered():
    runtimes.use(None)
    early, reply = await handled()
    assert early is None and reply.request is None and not hasattr(reply, "_hidden_params")


@pytest.mark.parametrize("metadata", [OF_BOB, {}, None])
async def test_a_call_that_is_not_the_caller_s_is_passed_through(metadata):
    early, reply = await handled(litellm_metadata=metadata)
    assert early is None and reply.request is None and not hasattr(reply, "_hidden_params")
