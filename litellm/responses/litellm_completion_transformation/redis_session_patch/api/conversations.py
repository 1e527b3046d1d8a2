"""Conversation objects, as OpenAI's Conversations API has them: their items, added, listed and deleted.

What OpenAI answers is taken from its reference (https://platform.openai.com/docs/api-reference/conversations) and, for
errors, from recordings of it: ``tests/e2e/test_conversations.py`` names them.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from starlette.datastructures import QueryParams

from ..redis.conversation_store import NOTHING_LEFT, Head, Listed, Listing
from ..redis.runtime import Runtime
from ..redis.scripts import OBJECT
from ..request.references import referred_to, resolved
from ..values.deletions import said_items
from ..values.ids import ItemPlace, Place, conversation_id, item_id_at, item_place_of, new_conversation, new_turn
from ..values.owner import Owner
from ..values.results import Locked, Miss, Moved
from ..values.turns import Turn
from .stored_responses import BadParameter, Item, as_listed, check_include, limit_of, order_of

MOST_ITEMS = 20
_MOST_PAIRS, _LONGEST_KEY, _LONGEST_VALUE = 16, 64, 512
_ROLES = ("assistant", "system", "developer", "user")
# How an id begins that a client gives an item of this kind.
_PREFIXES = {"message": "msg", "function_call": "fc"}
_NO_TURN = "0"
_TRIES, _PAUSE_SECONDS = 60, 0.05  # to add to a conversation that others add to


@dataclass(frozen=True)
class Asked:
    """``conversation``: its name, or one that is nobody's. ``item``: where it is; ``item_id``: as the client has it."""

    caller: Owner
    conversation: str
    query: QueryParams
    body: Mapping[str, Any]
    item_id: str = ""

    @property
    def item(self) -> ItemPlace | None:
        place = item_place_of(self.item_id)
        return place if place is not None and place.place.conversation == self.conversation else None


Answer = dict[str, Any] | Miss
Serve = Callable[[Runtime, Asked], Awaitable[Answer]]


async def _create(runtime: Runtime, asked: Asked) -> Answer:
    metadata, given = _merged({}, asked.body.get("metadata")), asked.body.get("items")
    asked = replace(asked, conversation=new_conversation())
    turns = [] if given is None or given == [] else [await _turn_of(runtime, asked, given)]
    await runtime.store.make(asked.conversation, metadata, turns, asked.caller)
    return await _retrieve(runtime, asked)


async def _retrieve(runtime: Runtime, asked: Asked) -> Answer:
    head = await runtime.store.look(asked.conversation, asked.caller)
    return head if isinstance(head, Miss) else _shown(head, head.metadata)


async def _update(runtime: Runtime, asked: Asked) -> Answer:
    """Keys that are not named stay; one that is given no value goes."""
    changes = _needed(asked, "metadata")
    _merged({}, changes)

    async def change() -> Answer:
        head = await runtime.store.look(asked.conversation, asked.caller)
        if isinstance(head, Miss):
            return head
        metadata = _merged(head.metadata, changes)
        await runtime.store.describe(head, metadata, asked.caller)
        return _shown(head, metadata)

    return await _tried(change)


async def _delete(runtime: Runtime, asked: Asked) -> Answer:
    """Responses made in it stay, with what they were made from."""
    miss = await runtime.store.delete(Place(asked.conversation, OBJECT), asked.caller)
    shown = {"id": conversation_id(asked.conversation), "object": "conversation.deleted", "deleted": True}
    return miss or shown


async def _add_items(runtime: Runtime, asked: Asked) -> Answer:
    check_include(asked.query)
    turn = await _turn_of(runtime, asked, _needed(asked, "items"))
    place = Place(asked.conversation, new_turn())

    async def add() -> Answer:
        head = await runtime.store.look(asked.conversation, asked.caller)
        if isinstance(head, Miss):
            return head
        await runtime.store.go_on(head, [turn], asked.caller, at=place)
        return _list_of(_items_of(Listed(place, turn, "")), has_more=False)

    return await _tried(add)


async def _list_items(runtime: Runtime, asked: Asked) -> Answer:
    """Reads the turns of one page, and one more."""
    check_include(asked.query)
    order, limit, after = order_of(asked.query), limit_of(asked.query), asked.query.get("after") or ""
    cursor = replace(asked, item_id=after).item
    begin, is_given = (cursor.place.turn if cursor else _NO_TURN if after else ""), True
    items: list[Item] = []
    while len(items) <= limit:
        found = await runtime.store.list_turns(
            asked.conversation, asked.caller, limit + 1 - len(items), begin, is_first_given=is_given, order=order
        )
        if isinstance(found, Miss):
            return found
        for listed in found.turns if found is not None else ():
            new = _items_of(listed) if order == "asc" else _items_of(listed)[::-1]
            if not items and cursor is not None and listed.place.turn == cursor.place.turn:
                ids = [item["id"] for item in new]
                if after not in ids:
                    raise _no_cursor(after)
                new = new[ids.index(after) + 1 :]
            items += new
        if found is None and is_given:
            raise _no_cursor(after)
        if found is None or not found.is_cut or not found.turns:
            break
        begin, is_given = found.turns[-1].place.turn, False
    return _list_of(items[:limit], has_more=len(items) > limit)


