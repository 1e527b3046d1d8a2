"""Claude, as `/v1/messages` has it."""

from __future__ import annotations

import uuid

from ..rules import Fault, Maker
from . import content, pairing, schema, thinking

ERROR_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


def error_body(fault: Fault) -> dict:
    fallback = "invalid_request_error" if fault.status < 500 else "api_error"
    error = {"type": fault.type or ERROR_TYPES.get(fault.status, fallback), "message": fault.message}
    return {"type": "error", "error": error, "request_id": f"req_{uuid.uuid4().hex[:24]}"}


MAKER = Maker("anthropic", (*schema.RULES, *content.RULES, *pairing.RULES, *thinking.RULES), error_body)
