"""Old releases give a completion both trace ids, the call's and the conversation's: it must get one."""

from __future__ import annotations

from typing import Any

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.doors.bridge import with_one_trace_id
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis import defects

from .support.bridge import call_in, exchange_of, running


@with_one_trace_id
async def handler(litellm_completion_request: dict[str, Any], **call: Any) -> dict[str, Any]:
    """As in those releases: a name that stands in both is an error."""
    return dict(**litellm_completion_request, **call)


async def test_the_conversation_s_trace_id_wins():
    with running(call_in(exchange_of())):
        both = await handler(
            litellm_completion_request={"litellm_trace_id": "conversation"}, litellm_trace_id="call", a=1
        )
    assert both == {"litellm_trace_id": "conversation", "a": 1}


@pytest.mark.parametrize("is_ours", [True, False])
async def test_else_the_call_s_own_stays(is_ours):
    with running(call_in(exchange_of()) if is_ours else None):
        assert await handler(litellm_completion_request={}, litellm_trace_id="call") == {"litellm_trace_id": "call"}
        assert await handler(litellm_completion_request={"b": 2}, a=1) == {"a": 1, "b": 2}


async def test_of_a_request_that_is_not_ours_it_is_as_upstream_has_it():
    with running(None), pytest.raises(TypeError, match="multiple values"):
        await handler(litellm_completion_request={"litellm_trace_id": "conversation"}, litellm_trace_id="call")


async def test_a_call_that_names_its_completion_otherwise_goes_through():
    @with_one_trace_id
    async def renamed(**call: Any) -> dict[str, Any]:
        return call

    with running(call_in(exchange_of())):
        call = {"completion_request": {}, "litellm_trace_id": "call"}
        assert await renamed(**call) == call
    assert defects.counted() == 1
