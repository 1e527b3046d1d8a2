"""Old releases give a completion both trace ids, the call's and the conversation's: it must get one."""

from __future__ import annotations

from typing import Any

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch import runtime as runtimes
from litellm.responses.litellm_completion_transformation.redis_session_patch.bridge import with_one_trace_id

from .support.bridge import runtime_on


@with_one_trace_id
async def handler(litellm_completion_request: dict[str, Any], **call: Any) -> dict[str, Any]:
    """As in those releases: a name that stands in both is an error."""
    return dict(**litellm_completion_request, **call)


@pytest.fixture(autouse=True)
def is_used(redis_client):
    runtimes.use(runtime_on(redis_client))
    yield
    runtimes.use(None)


async def test_the_conversation_s_trace_id_wins():
    both = await handler(litellm_completion_request={"litellm_trace_id": "conversation"}, litellm_trace_id="call", a=1)
    assert both == {"litellm_trace_id": "conversation", "a": 1}


async def test_else_the_call_s_own_stays():
    assert await handler(litellm_completion_request={}, litellm_trace_id="call") == {"litellm_trace_id": "call"}
    assert await handler(litellm_completion_request={"b": 2}, a=1) == {"a": 1, "b": 2}


async def test_without_redis_it_is_as_upstream_has_it():
    runtimes.use(None)
    with pytest.raises(TypeError, match="multiple values"):
        await handler(litellm_completion_request={"litellm_trace_id": "conversation"}, litellm_trace_id="call")
