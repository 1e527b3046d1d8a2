"""Gemini, as Google's AI Studio serves it (not Vertex, whose texts differ)."""

from __future__ import annotations

from ..rules import Fault, Maker
from . import schema, turns

STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def error_body(fault: Fault) -> dict:
    fallback = "FAILED_PRECONDITION" if fault.status < 500 else "INTERNAL"
    error: dict = {"code": fault.status, "message": fault.message, "status": STATUSES.get(fault.status, fallback)}
    if fault.details:
        kind = "type.googleapis.com/google.rpc.BadRequest"
        error["details"] = [{"@type": kind, "fieldViolations": list(fault.details)}]
    return {"error": error}


MAKER = Maker("gemini", (*schema.RULES, *turns.RULES), error_body)
