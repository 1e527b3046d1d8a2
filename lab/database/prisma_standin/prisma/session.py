"""The only place that talks to PostgreSQL: one statement on the pool, or on the connection of a
transaction.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit, urlunsplit

import asyncpg

from .errors import PrismaError, from_database
from .values import to_parameter

CONNECTION_SETTINGS = {"timezone": "UTC", "application_name": "prisma-standin"}
DEFAULT_POOL_SIZE = 10


class Result(NamedTuple):
    rows: list[Any]
    column_types: dict[str, str]
    affected: int


class Session:
    """Runs statements on a pool; `connection` binds it to one transaction."""

    def __init__(self, pool: asyncpg.Pool, connection: asyncpg.Connection | None = None) -> None:
        self._pool = pool
        self._connection = connection
        # One connection takes one statement at a time; calls gathered inside a transaction wait for
        # their turn.
        self._turn = asyncio.Lock()

    async def run(self, statement: str, values: Sequence[Any] = (), *, raw: bool = False) -> Result:
        try:
            if self._connection is not None:
                async with self._turn:
                    return await execute(self._connection, statement, values)
            async with self._pool.acquire() as connection:
                return await execute(connection, statement, values)
        except PrismaError:
            raise
        except (
            asyncpg.PostgresError,
            asyncpg.InterfaceError,
            OSError,
            ValueError,
            TypeError,
        ) as error:
            raise from_database(error, raw=raw) from error

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Session]:
        """A session whose statements commit together; inside a transaction, a savepoint of it."""
        if self._connection is not None:
            async with self._connection.transaction():
                yield self
            return
        async with open_connection(self._pool) as connection, connection.transaction():
            yield Session(self._pool, connection)


@contextlib.asynccontextmanager
async def open_connection(pool: asyncpg.Pool) -> AsyncIterator[asyncpg.Connection]:
    try:
        connection = await pool.acquire()
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise from_database(error, raw=False) from error
    try:
        yield connection
    finally:
        await pool.release(connection)


async def execute(connection: asyncpg.Connection, statement: str, values: Sequence[Any]) -> Result:
    """Prepares first, so that each value can be given the type PostgreSQL inferred for its
    parameter.
    """
    prepared = await connection.prepare(statement)
    types = prepared.get_parameters()
    rows = await prepared.fetch(*(to_parameter(v, t.name) for v, t in zip(values, types, strict=True)))
    column_types = {attribute.name: attribute.type.name for attribute in prepared.get_attributes()}
    return Result(rows, column_types, affected_rows(prepared.get_statusmsg()))


def affected_rows(status: str | None) -> int:
    """`INSERT 0 3` → 3; statements without a count → 0."""
    last = (status or "").rsplit(" ", 1)[-1]
    return int(last) if last.isdigit() else 0


async def open_pool(url: str) -> asyncpg.Pool:
    parts = urlsplit(url)
    # Prisma's own query parameters (connection_limit, pool_timeout, …) mean nothing to PostgreSQL.
    options = parse_qs(parts.query)
    settings = dict(CONNECTION_SETTINGS)
    if "schema" in options:
        settings["search_path"] = options["schema"][0]
    size = int(options.get("connection_limit", [DEFAULT_POOL_SIZE])[0])
    return await asyncpg.create_pool(
        urlunsplit(parts._replace(query="")),
        host=options["host"][0] if "host" in options else None,
        min_size=1,
        max_size=max(1, min(size, DEFAULT_POOL_SIZE)),
        server_settings=settings,
    )
