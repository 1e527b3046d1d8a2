"""A lookup at the inner door, with something in upstream's place."""

from __future__ import annotations

from typing import Any

from litellm.responses.litellm_completion_transformation.redis_session_patch.doors import bridge
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.runtime import Runtime
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.exchange import Call

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


async def look_up(
    runtime: Runtime,
    call: Call,
    upstream: Any = None,
    decorate: Any = bridge.get_session_from_redis,
    *,
    after: str | None = None,
) -> Any:
    """The history as the bridge gets it: of the response that the client follows, else of the one with id ``after``."""

    async def lookup(*args: Any, **options: Any) -> Any:
        return await (upstream or Upstream())(*args, **options)

    with using(runtime), running(call):
        return await decorate(lookup)(after or call.exchange.previous_id)


def contents(session: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(message["role"], message["content"]) for message in session["messages"]]
