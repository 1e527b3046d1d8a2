"""Histories that the database gave, as turns: stored with the answer, they are the conversation from then on.

They stand for what the provider was sent; ``maker`` is whose model it was sent to. A row of the spend logs says who
took part.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from .conversation import Turn
from .history import answer_message
from .owner import owner_of

# Items of upstream's own MCP round trip, which it leaves out of a replay.
_NOT_REPLAYED = ("mcp_tools_fetched", "tool_execution_results")

# The columns of a spend-log row, by the names that the proxy's metadata has for the same.
_COLUMNS = {
    "user_api_key_user_id": "user",
    "user_api_key_team_id": "team_id",
    "user_api_key_hash": "api_key",
    "user_api_key_end_user_id": "end_user",
    "user_api_key_org_id": "organization_id",
}


def turns_of_session(
    session: Mapping[str, Any], maker: str | None, rows: Sequence[Mapping[str, Any]] = ()
) -> tuple[Turn, ...]:
    """One turn with all messages of a ``ChatCompletionSession``, which was made of ``rows``; none where it has none."""
    messages = tuple(answer_message(message) for message in session.get("messages") or ())
    return (Turn([], messages, session.get("instructions"), maker, by=_people_of(*rows)),) if messages else ()


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
    instructions, by = request.get("instructions"), _people_of(row)
    if response.get("object") == "response":
        said = [item for item in response.get("output") or () if item.get("type") not in _NOT_REPLAYED]
        asked = [{"role": "user", "content": client_input}] if isinstance(client_input, str) else client_input
        return Turn([*asked, *said], (), instructions, maker, by=by)
    choices = response.get("choices") or ()
    messages = tuple(answer_message(choice["message"]) for choice in choices if choice.get("message"))
    return Turn(client_input, messages, instructions, maker, by=by)


def _people_of(*rows: Mapping[str, Any]) -> tuple[str, ...]:
    tags = {owner_of({name: row.get(column) for name, column in _COLUMNS.items()}).tag for row in rows}
    return tuple(sorted(tag for tag in tags if tag.strip(".")))
