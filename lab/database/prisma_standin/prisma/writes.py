"""The `data` of a create or update as column values and SET clauses: pure, given a clock."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any, NamedTuple

from .errors import UnsupportedByStandinError, unknown_field
from .filters import Parameters, quote
from .schema import Field, Model
from .values import json_text

ARITHMETIC = {"increment": "+", "decrement": "-", "multiply": "*", "divide": "/"}


class SplitData(NamedTuple):
    scalars: dict[str, Any]
    relations: dict[str, Any]


def split(model: Model, data: Any) -> SplitData:
    """Separates columns from relations and refuses names the model does not have."""
    for name in data:
        if name not in model.fields and name not in model.relations:
            raise unknown_field(model.name, name)
    return SplitData(
        {name: value for name, value in data.items() if name in model.fields},
        {name: value for name, value in data.items() if name in model.relations},
    )


def generate(kind: str, now: dt.datetime) -> Any:
    if kind == "now":
        return now
    return str(uuid.uuid4()) if kind == "uuid" else f"c{uuid.uuid4().hex[:24]}"


def complete(model: Model, scalars: dict[str, Any], now: dt.datetime) -> dict[str, Any]:
    """A create's values with everything Prisma's client fills in itself."""
    values: dict[str, Any] = {}
    for name, field in model.fields.items():
        if name in scalars:
            values[name] = creation_value(field, scalars[name])
        elif field.generated:
            values[name] = generate(field.generated, now)
        elif field.is_updated_at:
            values[name] = now
        elif field.default is not None:
            values[name] = field.default
    return values


def creation_value(field: Field, value: Any) -> Any:
    if field.type == "Json":
        return None if value is None else json_text(value)
    if field.is_list and isinstance(value, dict):
        return value["set"]
    return value


def touch(model: Model, scalars: dict[str, Any], now: dt.datetime) -> dict[str, Any]:
    """An update's values with `@updatedAt` columns set."""
    touched = {name: now for name, field in model.fields.items() if field.is_updated_at}
    return {**touched, **scalars} if scalars else scalars


def assignments(model: Model, scalars: dict[str, Any], parameters: Parameters) -> list[str]:
    """`"column" = expression` for every value; existing columns are qualified by the table, for ON
    CONFLICT.
    """
    return [
        f"{quote(field.column)} = {expression(model, field, scalars[name], parameters)}"
        for name, field in model.fields.items()
        if name in scalars
    ]


def expression(model: Model, field: Field, value: Any, parameters: Parameters) -> str:
    if field.type == "Json":
        return "NULL" if value is None else f"{parameters.add(json_text(value))}::jsonb"
    if not isinstance(value, dict):
        return parameters.add(value)
    if len(value) != 1:
        raise UnsupportedByStandinError(f"{model.name}.{field.name}: expected one operation, got {sorted(value)}.")
    operation, operand = next(iter(value.items()))
    current = f"{quote(model.table)}.{quote(field.column)}"
    if operation == "set":
        return parameters.add(operand)
    if operation == "unset":
        return "NULL"
    if operation in ARITHMETIC:
        return f"{current} {ARITHMETIC[operation]} {parameters.add(operand)}"
    if operation == "push":
        items = list(operand) if isinstance(operand, (list, tuple)) else [operand]
        return f"COALESCE({current}, '{{}}') || {parameters.add(items)}"
    raise UnsupportedByStandinError(f"The prisma stand-in does not know the operation {operation!r} on {field.name!r}.")
