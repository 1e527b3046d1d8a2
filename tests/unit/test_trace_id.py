"""Up to 1.72 LiteLLM gives a completion both trace ids, the call's and the conversation's: it must get one."""

from __future__ import annotations

from typing import Any

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.doors.bridge import remember_request
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis import defects

from .support.bridge import ALICE, OF_ALICE, OF_BOB, entered, exchange_of

pytestmark = pytest.mark.usefixtures("used_runtime")


@remember_request
async def handler(litellm_completion_request: dict[str, Any], **call: Any) -> dict[str, Any]:
    """As in those releases: a name that stands in both is an error. What is a caller's is left out."""
    given = dict(**litellm_completion_request, **call)
    return {name: value for name, value in given.items() if name not in ("request_input", "litellm_metadata")}


async def handled(metadata: Any = OF_ALICE, **given: Any) -> dict[str, Any]:
    with entered(exchange_of("hello", ALICE)):
        return await handler(request_input="hello", litellm_metadata=metadata, **given)


async def test_the_conversation_s_trace_id_wins():
    both = await handled(litellm_completion_request={"litellm_trace_id": "conversation"}, litellm_trace_id="call", a=1)
    assert both == {"litellm_trace_id": "conversation", "a": 1}


async def test_a_conversation_that_has_none_has_none():
    """Upstream says so where it has found no history."""
    both = await handled(litellm_completion_request={"litellm_trace_id": None}, litellm_trace_id="call")
    assert both == {"litellm_trace_id": None}


async def test_else_the_call_s_own_stays():
    assert await handled(litellm_completion_request={}, litellm_trace_id="call") == {"litellm_trace_id": "call"}
    assert await handled(litellm_completion_request={"b": 2}, a=1) == {"a": 1, "b": 2}


async def test_the_session_of_the_stored_turn_is_the_one_that_the_completion_has():
    for completion, session in (({}, "call"), ({"litellm_trace_id": "conversation"}, "conversation")):
        exchange = exchange_of("hello", ALICE)
        with entered(exchange):
            await handler(
                request_input="hello",
                litellm_metadata=OF_ALICE,
                litellm_completion_request=completion,
                litellm_trace_id="call",
            )
        assert exchange.calls[0].session_id == session


async def test_of_a_request_that_is_not_the_caller_s_it_is_as_upstream_has_it():
    completion = {"litellm_trace_id": "conversation"}
    with pytest.raises(TypeError, match="multiple values"):
        await handled(OF_BOB, litellm_completion_request=completion, litellm_trace_id="call")
    assert defects.counted() == 0


async def test_a_call_that_names_its_completion_otherwise_goes_through():
    @remember_request
    async def renamed(**call: Any) -> dict[str, Any]:
        return call

    call = {
        "completion_request": {},
        "litellm_trace_id": "call",
        "request_input": "hello",
        "litellm_metadata": OF_ALICE,
    }
    with entered(exchange_of("hello", ALICE)):
        assert await renamed(**call) == call
    assert defects.counted() == 1
