"""Prisma's `where` dictionaries as SQL conditions: pure, no connection needed."""

from __future__ import annotations

import json
from typing import Any

from .errors import UnsupportedByStandinError, unknown_field
from .fields import Json
from .schema import Field, Model, Relation, Schema
from .values import json_text

COMPARISONS = {"lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
PATTERNS = {
    "contains": "%{}%",
    "startswith": "{}%",
    "startsWith": "{}%",
    "starts_with": "{}%",
    "endswith": "%{}",
    "endsWith": "%{}",
    "ends_with": "%{}",
}
JSON_PATTERNS = {"string_contains": "%{}%", "string_starts_with": "{}%", "string_ends_with": "%{}"}
JSON_OPERATIONS = frozenset({"path", "equals", "not", "array_contains", *JSON_PATTERNS, *COMPARISONS})
LIST_OPERATIONS = {
    "has": "has",
    "has_every": "every",
    "hasEvery": "every",
    "has_some": "some",
    "hasSome": "some",
    "is_empty": "empty",
    "isEmpty": "empty",
    "equals": "equals",
}


def quote(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'


class Parameters:
    """Collects values and hands out their `$n`."""

    def __init__(self) -> None:
        self.values: list[Any] = []

    def add(self, value: Any) -> str:
        self.values.append(value)
        return f"${len(self.values)}"


class Filters:
    """Compiles conditions for one statement; joined tables get aliases of their own."""

    def __init__(self, schema: Schema, parameters: Parameters) -> None:
        self._schema = schema
        self._parameters = parameters
        self._aliases = 0

    def compile(self, model: Model, where: Any, alias: str) -> str:
        """The condition on rows of `model`, which the statement calls `alias` (already quoted)."""
        parts = [self._entry(model, key, value, alias) for key, value in (where or {}).items()]
        return " AND ".join(f"({part})" for part in parts) or "TRUE"

    def _entry(self, model: Model, key: str, value: Any, alias: str) -> str:
        if key in ("AND", "OR", "NOT"):
            return self._group(model, key, value if isinstance(value, (list, tuple)) else [value], alias)
        if key in model.fields:
            field = model.fields[key]
            column = f"{alias}.{quote(field.column)}"
            return self._json(column, value) if field.type == "Json" else self._scalar(field, column, value)
        if key in model.relations:
            return self._relation(model, model.relations[key], value, alias)
        if key in model.compound_keys:
            return self.compile(model, value, alias)
        raise unknown_field(model.name, key)

    def _group(self, model: Model, key: str, members: list[Any], alias: str) -> str:
        parts = [f"({self.compile(model, member, alias)})" for member in members]
        if key == "OR":
            return " OR ".join(parts) or "FALSE"
        joined = " AND ".join(parts) or "TRUE"
        return f"NOT ({joined})" if key == "NOT" and parts else joined

    def _scalar(self, field: Field, column: str, value: Any) -> str:
        if value is None:
            return f"{column} IS NULL"
        if not isinstance(value, dict):
            return f"{column} = {self._parameters.add(value)}"
        operations = dict(value)
        insensitive = operations.pop("mode", "default") == "insensitive"
        if field.is_list:
            return self._all(self._list(column, name, operand) for name, operand in operations.items())
        return self._all(
            self._compare(field, column, name, operand, insensitive) for name, operand in operations.items()
        )

    def _compare(self, field: Field, column: str, name: str, operand: Any, insensitive: bool) -> str:
        if name == "equals":
            if operand is None:
                return f"{column} IS NULL"
            return f"{column} {'ILIKE' if insensitive else '='} {self._parameters.add(operand)}"
        if name == "not":
            if operand is None:
                return f"{column} IS NOT NULL"
            if isinstance(operand, dict):
                return f"NOT ({self._scalar(field, column, operand)})"
            return f"{column} <> {self._parameters.add(operand)}"
        if name in ("in", "not_in", "notIn"):
            members = [str(member).lower() for member in operand] if insensitive else list(operand)
            side = f"LOWER({column})" if insensitive else column
            found = f"{side} = ANY({self._parameters.add(members)})"
            return found if name == "in" else f"NOT ({found})"
        if name in COMPARISONS:
            return f"{column} {COMPARISONS[name]} {self._parameters.add(operand)}"
        if name in PATTERNS:
            # Like Prisma, % and _ in the operand stay wildcards.
            operator = "ILIKE" if insensitive else "LIKE"
            return f"{column} {operator} {self._parameters.add(PATTERNS[name].format(operand))}"
        raise UnsupportedByStandinError(f"The prisma stand-in does not know the filter {name!r} on {field.name!r}.")

    def _list(self, column: str, name: str, operand: Any) -> str:
        kind = LIST_OPERATIONS.get(name)
        if kind is None:
            raise UnsupportedByStandinError(f"The prisma stand-in does not know the list filter {name!r}.")
        if kind == "empty":
            empty = f"COALESCE(CARDINALITY({column}), 0) = 0"
            return empty if operand else f"NOT ({empty})"
        if kind == "has":
            return f"{self._parameters.add(operand)} = ANY({column})"
        operator = {"every": "@>", "some": "&&", "equals": "="}[kind]
        return f"{column} {operator} {self._parameters.add(list(operand))}"

    def _json(self, column: str, value: Any) -> str:
        if value is None:
            return f"{column} IS NULL"
        if not isinstance(value, dict) or not value or not set(value) <= JSON_OPERATIONS:
            return f"{column} = {self._parameters.add(filter_json(value))}::jsonb"
        operations = dict(value)
        path = operations.pop("path", None)
        at = column if path is None else f"({column} #> {self._parameters.add(list(path))}::text[])"
        return self._all(self._json_compare(at, name, operand) for name, operand in operations.items())

    def _json_compare(self, at: str, name: str, operand: Any) -> str:
        if name in JSON_PATTERNS:
            pattern = self._parameters.add(JSON_PATTERNS[name].format(operand))
            return f"({at} #>> '{{}}') LIKE {pattern}"
        if operand is None and name in ("equals", "not"):
            return f"{at} IS {'NOT ' if name == 'not' else ''}NULL"
        operator = {"equals": "=", "not": "<>", "array_contains": "@>", **COMPARISONS}[name]
        return f"{at} {operator} {self._parameters.add(filter_json(operand))}::jsonb"

    def _relation(self, model: Model, relation: Relation, value: Any, alias: str) -> str:
        target = self._schema.models[relation.target]
        own, other = self._schema.join_columns(model, relation)
        self._aliases += 1
        inner = quote(f"r{self._aliases}")
        own_column = f"{alias}.{quote(model.fields[own].column)}"
        join = f"{inner}.{quote(target.fields[other].column)} = {own_column}"

        def exists(condition: str) -> str:
            rows = f"{quote(target.table)} AS {inner} WHERE {join} AND ({condition})"
            return f"EXISTS (SELECT 1 FROM {rows})"

        if value is None:
            return f"NOT {exists('TRUE')}"
        if not set(value) & {"some", "none", "every", "is", "is_not", "isNot"}:
            return exists(self.compile(target, value, inner))
        parts = []
        for name, operand in value.items():
            if name in ("is", "is_not", "isNot") and operand is None:
                parts.append(f"{'NOT ' if name == 'is' else ''}{exists('TRUE')}")
                continue
            condition = self.compile(target, operand, inner)
            if name == "every":
                parts.append(f"NOT {exists(f'NOT ({condition})')}")
            else:
                parts.append(f"{'' if name in ('some', 'is') else 'NOT '}{exists(condition)}")
        return self._all(parts)

    @staticmethod
    def _all(parts: Any) -> str:
        return " AND ".join(f"({part})" for part in parts) or "TRUE"


def filter_json(value: Any) -> str:
    """JSON text of a filter's operand; a string that is no JSON text stands for itself."""
    if isinstance(value, str):
        try:
            json.loads(value)
        except ValueError:
            return json.dumps(value)
    return json_text(value if isinstance(value, (str, Json)) else Json(value))
