"""LiteLLM's spend-log rows, read straight from PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lab.processes import wait_until

from .queries import fetch

WRITTEN_SECONDS = 60


def spend_logs(url: str) -> list[dict[str, Any]]:
    """All rows, oldest first; JSON columns are read."""
    return fetch(url, 'SELECT * FROM "LiteLLM_SpendLogs" ORDER BY "startTime", request_id')


def wait_for_spend_logs(
    url: str, is_enough: Callable[[list[dict[str, Any]]], bool], seconds: float = WRITTEN_SECONDS
) -> list[dict[str, Any]]:
    """Polls until upstream's writer has written what is asked for; ProcessFailed when it has not in
    time.
    """
    rows: list[dict[str, Any]] = []

    def check() -> bool:
        rows[:] = spend_logs(url)
        return is_enough(rows)

    wait_until(check, seconds, "the spend-log writer", interval_seconds=0.2)
    return rows
