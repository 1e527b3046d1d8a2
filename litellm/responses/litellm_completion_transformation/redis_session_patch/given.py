"""Histories that the database gave, as turns: stored with the answer, they are the conversation from then on.

They stand for what the provider was sent; ``maker`` is whose model it was sent to.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from .conversation import Turn
from .history import answer_message

# Items of upstream's own MCP round trip, which it leaves out of a replay.
_NOT_REPLAYED = ("mcp_tools_fetched", "tool_execution_results")


def turns_of_session(session: Mapping[str, Any], maker: str | None) -> tuple[Turn, ...]:
    """One turn with all messages of a ``ChatCompletionSession``; none where it has none."""
    messages = tuple(answer_message(message) for message in session.get("messages") or ())
    return (Turn([], messages, session.get("instructions"), maker),) if messages else ()


def turns_of_rows(
    rows: Sequence[Mapping[str, Any]], requests: Sequence[Mapping[str, Any] | None], maker: str | None
) -> tuple[Turn, ...]:
    """A turn for each spend-log row with messages (releases from 1.109 on); by default rows have none."""
    turns = (_turn_of_row(row, request or {}, maker) for row, request in zip(rows, requests, strict=True))
    return tuple(turn for turn in turns if turn.input or turn.answer)


def _turn_of_row(row: Mapping[str, Any], request: Mapping[str, Any], maker: str | None) -> Turn:
    given = request.get("input") or request.get("messages") or []
    client_input = [given] if isinstance(given, dict) else given
    response = row.get("response")
    response = response if isinstance(response, dict) else {}
    instructions = request.get("instructions")
    if response.get("object") == "response":
        said = [item for item in response.get("output") or () if item.get("type") not in _NOT_REPLAYED]
        asked = [{"role": "user", "content": client_input}] if isinstance(client_input, str) else client_input
        return Turn([*asked, *said], (), instructions, maker)
    choices = response.get("choices") or ()
    messages = tuple(answer_message(choice["message"]) for choice in choices if choice.get("message"))
    return Turn(client_input, messages, instructions, maker)
