"""``GET /v1/responses/{id}/input_items``: what a response was made from, as a list of Responses items in pages.

As at OpenAI that is the whole conversation up to and with the request's own input, answers included: "a list of items
used to generate this response" (https://platform.openai.com/docs/api-reference/responses/input-items), which has
output messages among its kinds; Alibaba's compatible service says it in so many words
(https://help.aliyun.com/en/model-studio/list-input-items).
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from .conversation import Chain, Turn, dump_json

Item = dict[str, Any]

MOST_ITEMS = 100
DEFAULT_ITEMS = 20
INCLUDABLE = (
    "code_interpreter_call.outputs",
    "computer_call_output.output.image_url",
    "file_search_call.results",
    "message.input_image.image_url",
    "message.output_text.logprobs",
    "reasoning.encrypted_content",
    "web_search_call.action.sources",
    "web_search_call.results",
)

# An item that its client gave no id has one that begins like OpenAI's.
_PREFIXES = {
    "message": "msg_",
    "function_call": "fc_",
    "function_call_output": "fco_",
    "custom_tool_call": "ctc_",
    "custom_tool_call_output": "ctco_",
    "reasoning": "rs_",
}
_WITH_STATUS = ("message", "function_call", "function_call_output")
_ID_CHARACTERS = 48


class BadParameter(ValueError):
    """A query parameter has a value that cannot be; says so in OpenAI's words."""

    def __init__(self, param: str | None, message: str, code: str | None = "invalid_value"):
        super().__init__(message)
        self.param, self.message, self.code = param, message, code


class Query(Protocol):
    """A request's query parameters."""

    def get(self, key: str, /) -> str | None: ...
    def getlist(self, key: str, /) -> list[str]: ...


@dataclass(frozen=True)
class PageRequest:
    """``after`` and ``before`` are ids of items that are not in the page."""

    limit: int = DEFAULT_ITEMS
    is_ascending: bool = False
    after: str | None = None
    before: str | None = None


def page_request(query: Query) -> PageRequest:
    """Raises BadParameter."""
    check_include(query)
    order = query.get("order") or "desc"
    if order not in ("asc", "desc"):
        raise BadParameter("order", f"Invalid value: '{order}'. Supported values are: 'asc' and 'desc'.")
    return PageRequest(
        limit=_limit(query.get("limit")),
        is_ascending=order == "asc",
        after=query.get("after") or None,
        before=query.get("before") or None,
    )


def check_include(query: Query) -> None:
    """What may be included is always there. Raises BadParameter for what is not known."""
    for given in (*query.getlist("include"), *query.getlist("include[]")):
        for name in given.split(","):
            if name and name not in INCLUDABLE:
                known = ", ".join(f"'{each}'" for each in INCLUDABLE)
                raise BadParameter("include", f"Invalid value: '{name}'. Supported values are: {known}.")


def page(items: Sequence[Item], wanted: PageRequest) -> dict[str, Any]:
    """OpenAI's list object. ``items``: oldest first. Raises BadParameter for an id that no item has."""
    ordered = list(items if wanted.is_ascending else reversed(items))
    places = {item["id"]: place for place, item in enumerate(ordered)}
    first = 0 if wanted.after is None else _place_of("after", wanted.after, places) + 1
    end = len(ordered) if wanted.before is None else _place_of("before", wanted.before, places)
    among = ordered[first:end]
    from_the_end = wanted.after is None and wanted.before is not None
    data = among[-wanted.limit :] if from_the_end else among[: wanted.limit]
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": len(among) > len(data),
    }


def items_of(chain: Chain) -> list[Item]:
    """The items that the last one of the turns was made from, oldest first; each has an id that it always has."""
    items: list[Item] = []
    taken: set[str] = set()
    conversation = chain.record.conversation if chain.record is not None else ""
    for number, turn in enumerate(chain.turns, 1):
        new = _input_items(turn.input)
        if number < len(chain.turns):
            new += _output_items(turn)
        for place, item in enumerate(new):
            item = _as_listed(item)
            if not isinstance(item.get("id"), str) or item["id"] in taken:
                # Of what it says too, for branches have turns of the same number.
                item["id"] = _id_of(item, f"{conversation}/{number}/{place}/{dump_json(item)}")
            taken.add(item["id"])
            items.append(item)
    return items


def _limit(text: str | None) -> int:
    if not text:
        return DEFAULT_ITEMS
    try:
        number = int(text)
    except ValueError:
        problem = f"Invalid type for 'limit': expected an integer, but got '{text}' instead."
        raise BadParameter("limit", problem, "invalid_type") from None
    if number < 1:
        problem = f"Invalid 'limit': integer below minimum value. Expected a value >= 1, but got {number} instead."
        raise BadParameter("limit", problem, "integer_below_min_value")
    if number > MOST_ITEMS:
        problem = f"Invalid 'limit': integer above maximum value. Expected a value <= {MOST_ITEMS}, but got {number}"
        raise BadParameter("limit", f"{problem} instead.", "integer_above_max_value")
    return number


def _place_of(param: str, item_id: str, places: Mapping[str, int]) -> int:
    if item_id not in places:
        raise BadParameter(param, f"Invalid '{param}': the response has no input item with id '{item_id}'.")
    return places[item_id]


def _input_items(client_input: Any) -> list[Item]:
    return [_message("user", client_input)] if isinstance(client_input, str) else list(client_input)


def _output_items(turn: Turn) -> list[Item]:
    """What the client was given; where that is not known, as of turns out of the database, what the model said."""
    if turn.reply is not None:
        return list(turn.reply.get("output") or ())
    return [item for message in turn.answer for item in _items_of_message(message)]


def _items_of_message(message: Mapping[str, Any]) -> Iterator[Item]:
    role, content = message["role"], message.get("content")
    if role == "tool":
        yield {"type": "function_call_output", "call_id": message.get("tool_call_id"), "output": content}
        return
    if content:
        yield _message(role, content)
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        named = {"name": function.get("name"), "arguments": function.get("arguments")}
        yield {"type": "function_call", "call_id": call.get("id"), **named}


def _message(role: str, content: Any) -> Item:
    return {"type": "message", "role": role, "content": content}


def _as_listed(item: Mapping[str, Any]) -> Item:
    """An item as OpenAI lists it: its kind, its status and a message's parts are said, though the client need not."""
    kind = item.get("type") or "message"
    listed: Item = {**item, "type": kind}
    if kind in _WITH_STATUS and not listed.get("status"):
        listed["status"] = "completed"
    content = listed.get("content")
    if kind == "message" and isinstance(content, str):
        is_output = listed.get("role") == "assistant"
        part = {"type": "output_text", "annotations": []} if is_output else {"type": "input_text"}
        listed["content"] = [{**part, "text": content}]
    return listed


def _id_of(item: Item, place: str) -> str:
    digest = hashlib.sha256(place.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{_PREFIXES.get(item['type'], 'item_')}{digest[:_ID_CHARACTERS]}"
