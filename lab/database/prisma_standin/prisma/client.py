"""`Prisma`: connecting, raw queries, transactions and batches around the table actions."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

from .actions import TableActions
from .engine.errors import EngineConnectionError
from .errors import ClientNotConnectedError, RecordNotFoundError
from .schema import Schema, installed_schema
from .session import Session, open_pool
from .values import from_raw

MUST_FIND = frozenset({"update", "delete"})
DEFAULT_CONNECT_TIMEOUT_SECONDS = 10.0


def seconds(value: float | dt.timedelta | None, default: float) -> float:
    if value is None:
        return default
    return value.total_seconds() if isinstance(value, dt.timedelta) else float(value)


class Queries:
    """What a client and a transaction share: table actions and raw queries on one session."""

    _schema: Schema

    def _open_session(self) -> Session:
        raise NotImplementedError

    def __getattr__(self, name: str) -> TableActions:
        model = None if name.startswith("_") else self._schema.by_accessor(name)
        if model is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return TableActions(self._open_session(), self._schema, model)

    async def query_raw(self, query: str, *args: Any, model: Any = None) -> list[Any]:
        result = await self._open_session().run(query, args, raw=True)
        rows = [{k: from_raw(v, result.column_types.get(k, "")) for k, v in row.items()} for row in result.rows]
        return rows if model is None else [model.model_validate(row) for row in rows]

    async def query_first(self, query: str, *args: Any, model: Any = None) -> Any:
        rows = await self.query_raw(query, *args, model=model)
        return rows[0] if rows else None

    async def execute_raw(self, query: str, *args: Any) -> int:
        return (await self._open_session().run(query, args, raw=True)).affected

    def batch_(self) -> Batch:
        return Batch(self)

    def is_transaction(self) -> bool:
        return isinstance(self, Transaction)


class Prisma(Queries):
    def __init__(self, *, datasource: Any = None, **_options: Any) -> None:
        # Further options (http, log_queries, …) steer the engine, which does not exist here.
        self._url = (datasource or {}).get("url")
        self._pool: asyncpg.Pool | None = None
        self._schema = installed_schema()

    async def connect(self, timeout: float | dt.timedelta | None = None) -> None:
        if self._pool is not None:
            return
        url = self._url or os.environ["DATABASE_URL"]
        try:
            self._pool = await asyncio.wait_for(open_pool(url), seconds(timeout, DEFAULT_CONNECT_TIMEOUT_SECONDS))
        except (
            OSError,
            asyncpg.PostgresError,
            asyncpg.InterfaceError,
            asyncio.TimeoutError,
        ) as error:
            raise EngineConnectionError(f"Could not connect to the database: {error}") from error

    async def disconnect(self, timeout: float | dt.timedelta | None = None) -> None:
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            await asyncio.wait_for(pool.close(), seconds(timeout, DEFAULT_CONNECT_TIMEOUT_SECONDS))
        except asyncio.TimeoutError:
            pool.terminate()

    def is_connected(self) -> bool:
        return self._pool is not None

    async def __aenter__(self) -> Prisma:
        await self.connect()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.disconnect()

    def _open_session(self) -> Session:
        if self._pool is None:
            raise ClientNotConnectedError()
        return Session(self._pool)

    def tx(self, *, max_wait: Any = None, timeout: Any = None) -> TransactionManager:
        """Prisma's time limits are accepted and not enforced."""
        return TransactionManager(self._open_session, self._schema)


Client = Prisma


class Transaction(Queries):
    """The client inside `async with db.tx() as …`."""

    def __init__(self, session: Session, schema: Schema) -> None:
        self._session = session
        self._schema = schema

    def _open_session(self) -> Session:
        return self._session

    def is_connected(self) -> bool:
        return True


class TransactionManager:
    def __init__(self, open_session: Callable[[], Session], schema: Schema) -> None:
        self._open_session = open_session
        self._schema = schema
        self._context: Any = None

    async def start(self) -> Transaction:
        self._context = self._open_session().transaction()
        return Transaction(await self._context.__aenter__(), self._schema)

    async def commit(self) -> None:
        await self._context.__aexit__(None, None, None)

    async def rollback(self) -> None:
        stop = asyncio.CancelledError("rolled back")
        try:
            await self._context.__aexit__(type(stop), stop, None)
        except asyncio.CancelledError:
            return

    async def __aenter__(self) -> Transaction:
        return await self.start()

    async def __aexit__(self, *error: Any) -> Any:
        return await self._context.__aexit__(*error)


class Batch:
    """Collects writes and commits them in one transaction, on leaving the `async with` or by
    `commit()`.
    """

    def __init__(self, queries: Queries) -> None:
        self._queries = queries
        self._writes: list[Callable[[Transaction], Awaitable[Any]]] = []

    def __getattr__(self, name: str) -> BatchTable:
        if name.startswith("_") or self._queries._schema.by_accessor(name) is None:
            raise AttributeError(f"'Batch' object has no attribute {name!r}")
        return BatchTable(self._writes, name)

    def execute_raw(self, query: str, *args: Any) -> None:
        self._writes.append(lambda transaction: transaction.execute_raw(query, *args))

    async def commit(self) -> None:
        writes, self._writes = self._writes, []
        async with self._queries._open_session().transaction() as session:
            transaction = Transaction(session, self._queries._schema)
            for write in writes:
                await write(transaction)

    async def __aenter__(self) -> Batch:
        return self

    async def __aexit__(self, error_type: Any, *_rest: object) -> None:
        if error_type is None:
            await self.commit()


class BatchTable:
    def __init__(self, writes: list[Callable[[Transaction], Awaitable[Any]]], accessor: str) -> None:
        self._writes = writes
        self._accessor = accessor

    def __getattr__(self, action: str) -> Callable[..., None]:
        if action.startswith("_"):
            raise AttributeError(action)
        accessor = self._accessor

        def enqueue(*args: Any, **kwargs: Any) -> None:
            async def write(transaction: Transaction) -> None:
                outcome = await getattr(getattr(transaction, accessor), action)(*args, **kwargs)
                # Outside a batch Prisma answers None here; inside, the whole batch fails.
                if outcome is None and action in MUST_FIND:
                    raise RecordNotFoundError()

            self._writes.append(write)

        return enqueue
