"""Prisma's exception names and shapes, and the one place where database errors become them."""

from __future__ import annotations

from typing import Any

import asyncpg


class PrismaError(Exception):
    """Base of everything this package raises on purpose."""


class ClientNotConnectedError(PrismaError):
    def __init__(self) -> None:
        super().__init__("Client is not connected to the database: call connect() before querying.")


class ClientAlreadyRegisteredError(PrismaError):
    pass


class HTTPClientClosedError(PrismaError):
    pass


class UnsupportedByStandinError(PrismaError, NotImplementedError):
    """The call is valid Prisma, but this test stand-in does not implement it."""


class DataError(PrismaError):
    """A statement reached the database layer and was refused; `code` is Prisma's, `meta` holds the
    SQLSTATE.
    """

    def __init__(self, data: Any, *, message: str | None = None) -> None:
        self.data = data
        user_facing = (data.get("user_facing_error") if isinstance(data, dict) else None) or {}
        self.code = user_facing.get("error_code")
        self.meta = user_facing.get("meta")
        super().__init__(message or user_facing.get("message") or "An error occurred while processing data.")


class UniqueViolationError(DataError):
    pass


class ForeignKeyViolationError(DataError):
    pass


class MissingRequiredValueError(DataError):
    pass


class RawQueryError(DataError):
    pass


class TableNotFoundError(DataError):
    @property
    def table(self) -> str | None:
        return (self.meta or {}).get("table")


class FieldNotFoundError(DataError):
    pass


class RecordNotFoundError(DataError):
    def __init__(self, data: Any = None, *, message: str | None = None) -> None:
        default = {
            "user_facing_error": {
                "error_code": "P2025",
                "message": message or "Record to act on not found.",
            }
        }
        super().__init__(data or default, message=message)


class InputError(DataError):
    pass


UNREACHABLE = (
    ConnectionError,
    OSError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.InvalidCatalogNameError,
)
# SQLSTATE → (class, Prisma's code); what is not listed is a plain DataError without a code, as with
# Prisma.
BY_SQLSTATE: dict[str, tuple[type[DataError], str]] = {
    "23505": (UniqueViolationError, "P2002"),
    "23503": (ForeignKeyViolationError, "P2003"),
    "23502": (MissingRequiredValueError, "P2011"),
    "42P01": (TableNotFoundError, "P2021"),
    "40P01": (DataError, "P2034"),
}


def describe(message: str, code: str | None = None, meta: dict[str, Any] | None = None) -> dict[str, Any]:
    """The shape in which Prisma's engine reports a failure."""
    return {"user_facing_error": {"message": message, "error_code": code, "meta": meta or {}}}


def unknown_field(model: str, field: str) -> FieldNotFoundError:
    return FieldNotFoundError(describe(f"Could not find field {field!r} on model {model!r}.", "P2009"))


def from_database(error: BaseException, *, raw: bool) -> PrismaError:
    """The Prisma error that stands for an asyncpg or socket error; `raw` queries have a class of
    their own.
    """
    sqlstate = getattr(error, "sqlstate", None)
    client_side_refusal = isinstance(error, asyncpg.exceptions.DataError) and sqlstate is None
    if isinstance(error, UNREACHABLE) and not client_side_refusal:
        return DataError(describe(f"Can't reach database server: {error}", "P1001"))
    text = f"{error} (SQLSTATE {sqlstate})" if sqlstate else str(error)
    meta = {"code": sqlstate, "message": str(error)}
    if raw:
        return RawQueryError(describe(f"Raw query failed. {text}", "P2010", meta))
    cls, code = BY_SQLSTATE.get(sqlstate or "", (DataError, None))
    place = {
        "table": getattr(error, "table_name", None),
        "target": getattr(error, "constraint_name", None),
    }
    return cls(describe(text, code, {**meta, **place}))
