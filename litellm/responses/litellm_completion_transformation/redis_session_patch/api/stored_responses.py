"""The operations of a stored response: get, delete, list its input, cancel.

Its input is, as at OpenAI, the whole conversation up to and with the request's own input, answers included: "a list of
items used to generate this response" (https://platform.openai.com/docs/api-reference/responses/input-items), which has
output messages among its kinds; Alibaba's compatible service says it in so many words
(https://help.aliyun.com/en/model-studio/list-input-items).
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from openai.types.responses import ResponseIncludable
from starlette.datastructures import QueryParams

from ..redis.runtime import Runtime
from ..request.items import answered_items
from ..values.deletions import said_items
from ..values.ids import Place, item_id_at
from ..values.owner import Owner
from ..values.results import Miss, Unreadable
from ..values.turns import Chain

Item = dict[str, Any]

_MOST_ITEMS = 100


class BadParameter(ValueError):
    """A parameter has a value that cannot be; says so in OpenAI's words."""

    def __init__(self, param: str | None, message: str, code: str | None = "invalid_value", status: int = 400):
        super().__init__(message)
        self.param, self.message, self.code, self.status = param, message, code, status


@dataclass(frozen=True)
class Asked:
    """``client_id``: the response's id as the client has it. ``query``: the request's parameters."""

    client_id: str
    place: Place
    query: QueryParams
    caller: Owner


Serve = Callable[[Runtime, Asked], Awaitable[dict[str, Any] | Miss]]


def _of_read(answer: Callable[[Asked, Chain], dict[str, Any]]) -> Serve:
    """Reads the response first, which is a use of it as a follow-up is: its life is renewed."""

    async def serve(runtime: Runtime, asked: Asked) -> dict[str, Any] | Miss:
        found = await runtime.store.read(asked.place, asked.caller)
        if isinstance(found, Miss):
            return found
        try:
            return answer(asked, found) if found.turns[-1].reply is not None else Miss.INCOMPLETE
        except Unreadable:
            return Miss.UNREADABLE

    return serve


def _retrieve(asked: Asked, found: Chain) -> dict[str, Any]:
    check_include(asked.query)
    for name in ("stream", "starting_after"):
        if (asked.query.get(name) or "false").lower() not in ("false", "0"):
            problem = "This response cannot be streamed because it was not created with background=true."
            raise BadParameter(name, problem)
    return {"id": asked.client_id, **(found.turns[-1].shown or {})}


def _cancel(_asked: Asked, _found: Chain) -> dict[str, Any]:
    raise BadParameter(None, "Cannot cancel a synchronous response.", None)


async def _delete(runtime: Runtime, asked: Asked) -> dict[str, Any] | Miss:
    miss = await runtime.store.delete(asked.place, asked.caller)
    return miss or {"id": asked.client_id, "object": "response", "deleted": True}


# By method and the last part of the path.
OPERATIONS: dict[tuple[str, str], Serve] = {
    ("GET", "{response_id}"): _of_read(_retrieve),
    ("GET", "input_items"): _of_read(lambda asked, found: page(items_of(found), asked.query)),
    ("DELETE", "{response_id}"): _delete,
    ("POST", "cancel"): _of_read(_cancel),
}


def check_include(query: QueryParams) -> None:
    """What may be included is always there. Raises BadParameter for what is not known."""
    names, includable = [*query.getlist("include"), *query.getlist("include[]")], sorted(get_args(ResponseIncludable))
    if unknown := [name for name in ",".join(names).split(",") if name and name not in includable]:
        known = ", ".join(f"'{name}'" for name in includable)
        raise BadParameter("include", f"Invalid value: '{unknown[0]}'. Supported values are: {known}.")


def page(items: Sequence[Item], query: QueryParams) -> dict[str, Any]:
    """OpenAI's list object. ``items``: oldest first. Raises BadParameter."""
    check_include(query)
    order, limit, after, before = order_of(query), limit_of(query), query.get("after"), query.get("before")
    ordered = items if order == "asc" else items[::-1]
    places = {item["id"]: place for place, item in enumerate(ordered)}
    for param, item_id in (("after", after), ("before", before)):
        if item_id and item_id not in places:
            raise BadParameter(param, f"Invalid '{param}': the response has no input item with id '{item_id}'.")
    among = ordered[places[after] + 1 if after else 0 : places[before] if before else None]
    data = among[-limit:] if before and not after else among[:limit]
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": len(among) > len(data),
    }


def order_of(query: QueryParams) -> str:
    order = query.get("order") or "desc"
    if order not in ("asc", "desc"):
        raise BadParameter("order", f"Invalid value: '{order}'. Supported values are: 'asc' and 'desc'.")
    return order


def limit_of(query: QueryParams) -> int:
    text = query.get("limit") or "20"
    try:
        number = int(text)
    except ValueError:
        problem = f"Invalid type for 'limit': expected an integer, but got '{text}' instead."
        raise BadParameter("limit", problem, "invalid_type") from None
    if number < 1:
        problem = f"Invalid 'limit': integer below minimum value. Expected a value >= 1, but got {number} instead."
        raise BadParameter("limit", problem, "integer_below_min_value")
    if number > _MOST_ITEMS:
        problem = f"Invalid 'limit': integer above maximum value. Expected a value <= {_MOST_ITEMS}, but got {number}"
        raise BadParameter("limit", f"{problem} instead.", "integer_above_max_value")
    return number


def items_of(chain: Chain) -> list[Item]:
    """The items that the last one of the turns was made from, oldest first; each has an id that it always has."""
    items: dict[str, Item] = {}
    for turn_id, turn in zip(chain.turn_ids, chain.turns, strict=True):
        new = said_items(turn.items)
        if turn is not chain.turns[-1]:
            new += answered_items(turn)
        for number, each in enumerate(new):
            item = as_listed(each)
            if not isinstance(item.get("id"), str) or item["id"] in items:
                place = Place(chain.tip.place.conversation if chain.tip is not None else "", turn_id)
                item["id"] = item_id_at(item["type"], place, number, is_input=True)
            items[item["id"]] = item
    return list(items.values())


def as_listed(item: Mapping[str, Any]) -> Item:
    """An item as OpenAI lists it: its kind, its status and a message's parts are said, though the client need not."""
    kind, content = item.get("type") or "message", item.get("content")
    kind = kind if isinstance(kind, str) else "message"  # as upstream takes it
    listed: Item = {**item, "type": kind}
    if kind in ("message", "function_call", "function_call_output") and not listed.get("status"):
        listed["status"] = "completed"
    if kind == "message" and isinstance(content, str):
        is_output = listed.get("role") == "assistant"
        part = {"type": "output_text", "annotations": []} if is_output else {"type": "input_text"}
        listed["content"] = [{**part, "text": content}]
    return listed
