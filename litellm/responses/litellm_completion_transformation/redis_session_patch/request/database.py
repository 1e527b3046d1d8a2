"""Histories that the database gave, as turns: stored with the answer, they are the conversation from then on.

They stand for what the provider was sent; ``maker`` is whose model it was sent to. A row of the spend logs says who
took part.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ..values.owner import ANYBODY, Owner, digest_of, may_continue
from ..values.turns import Turn
from .history import answer_message, input_items

Row = Mapping[str, Any]

# Items of upstream's own MCP round trip, which it leaves out of a replay.
_NOT_REPLAYED = ("mcp_tools_fetched", "tool_execution_results")

# The columns of a row that say whose it is, in the order of ``Owner``.
_COLUMNS = ("user", "team_id", "api_key", "end_user", "organization_id")


def turns_of(given: Any, maker: str | None, rows: Sequence[Row]) -> tuple[Turn, ...]:
    """The turns of what upstream found: a ``ChatCompletionSession``, made of ``rows``, is one; or ``StoredTurns``.

    None where there are no messages, which by default no row has.
    """
    if isinstance(given, Mapping):
        messages = tuple(answer_message(message) for message in given.get("messages") or ())
        return (Turn([], messages, given.get("instructions"), maker, by=_people_of(*rows)),) if messages else ()
    pairs = zip(given.spend_logs, given.proxy_server_requests, strict=True)
    turns = (_turn_of_row(row, request or {}, maker) for row, request in pairs)
    return tuple(turn for turn in turns if turn.input or turn.answer)


def _turn_of_row(row: Row, request: Row, maker: str | None) -> Turn:
    given, response = request.get("input") or request.get("messages") or [], row.get("response")
    client_input = [given] if isinstance(given, dict) else given
    response = response if isinstance(response, dict) else {}
    if response.get("object") == "response":
        said = [item for item in response.get("output") or () if item.get("type") not in _NOT_REPLAYED]
        client_input = [*input_items(client_input), *said]
    choices = response.get("choices") or ()
    answer = tuple(answer_message(choice["message"]) for choice in choices if choice.get("message"))
    return Turn(client_input, answer, request.get("instructions"), maker, by=_people_of(row))


def rows_of(rows: Sequence[Row], caller: Owner) -> Sequence[Row]:
    """The rows that are the caller's own: older releases would show everybody's."""
    if caller.key == ANYBODY.key:  # whatever end user the request itself names
        return rows
    return [row for row in rows if may_continue(caller, _owner_of_row(row))]


def _owner_of_row(row: Row) -> Owner:
    return Owner(*(digest_of(row.get(column)) for column in _COLUMNS))


def _people_of(*rows: Row) -> tuple[str, ...]:
    tags = {_owner_of_row(row).tag for row in rows}
    return tuple(sorted(tag for tag in tags if tag.strip(".")))
