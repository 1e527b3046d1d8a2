"""Histories that the database gave, as turns: stored with the answer, they are the conversation from then on.

They stand for what the provider was sent; ``maker`` is whose model it was sent to. A row of the spend logs says who
took part.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ..values.owner import ANYBODY, Owner, digest_of, may_continue
from ..values.turns import Turn
from .history import answer_message

Row = Mapping[str, Any]

# The columns of a row that say whose it is, in the order of ``Owner``.
_COLUMNS = ("user", "team_id", "api_key", "end_user", "organization_id")


def turns_of(session: Mapping[str, Any], maker: str | None, rows: Sequence[Row]) -> tuple[Turn, ...]:
    """What upstream found, a ``ChatCompletionSession`` made of ``rows``, as one turn; none where it has no messages,
    which by default no row has.
    """
    messages = tuple(answer_message(message) for message in session.get("messages") or ())
    return (Turn([], messages, session.get("instructions"), maker, by=_people_of(*rows)),) if messages else ()


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
