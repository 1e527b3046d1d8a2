"""SELECT, INSERT, UPDATE, DELETE and GROUP BY for one model: pure, from Prisma's arguments to SQL
and values.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from .errors import UnsupportedByStandinError, unknown_field
from .filters import Filters, Parameters, quote
from .schema import Model, Schema
from .writes import assignments

AGGREGATES = {"sum": "SUM", "avg": "AVG", "min": "MIN", "max": "MAX"}


class Statement(NamedTuple):
    sql: str
    values: Sequence[Any]


class Statements:
    def __init__(self, schema: Schema, model: Model) -> None:
        self._schema = schema
        self._model = model
        self._table = quote(model.table)

    def column(self, name: str) -> str:
        if name not in self._model.fields:
            raise unknown_field(self._model.name, name)
        return f"{self._table}.{quote(self._model.fields[name].column)}"

    def _where(self, where: Any, parameters: Parameters) -> str:
        return Filters(self._schema, parameters).compile(self._model, where, self._table)

    def select(self, *, where: Any, order: Any, take: int | None, skip: int | None, cursor: Any) -> Statement:
        parameters = Parameters()
        condition = self._where(where, parameters)
        if cursor:
            condition = f"({condition}) AND {self._after(cursor, order, parameters)}"
        ordering = self._order(order or ([{next(iter(cursor)): "asc"}] if cursor else None))
        tail = f"{ordering}{self._page(take, skip)}"
        sql = f"SELECT {self._table}.* FROM {self._table} WHERE {condition}{tail}"
        return Statement(sql, parameters.values)

    def _after(self, cursor: dict[str, Any], order: Any, parameters: Parameters) -> str:
        entries = as_list(order)
        if len(cursor) != 1 or len(entries) > 1 or (entries and set(entries[0]) != set(cursor)):
            raise UnsupportedByStandinError(
                "The prisma stand-in knows only cursors by the one field that is ordered by."
            )
        name, value = next(iter(cursor.items()))
        descending = bool(entries) and entries[0][name] == "desc"
        return f"{self.column(name)} {'<=' if descending else '>='} {parameters.add(value)}"

    def _order(self, order: Any) -> str:
        parts = [self._order_entry(name, how) for entry in as_list(order) for name, how in entry.items()]
        return f" ORDER BY {', '.join(parts)}" if parts else ""

    def _order_entry(self, name: str, how: Any) -> str:
        if name.startswith("_") and isinstance(how, dict):
            return ", ".join(f"{self._aggregate(name[1:], field)} {direction(d)}" for field, d in how.items())
        return f"{self.column(name)} {direction(how)}"

    @staticmethod
    def _page(take: int | None, skip: int | None) -> str:
        if take is not None and take < 0:
            raise UnsupportedByStandinError("The prisma stand-in does not know a negative take.")
        return (f" LIMIT {int(take)}" if take is not None else "") + (f" OFFSET {int(skip)}" if skip else "")

    def insert(self, rows: Sequence[dict[str, Any]], *, skip_duplicates: bool = False) -> Statement:
        parameters = Parameters()
        names = [name for name in self._model.fields if any(name in row for row in rows)]
        lines = [", ".join(parameters.add(row[name]) if name in row else "DEFAULT" for name in names) for row in rows]
        columns = ", ".join(quote(self._model.fields[name].column) for name in names)
        body = f"({columns}) VALUES {', '.join(f'({line})' for line in lines)}" if names else "DEFAULT VALUES"
        conflict = " ON CONFLICT DO NOTHING" if skip_duplicates else ""
        return Statement(f"INSERT INTO {self._table} {body}{conflict}", parameters.values)

    def insert_or_update(self, row: dict[str, Any], keys: Iterable[str], updates: dict[str, Any]) -> Statement:
        """An upsert in one statement; without updates it rewrites a key with itself, so that a row
        comes back.
        """
        inserted = self.insert([row])
        parameters = Parameters()
        parameters.values.extend(inserted.values)
        key_columns = [quote(self._model.fields[key].column) for key in keys]
        unchanged = [f"{key_columns[0]} = EXCLUDED.{key_columns[0]}"]
        changes = assignments(self._model, updates, parameters) or unchanged
        conflict = f"ON CONFLICT ({', '.join(key_columns)}) DO UPDATE SET {', '.join(changes)}"
        return Statement(f"{inserted.sql} {conflict}", parameters.values)

    def update(self, scalars: dict[str, Any], where: Any) -> Statement:
        parameters = Parameters()
        changes = ", ".join(assignments(self._model, scalars, parameters))
        condition = self._where(where, parameters)
        return Statement(f"UPDATE {self._table} SET {changes} WHERE {condition}", parameters.values)

    def delete(self, where: Any) -> Statement:
        parameters = Parameters()
        return Statement(f"DELETE FROM {self._table} WHERE {self._where(where, parameters)}", parameters.values)

    def count(self, where: Any, take: int | None, skip: int | None, fields: Sequence[str]) -> Statement:
        parameters = Parameters()
        condition = self._where(where, parameters)
        rows = f"SELECT * FROM {self._table} WHERE {condition}{self._page(take, skip)}"
        columns = {name: quote(f.column) for name, f in self._model.fields.items()} | {"_all": "*"}
        counts = [f"COUNT({columns[name]}) AS {quote(name)}" for name in fields]
        return Statement(f"SELECT {', '.join(counts)} FROM ({rows}) AS counted", parameters.values)

    def _aggregate(self, kind: str, field: str) -> str:
        if kind == "count":
            return f"COUNT({'*' if field == '_all' else self.column(field)})"
        return f"{AGGREGATES[kind]}({self.column(field)})"

    def group_by(
        self,
        by: Sequence[str],
        aggregates: dict[str, Sequence[str]],
        where: Any,
        order: Any,
        take: Any,
        skip: Any,
    ) -> Statement:
        """Columns are named by their field, aggregates `kind.field`."""
        parameters = Parameters()
        columns = [f"{self.column(name)} AS {quote(name)}" for name in by]
        columns += [
            f"{self._aggregate(kind, field)} AS {quote(f'{kind}.{field}')}"
            for kind, fields in aggregates.items()
            for field in fields
        ]
        grouped = ", ".join(self.column(name) for name in by)
        condition = self._where(where, parameters)
        sql = f"SELECT {', '.join(columns)} FROM {self._table} WHERE {condition} GROUP BY {grouped}"
        return Statement(f"{sql}{self._order(order)}{self._page(take, skip)}", parameters.values)


def as_list(order: Any) -> list[dict[str, Any]]:
    if not order:
        return []
    return list(order) if isinstance(order, (list, tuple)) else [order]


def direction(how: Any) -> str:
    sort, nulls = (how["sort"], how.get("nulls")) if isinstance(how, dict) else (how, None)
    return {"asc": "ASC", "desc": "DESC"}[sort] + (f" NULLS {'FIRST' if nulls == 'first' else 'LAST'}" if nulls else "")
