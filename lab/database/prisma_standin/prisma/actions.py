"""`db.<model>.<action>(…)`: Prisma's actions on one table, over a session."""

from __future__ import annotations

import datetime as dt
import decimal
from collections.abc import Iterable, Sequence
from typing import Any

from . import relations
from .errors import RecordNotFoundError
from .models import Record, new_record
from .schema import Model, Schema
from .session import Session
from .statements import Statement, Statements
from .values import UTC, from_column
from .writes import complete, creation_value, split, touch

MAX_PARAMETERS = 32_000


def now() -> dt.datetime:
    return dt.datetime.now(UTC)


class TableActions:
    def __init__(self, session: Session, schema: Schema, model: Model) -> None:
        self.schema = schema
        self.model = model
        self._session = session
        self._statements = Statements(schema, model)

    def sibling(self, model_name: str, session: Session | None = None) -> TableActions:
        return TableActions(session or self._session, self.schema, self.schema.models[model_name])

    async def _records(self, statement: Statement, *, returning: bool = False) -> list[Record]:
        sql = f"{statement.sql} RETURNING *" if returning else statement.sql
        result = await self._session.run(sql, statement.values)
        return [self._record(row) for row in result.rows]

    def _record(self, row: Any) -> Record:
        values = {n: from_column(row[f.column], f) for n, f in self.model.fields.items() if f.column in row}
        return new_record(self.model.name, values)

    # Reading

    async def find_many(
        self,
        take: int | None = None,
        skip: int | None = None,
        where: Any = None,
        cursor: Any = None,
        include: Any = None,
        order: Any = None,
        distinct: Sequence[str] | None = None,
    ) -> list[Record]:
        page = (None, None) if distinct else (take, skip)
        found = await self._records(
            self._statements.select(where=where, order=order, take=page[0], skip=page[1], cursor=cursor)
        )
        if distinct:
            found = first_of_each(found, distinct)[skip or 0 :][:take]
        await relations.load_included(self, found, include)
        return found

    async def find_first(
        self,
        skip: int | None = None,
        where: Any = None,
        cursor: Any = None,
        include: Any = None,
        order: Any = None,
        distinct: Sequence[str] | None = None,
    ) -> Record | None:
        found = await self.find_many(1, skip, where, cursor, include, order, distinct)
        return found[0] if found else None

    async def find_first_or_raise(self, *args: Any, **kwargs: Any) -> Record:
        return found_or_raise(await self.find_first(*args, **kwargs))

    async def find_unique(self, where: Any, include: Any = None) -> Record | None:
        return await self.find_first(where=where, include=include)

    async def find_unique_or_raise(self, where: Any, include: Any = None) -> Record:
        return found_or_raise(await self.find_unique(where, include))

    async def count(
        self,
        select: Any = None,
        take: int | None = None,
        skip: int | None = None,
        where: Any = None,
    ) -> Any:
        fields = [name for name, wanted in (select or {"_all": True}).items() if wanted]
        statement = self._statements.count(where, take, skip, fields)
        row = dict((await self._session.run(statement.sql, statement.values)).rows[0])
        return row if select else row["_all"]

    async def group_by(
        self,
        by: Sequence[str],
        *,
        where: Any = None,
        take: int | None = None,
        skip: int | None = None,
        avg: Any = None,
        sum: Any = None,
        min: Any = None,
        max: Any = None,
        count: Any = None,
        order: Any = None,
    ) -> list[dict[str, Any]]:
        wanted = {
            "avg": avg,
            "sum": sum,
            "min": min,
            "max": max,
            "count": {"_all": True} if count is True else count,
        }
        aggregates = {kind: [f for f, on in fields.items() if on] for kind, fields in wanted.items() if fields}
        statement = self._statements.group_by(by, aggregates, where, order, take, skip)
        rows = (await self._session.run(statement.sql, statement.values)).rows
        return [self._group(dict(row), by, aggregates) for row in rows]

    def _group(self, row: dict[str, Any], by: Iterable[str], aggregates: dict[str, list[str]]) -> dict[str, Any]:
        group = {name: from_column(row[name], self.model.fields[name]) for name in by}
        for kind, fields in aggregates.items():
            group[f"_{kind}"] = {field: self._aggregated(kind, field, row[f"{kind}.{field}"]) for field in fields}
        return group

    def _aggregated(self, kind: str, field: str, value: Any) -> Any:
        if kind == "count" or value is None:
            return value
        if kind in ("min", "max"):
            return from_column(value, self.model.fields[field])
        whole = kind == "sum" and self.model.fields[field].type in ("Int", "BigInt")
        return int(value) if whole else float(value) if isinstance(value, decimal.Decimal) else value

    # Writing

    async def create(self, data: Any, include: Any = None) -> Record:
        parts = split(self.model, data)
        if parts.relations:
            async with self._session.transaction() as session:
                bound = self.sibling(self.model.name, session)
                foreign_keys = await relations.write_owned(bound, parts.relations)
                record = await bound.create(data={**parts.scalars, **foreign_keys})
                await relations.write_owning(bound, record, parts.relations)
        else:
            statement = self._statements.insert([complete(self.model, data, now())])
            record = (await self._records(statement, returning=True))[0]
        await relations.load_included(self, [record], include)
        return record

    async def create_many(self, data: Sequence[Any], *, skip_duplicates: bool = False) -> int:
        rows = [complete(self.model, split(self.model, row).scalars, now()) for row in data]
        if not rows:
            return 0
        chunk = max(1, MAX_PARAMETERS // len(self.model.fields))
        affected = 0
        async with self._session.transaction() as session:
            for start in range(0, len(rows), chunk):
                statement = self._statements.insert(rows[start : start + chunk], skip_duplicates=skip_duplicates)
                affected += (await session.run(statement.sql, statement.values)).affected
        return affected

    async def update(self, data: Any, where: Any, include: Any = None) -> Record | None:
        """The changed record, or None where there is none to change."""
        parts = split(self.model, data)
        if parts.relations:
            async with self._session.transaction() as session:
                bound = self.sibling(self.model.name, session)
                foreign_keys = await relations.write_owned(bound, parts.relations)
                record = await bound.update(data={**parts.scalars, **foreign_keys}, where=where)
                if record is not None:
                    await relations.write_owning(bound, record, parts.relations)
        elif data:
            statement = self._statements.update(touch(self.model, parts.scalars, now()), where)
            record = next(iter(await self._records(statement, returning=True)), None)
        else:
            record = await self.find_unique(where)
        if record is not None:
            await relations.load_included(self, [record], include)
        return record

    async def update_many(self, data: Any, where: Any) -> int:
        scalars = split(self.model, data).scalars
        if not scalars:
            return await self.count(where=where)
        statement = self._statements.update(touch(self.model, scalars, now()), where)
        return (await self._session.run(statement.sql, statement.values)).affected

    async def upsert(self, where: Any, data: Any, include: Any = None) -> Record:
        create, update = split(self.model, data["create"]), split(self.model, data["update"])
        keys = self._flat_key(where)
        if create.relations or update.relations or keys is None or not self._same_key(keys, create.scalars):
            return await self._find_then_write(where, data, include)
        row = complete(self.model, create.scalars, now())
        changes = touch(self.model, update.scalars, now())
        statement = self._statements.insert_or_update(row, keys, changes)
        record = (await self._records(statement, returning=True))[0]
        await relations.load_included(self, [record], include)
        return record

    def _flat_key(self, where: Any) -> dict[str, Any] | None:
        """The unique columns a `where` names and nothing else, or None."""
        if len(where) != 1:
            return None
        name, value = next(iter(where.items()))
        if name in self.model.compound_keys:
            return value
        return where if name in self.model.fields and not isinstance(value, dict) else None

    def _same_key(self, keys: dict[str, Any], row: dict[str, Any]) -> bool:
        return all(
            name in row and value is not None and creation_value(self.model.fields[name], row[name]) == value
            for name, value in keys.items()
        )

    async def _find_then_write(self, where: Any, data: Any, include: Any) -> Record:
        async with self._session.transaction() as session:
            bound = self.sibling(self.model.name, session)
            changed = await bound.update(data=data["update"], where=where, include=include)
            return changed or await bound.create(data=data["create"], include=include)

    async def delete(self, where: Any, include: Any = None) -> Record | None:
        record = await self.find_unique(where, include)
        if record is not None:
            key = {name: getattr(record, name) for name in self.model.primary_key}
            statement = self._statements.delete(key)
            await self._session.run(statement.sql, statement.values)
        return record

    async def delete_many(self, where: Any = None) -> int:
        statement = self._statements.delete(where)
        return (await self._session.run(statement.sql, statement.values)).affected


def found_or_raise(record: Record | None) -> Record:
    if record is None:
        raise RecordNotFoundError(message="Record not found.")
    return record


def first_of_each(records: Iterable[Record], names: Sequence[str]) -> list[Record]:
    seen: dict[tuple[Any, ...], Record] = {}
    for record in records:
        seen.setdefault(tuple(str(getattr(record, name)) for name in names), record)
    return list(seen.values())


def __getattr__(name: str) -> Any:
    # `prisma.actions.LiteLLM_…Actions`: generated classes that LiteLLM names in annotations.
    if name.endswith("Actions"):
        return TableActions
    raise AttributeError(name)
