"""What a Responses endpoint answers about the responses that it holds: retrieve, delete, cancel, list what was sent."""

from __future__ import annotations

import re
from urllib.parse import parse_qs

from .holding import Accounts, HeldResponse, holder_of
from .http_server import Request, Response, reply_json
from .refusing import MAKERS, Fault

STORED = re.compile(r"/responses/(?P<id>[^/]+)(?P<verb>/input_items|/cancel)?$")
PAGE = 20
DOWN = Fault(
    "Our servers are currently overloaded. Please try again later.",
    code="server_is_overloaded",
    type="service_unavailable_error",
    status=503,
)


def is_stored_path(path: str) -> bool:
    return STORED.search(path) is not None


def failed(fault: Fault) -> Response:
    return reply_json(MAKERS["responses"].error_body(fault), fault.status)


def answer_stored_request(accounts: Accounts, request: Request) -> Response:
    found = STORED.search(request.path)
    id, verb = found["id"], found["verb"] or ""
    holder = holder_of(request.path, request.headers)
    held = accounts.response(holder, id)
    if held is None:
        return failed(Fault(f"Response with id '{id}' not found.", status=404))
    if (request.method, verb) == ("GET", ""):
        return reply_json(held.shown)
    if (request.method, verb) == ("GET", "/input_items"):
        return listed_input(held, parse_qs(request.query))
    if (request.method, verb) == ("DELETE", ""):
        accounts.delete(holder, id)
        return reply_json({"id": id, "object": "response", "deleted": True})
    if (request.method, verb) == ("POST", "/cancel"):
        cancelled = accounts.cancel(holder, id)
        return reply_json(cancelled.shown) if cancelled else failed(Fault("Cannot cancel a synchronous response."))
    return failed(Fault(f"Invalid method for URL ({request.method} {request.path})", status=405))


def listed_input(held: HeldResponse, query: dict[str, list[str]]) -> Response:
    """Newest first; what came before the request is part of it."""
    items = list(held.seen)
    if query.get("order", ["desc"])[0] == "desc":
        items.reverse()
    if after := query.get("after", [""])[0]:
        places = [number for number, item in enumerate(items) if item["id"] == after]
        if not places:
            return failed(Fault(f"Item with id '{after}' not found.", param="after", status=404))
        items = items[places[0] + 1 :]
    limit = int(query.get("limit", [str(PAGE)])[0])
    page = items[:limit]
    first, last = (page[0]["id"], page[-1]["id"]) if page else (None, None)
    listed = {"object": "list", "data": page, "first_id": first, "last_id": last, "has_more": len(items) > limit}
    return reply_json(listed)
