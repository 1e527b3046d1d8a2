"""Values on their way into and out of PostgreSQL: pure conversions, by column or parameter type."""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import enum
import json
import uuid
from typing import Any

from .fields import Base64, Json
from .schema import Field

UTC = dt.timezone.utc
INTEGERS = frozenset({"int2", "int4", "int8", "oid"})
FLOATS = frozenset({"float4", "float8"})
JSONS = frozenset({"json", "jsonb"})
TEXTS = frozenset({"text", "varchar", "bpchar", "name"})


def json_text(value: Any) -> str:
    """What a Json field or parameter takes: a string already is JSON text, as in Prisma."""
    if isinstance(value, str):
        return value
    return value.dumps() if isinstance(value, Json) else json.dumps(value, default=str)


def as_datetime(value: Any) -> dt.datetime:
    """Aware, in UTC; a value without a zone is UTC, which is how Prisma stores its timestamps."""
    if isinstance(value, str):
        value = dt.datetime.fromisoformat(value.replace("Z", "+00:00"))
    elif isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        value = dt.datetime(value.year, value.month, value.day)
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def as_date(value: Any) -> dt.date:
    if isinstance(value, str) and len(value) == 10:
        return dt.date.fromisoformat(value)
    return value if type(value) is dt.date else as_datetime(value).date()


def plain(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.value
    return value.dumps() if isinstance(value, Json) else value


def to_parameter(value: Any, type_name: str) -> Any:
    """The value as asyncpg wants it for a parameter that PostgreSQL inferred as `type_name`."""
    if value is None:
        return None
    if type_name.endswith("[]") and isinstance(value, (list, tuple, set, frozenset)):
        return [to_parameter(item, type_name[:-2]) for item in value]
    if type_name in JSONS:
        return json_text(value)
    value = plain(value)
    if type_name == "timestamp":
        return as_datetime(value).replace(tzinfo=None)
    if type_name == "timestamptz":
        return as_datetime(value)
    if type_name == "date":
        return as_date(value)
    if type_name in INTEGERS and isinstance(value, (str, float, decimal.Decimal)):
        return int(value)
    if type_name in FLOATS:
        return float(value)
    if type_name == "numeric":
        return decimal.Decimal(str(value))
    if type_name == "bytea":
        return value.decode() if isinstance(value, Base64) else value
    if type_name == "bool" and isinstance(value, str):
        return value.lower() in ("true", "t", "1")
    if type_name in TEXTS and not isinstance(value, str):
        return text_of(value)
    return value


def text_of(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dt.datetime):
        return as_datetime(value).isoformat()
    return json.dumps(value, default=str) if isinstance(value, (dict, list)) else str(value)


def from_column(value: Any, field: Field) -> Any:
    """A stored value as a record holds it."""
    if value is None:
        return [] if field.is_list else None
    if field.type == "Json":
        return json.loads(value)
    if field.type == "DateTime":
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    if field.type == "Bytes":
        return Base64.encode(value)
    return list(value) if field.is_list else value


def from_raw(value: Any, type_name: str) -> Any:
    """A stored value as Prisma's raw queries return it: JSON-like, with times as ISO text."""
    if isinstance(value, list):
        return [from_raw(item, type_name.removesuffix("[]")) for item in value]
    if type_name in JSONS and isinstance(value, str):
        return json.loads(value)
    if isinstance(value, dt.datetime):
        return as_datetime(value).isoformat(timespec="milliseconds" if value.microsecond % 1000 == 0 else "auto")
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, (uuid.UUID, dt.timedelta)):
        return str(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value
