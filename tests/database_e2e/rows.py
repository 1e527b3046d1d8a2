"""The spend-log rows of a conversation, found by the tags of its turns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lab.database.spend_logs import spend_logs, wait_for_spend_logs

Row = dict[str, Any]


def tag_of(row: Row) -> int | None:
    return (row.get("proxy_server_request") or {}).get("max_output_tokens")


def wait_for_rows(url: str, tags: Iterable[int]) -> list[Row]:
    """One row a different tag, in order, once upstream's writer has written them all."""
    wanted = list(dict.fromkeys(tags))  # branches share some

    def of(rows: list[Row]) -> dict[int, Row]:
        return {tag: row for row in rows if (tag := tag_of(row)) in wanted}

    rows = of(wait_for_spend_logs(url, lambda rows: len(of(rows)) == len(wanted)))
    return [rows[tag] for tag in wanted]


def rows_now(url: str, tags: Iterable[int]) -> list[Row]:
    wanted = set(tags)
    return [row for row in spend_logs(url) if tag_of(row) in wanted]
