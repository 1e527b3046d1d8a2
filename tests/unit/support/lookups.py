"""A lookup at the inner door, with something in upstream's place."""

from __future__ import annotations

from typing import Any

from litellm.responses.litellm_completion_transformation.redis_session_patch.doors import bridge
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.runtime import Runtime
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.call import Call

from .bridge import running, using

NOTHING = {"messages": [], "litellm_session_id": None}
FROM_DATABASE = {
    "messages": [{"role": "user", "content": "from the database"}, {"role": "assistant", "content": "Yes."}],
    "litellm_session_id": "s",
}
MEMORY = (
    {"type": "message", "role": "user", "content": "over this connection"},
    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I see."}]},
)


class Upstream:
    """Upstream's own lookup; ``asked`` counts. An answer that is an error is raised."""

    def __init__(self, answer: Any = None):
        self.answer, self.asked = NOTHING if answer is None else answer, 0

    async def __call__(self, previous_response_id: str, *args: Any, **more: Any) -> Any:
        self.asked += 1
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


def session_handler(upstream: Any = None) -> Any:
    """LiteLLM's step that puts what its lookup finds before a request's messages, with the patch's lines on both."""
    find = upstream or Upstream()

    @bridge.note_history
    async def look_up(previous_response_id: str) -> Any:
        return await find(previous_response_id)

    @bridge.get_session_from_redis
    async def handle_session(
        previous_response_id: str, litellm_completion_request: dict[str, Any], instructions: str | None = None
    ) -> dict[str, Any]:
        session, completion = await look_up(previous_response_id), litellm_completion_request
        completion["messages"] = [*session["messages"], *completion["messages"]]
        completion["litellm_trace_id"] = session["litellm_session_id"]
        return completion

    return handle_session


async def look_up(runtime: Runtime, call: Call, upstream: Any = None, *, after: str | None = None) -> dict[str, Any]:
    """The request with its history: of the response that the client follows, else of the one with id ``after``."""
    asked = {"previous_response_id": after or call.exchange.previous_id, "litellm_completion_request": call.completion}
    with using(runtime), running(call):
        completion: dict[str, Any] = await session_handler(upstream)(**asked)
    assert completion is call.completion
    return completion


def contents(given: dict[str, Any]) -> list[tuple[str, Any]]:
    """Of a request, or of what upstream found."""
    return [(message["role"], message["content"]) for message in given["messages"]]
