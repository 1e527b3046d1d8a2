"""The newest releases change the input, and may look up turns, before they call the handler that the fork decorates."""

from __future__ import annotations

from collections.abc import Coroutine, Iterator
from typing import Any

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch import runtime as runtimes
from litellm.responses.litellm_completion_transformation.redis_session_patch.bridge import (
    remember_client_request,
    remember_request,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.owner import Owner
from litellm.responses.litellm_completion_transformation.redis_session_patch.request import CURRENT, Request

from .support.bridge import runtime_on

SENT = [{"type": "tool_search_output", "call_id": "c1", "tools": [{"type": "function", "name": "found"}]}]


@pytest.fixture(autouse=True)
def is_used(redis_client) -> Iterator[None]:
    runtimes.use(runtime_on(redis_client))
    yield
    runtimes.use(None)


@remember_request
async def inner_handler(**call: Any) -> Request | None:
    return CURRENT.get()


@remember_client_request
def outer_handler(input: Any, *, in_a_coroutine: bool = True, **call: Any) -> Coroutine[Any, Any, Any] | str:
    async def look_up_and_handle() -> tuple[Request | None, Request | None]:
        early = CURRENT.get()
        if early is not None:
            early.may_store = False  # what a lookup may find
        return early, await inner_handler(
            request_input="without the tools", responses_api_request={}, litellm_completion_request={}, **call
        )

    return look_up_and_handle() if in_a_coroutine else "done"


async def requests_of(**call: Any) -> tuple[Request | None, Request | None]:
    return await outer_handler(input=SENT, litellm_metadata={"user_api_key_user_id": "alice"}, **call)


async def test_what_is_stored_is_what_the_client_sent():
    _, request = await requests_of()
    assert request.input == SENT and request.input is not SENT


async def test_a_lookup_before_the_call_knows_who_asks_and_its_outcome_stays():
    early, request = await requests_of()
    assert early.owner == Owner(user="alice") and early.input is SENT
    assert not request.may_store
    assert CURRENT.get() is None


def test_a_call_that_is_not_awaited_is_as_it_was():
    assert outer_handler(input=SENT, in_a_coroutine=False) == "done"


async def test_without_redis_nothing_is_remembered():
    runtimes.use(None)
    assert await requests_of() == (None, None)