async def _retrieve_item(runtime: Runtime, asked: Asked) -> Answer:
    check_include(asked.query)
    found = await _found_item(runtime, asked)
    return found if isinstance(found, Miss) else found[1]


async def _delete_item(runtime: Runtime, asked: Asked) -> Answer:
    """Later histories are without it; what a response was made from stays what it was."""

    async def take_out() -> Answer:
        found = await _found_item(runtime, asked)
        if isinstance(found, Miss):
            return found
        listing, item = found
        (listed,), place = listing.turns, Place(asked.conversation, new_turn())
        is_left = len(_items_of(listed)) > 1
        mark = f"{listed.deleted} {_mark_of(item['id'])}" if is_left else NOTHING_LEFT
        marks = {f"d{listed.place.turn}": mark, f"d{place.turn}": NOTHING_LEFT}
        turn = Turn([], by=(asked.caller.tag,), gone=(item["id"],))
        await runtime.store.go_on(listing.head, [turn], asked.caller, at=place, fields=marks)
        return _shown(listing.head, listing.head.metadata)

    return await _tried(take_out)


# By method and path, which begins as LiteLLM's routes for responses do.
OPERATIONS: dict[tuple[str, str], Serve] = {
    ("POST", "/conversations"): _create,
    ("GET", "/conversations/{conversation_id}"): _retrieve,
    ("POST", "/conversations/{conversation_id}"): _update,
    ("DELETE", "/conversations/{conversation_id}"): _delete,
    ("POST", "/conversations/{conversation_id}/items"): _add_items,
    ("GET", "/conversations/{conversation_id}/items"): _list_items,
    ("GET", "/conversations/{conversation_id}/items/{item_id}"): _retrieve_item,
    ("DELETE", "/conversations/{conversation_id}/items/{item_id}"): _delete_item,
}


async def _tried(act: Callable[[], Awaitable[Answer]]) -> Answer:
    """``act`` reads a conversation and goes on in it: again, where somebody else did meanwhile."""
    for _ in range(_TRIES):
        try:
            return await act()
        except Moved:
            await asyncio.sleep(random.uniform(0, _PAUSE_SECONDS))
    raise Locked("The conversation went on again and again.")


async def _found_item(runtime: Runtime, asked: Asked) -> tuple[Listing, Item] | Miss:
    """The item, and a listing of its turn alone. Raises BadParameter where it is none of the conversation."""
    place = asked.item
    turn = place.place.turn if place is not None else _NO_TURN
    found = await runtime.store.list_turns(asked.conversation, asked.caller, 1, turn)
    if isinstance(found, Miss):
        return found
    listed = found.turns[0] if found is not None and found.turns else None
    items = _items_of(listed) if listed is not None and listed.place.turn == turn else ()
    item = next((item for item in items if item["id"] == asked.item_id), None)
    if found is None or item is None:
        raise BadParameter(None, f"Item with id '{asked.item_id}' not found in conversation.", None, 404)
    return found, item


def _items_of(listed: Listed) -> list[Item]:
    """A turn's items that are not deleted, oldest first: what was said, and the reply's output as it was given."""
    gone, items = set(listed.deleted.split()), list[Item]()
    if NOTHING_LEFT in gone:
        return []
    for number, said in enumerate(said_items(listed.turn.items)):
        if f"i{number}" not in gone:
            item = as_listed(said)
            items.append({**item, "id": item_id_at(item["type"], listed.place, number, is_input=True)})
    output = (listed.turn.shown or {}).get("output") or ()
    return items + [item for item in output if _mark_of(str(item.get("id"))) not in gone]


def _mark_of(item_id: str) -> str:
    """An item within its turn."""
    place = item_place_of(item_id)
    return f"{'i' if place.is_input else 'o'}{place.number}" if place is not None else ""


def _shown(head: Head, metadata: Mapping[str, Any]) -> dict[str, Any]:
    shown = {"id": conversation_id(head.conversation), "object": "conversation", "created_at": head.created_at}
    return {**shown, "metadata": dict(metadata)}


def _list_of(items: Sequence[Item], *, has_more: bool) -> dict[str, Any]:
    first, last = (items[0]["id"], items[-1]["id"]) if items else (None, None)
    return {"object": "list", "data": list(items), "first_id": first, "last_id": last, "has_more": has_more}


def _no_cursor(after: str) -> BadParameter:
    return BadParameter("after", f"No item found with id '{after}'", None, 404)


def _needed(asked: Asked, name: str) -> Any:
    if name not in asked.body:
        raise BadParameter(name, f"Missing required parameter: '{name}'.", "missing_required_parameter")
    return asked.body[name]


