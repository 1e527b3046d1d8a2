"""Plain SQL from a test, blocking: one connection a call, rows as dictionaries with JSON already
read.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Coroutine
from typing import Any

import asyncpg

CONNECT_SECONDS = 10


class MigrationFailed(RuntimeError):
    """One of LiteLLM's own migrations was refused; the text names it."""


def wait_for(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Runs it on a thread with a loop of its own, so that asynchronous tests can call these
    functions too.
    """
    outcome: list[Any] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(asyncio.run(coroutine))
        except BaseException as error:  # handed on to the caller's thread below
            failure.append(error)

    thread = threading.Thread(target=run, name="sql")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]


async def connect(url: str) -> asyncpg.Connection:
    connection = await asyncpg.connect(url, timeout=CONNECT_SECONDS)
    for name in ("json", "jsonb"):
        await connection.set_type_codec(name, schema="pg_catalog", encoder=json.dumps, decoder=json.loads)
    return connection


async def _fetch(url: str, query: str, values: tuple[Any, ...]) -> list[dict[str, Any]]:
    connection = await connect(url)
    try:
        return [dict(row) for row in await connection.fetch(query, *values)]
    finally:
        await connection.close()


async def _execute(url: str, script: str) -> None:
    connection = await connect(url)
    try:
        await connection.execute(script)
    finally:
        await connection.close()


def fetch(url: str, query: str, *values: Any) -> list[dict[str, Any]]:
    """The rows of one query with `$1` … for the values."""
    return wait_for(_fetch(url, query, values))


def run_statement(url: str, statement: str) -> None:
    """One statement without values or rows, such as CREATE DATABASE."""
    wait_for(_execute(url, statement))


def run_script(url: str, script: str, name: str) -> None:
    """Several statements at once. Raises MigrationFailed, with the script's name, when one is
    refused.
    """
    if not re.sub(r"--.*", "", script).strip():
        return  # asyncpg 0.32 fails on a script of comments alone; a migration of 1.80 is one
    try:
        wait_for(_execute(url, script))
    except asyncpg.PostgresError as error:
        raise MigrationFailed(f"{name}: {error}") from error


def can_connect(url: str) -> bool:
    try:
        fetch(url, "SELECT 1")
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False
    return True
