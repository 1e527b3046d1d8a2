"""What a lookup is asked with, in upstream's place."""

from __future__ import annotations

from typing import Any

from .stores import store_on, talk

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
    """Upstream's own lookup; ``asked`` counts."""

    def __init__(self, answer: Any = None):
        self.answer, self.asked = NOTHING if answer is None else answer, 0

    async def __call__(self) -> Any:
        self.asked += 1
        return self.answer


def contents(session: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(message["role"], message["content"]) for message in session["messages"]]


async def stored(client: Any, *inputs: str) -> str:
    """The id of the last response of a conversation."""
    return (await talk(store_on(client), inputs))[-1]