async def _turn_of(runtime: Runtime, asked: Asked, given: Any) -> Turn:
    """Items to be added, with those that they name in place of references. Raises BadParameter."""
    _check_items(given)
    named = [_as_reference(item) for item in given]
    for item in named:
        place = replace(asked, item_id=referred_to(item) or "").item
        if place is None:
            continue
        found = await runtime.store.list_turns(asked.conversation, asked.caller, 1, place.place.turn)
        if isinstance(found, Listing) and any(each["id"] == item["id"] for each in _items_of(found.turns[0])):
            raise BadParameter("items", "Item already in conversation", "item_already_in_conversation")
    items = await resolved(runtime, asked.caller, named)
    for number, item in enumerate(items):
        if referred_to(item) is not None:
            if referred_to(given[number]) is not None:
                raise BadParameter("items", f"Item with id '{item['id']}' not found.", None, 404)
            items[number] = given[number]
    kept = [{name: value for name, value in item.items() if name != "id"} for item in items]
    return Turn(kept, by=(asked.caller.tag,))


def _as_reference(item: Item) -> Item:
    """An item that has the id of a stored one is that one, whatever else is said of it."""
    is_stored = isinstance(item.get("id"), str) and item_place_of(item["id"]) is not None
    return {"type": "item_reference", "id": item["id"]} if is_stored else item


def _check_items(given: Any) -> None:
    if not isinstance(given, list):
        raise _wrong_type("items", "an array of input items", given)
    if not given:
        problem = "empty array. Expected an array with minimum length 1, but got an empty array instead."
        raise BadParameter("items", f"Invalid 'items': {problem}", "empty_array")
    if len(given) > MOST_ITEMS:
        expected = f"Expected an array with maximum length {MOST_ITEMS}, but got an array with length {len(given)}"
        problem = f"Invalid 'items': array too long. {expected} instead."
        raise BadParameter("items", problem, "array_above_max_length")
    for number, item in enumerate(given):
        _check_item(f"items[{number}]", item)


def _check_item(param: str, item: Any) -> None:
    if not isinstance(item, dict):
        raise _wrong_type(param, "an object", item)
    kind, item_id = item.get("type", "message"), item.get("id")
    for name, value in (("type", kind), ("id", item_id)):
        if value is not None and not isinstance(value, str):
            raise _wrong_type(f"{param}.{name}", "a string", value)
    if referred_to(item) is not None:
        return
    if kind in (None, "message"):
        if item.get("role") not in _ROLES:
            supported = "'assistant', 'system', 'developer', and 'user'"
            problem = f"Invalid value: '{item.get('role') or ''}'. Supported values are: {supported}."
            raise BadParameter(param, problem, "invalid_value")
        content = item.get("content")
        is_parts = isinstance(content, list) and all(isinstance(part, dict) for part in content)
        if not isinstance(content, str) and not is_parts:
            raise _wrong_type(f"{param}.content", "one of an array of objects or string", content)
    prefix = _PREFIXES.get(kind or "message")
    if item_id is not None and prefix is not None and not item_id.startswith(prefix):
        problem = f"Invalid '{param}.id': '{item_id}'. Expected an ID that begins with '{prefix}'."
        raise BadParameter(f"{param}.id", problem, "invalid_value")


def _merged(metadata: Mapping[str, Any], changes: Any) -> dict[str, Any]:
    """``metadata`` after ``changes``. Raises BadParameter."""
    if changes is None:
        changes = {}
    if not isinstance(changes, dict):
        raise _wrong_type("metadata", "a metadata object", changes)
    for name, value in changes.items():
        if len(name) > _LONGEST_KEY:
            short = f"{name[:3]}...{name[-3:]}"
            expected = f"Expected a string with maximum length {_LONGEST_KEY}, but got a string with length {len(name)}"
            problem = f"Invalid property name in 'metadata': '{short}' is too long. {expected} instead."
            raise BadParameter(f"metadata.{name}", problem, "property_name_above_max_length")
        if value is not None and not isinstance(value, str):
            raise _wrong_type(f"metadata.{name}", "a string", value)
        if value is not None and len(value) > _LONGEST_VALUE:
            expected = f"Expected a string with maximum length {_LONGEST_VALUE}, but got a string with length"
            problem = f"Invalid 'metadata.{name}': string too long. {expected} {len(value)} instead."
            raise BadParameter(f"metadata.{name}", problem, "string_above_max_length")
    merged = {name: value for name, value in {**metadata, **changes}.items() if value is not None}
    if len(merged) > _MOST_PAIRS:
        expected = f"Expected an object with at most {_MOST_PAIRS} properties, but got an object with {len(merged)}"
        problem = f"Invalid 'metadata': too many properties. {expected} properties instead."
        raise BadParameter("metadata", problem, "object_above_max_properties")
    return merged


def _wrong_type(param: str, expected: str, given: Any) -> BadParameter:
    problem = f"Invalid type for '{param}': expected {expected}, but got {_kind_of(given)} instead."
    return BadParameter(param, problem, "invalid_type")


def _kind_of(value: Any) -> str:
    kinds = {str: "a string", bool: "a boolean", int: "an integer", float: "a decimal", list: "an array"}
    return "null" if value is None else kinds.get(type(value), "an object")
