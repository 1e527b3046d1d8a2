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

from ..redis.conversation_store import Head, Listed, Listing
from ..redis.runtime import Runtime
from ..redis.scripts import OBJECT
from ..redis.store import NO_TURN
from ..request.items import referred_to
from ..request.references import resolved
from ..values.deletions import NOTHING_LEFT, all_of, mark_of, output_of, said_items
from ..values.ids import ItemPlace, Place, conversation_id, item_id_at, item_place_of, new_conversation, new_turn
from ..values.owner import Owner
from ..values.results import Locked, Miss, Moved
from ..values.turns import Turn
from .conversation_bodies import check_items, merged, missing
from .stored_responses import BadParameter, Item, as_listed, check_include, limit_of, order_of

# Items that say what the proxy's own tools were asked and gave.
_OF_ROUNDS = ("mcp_call", "mcp_tools_fetched", "tool_execution_results")
_READ_AT_ONCE = 20  # turns
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
    metadata, given = merged({}, asked.body.get("metadata")), asked.body.get("items")
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
    merged({}, changes)

    async def change() -> Answer:
        head = await runtime.store.look(asked.conversation, asked.caller)
        if isinstance(head, Miss):
            return head
        metadata = merged(head.metadata, changes)
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
    after = await _known_id(runtime, replace(asked, item_id=after)) if after else ""
    cursor = replace(asked, item_id=after).item
    begin, is_given = (cursor.place.turn if cursor else NO_TURN if after else ""), True
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
        is_left, gone = len(_items_of(listed)) > 1, [item["id"]]
        if item["type"] in _OF_ROUNDS or not is_left:
            gone += await _rounds_before(runtime, asked, listed)
        mark = f"{listed.deleted} {_mark_of(item['id'])}" if is_left else NOTHING_LEFT
        marks = {f"d{listed.place.turn}": mark, f"d{place.turn}": NOTHING_LEFT}
        turn = Turn([], by=(asked.caller.tag,), gone=tuple(gone))
        # Whoever may keep no more must be able to keep less.
        await runtime.store.go_on(listing.head, [turn], asked.caller, at=place, fields=marks, is_claimed=False)
        return _shown(listing.head, listing.head.metadata)

    return await _tried(take_out)


async def _rounds_before(runtime: Runtime, asked: Asked, listed: Listed) -> list[str]:
    """What the proxy's own tools were asked and gave before the answer of a turn: ids that stand for it."""
    gone: list[str] = []
    while listed.before != NO_TURN:
        found = await runtime.store.list_turns(asked.conversation, asked.caller, 1, listed.before)
        if not isinstance(found, Listing) or not found.turns or not found.turns[0].turn.is_round:
            break
        (before,) = found.turns
        gone += [all_of(listed.place, is_input=True), all_of(before.place, is_input=False)]
        listed = before
        if listed.deleted != NOTHING_LEFT:  # Its input is the client's.
            break
    return gone


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
    asked = replace(asked, item_id=await _known_id(runtime, asked))
    place = asked.item
    turn = place.place.turn if place is not None else NO_TURN
    found = await runtime.store.list_turns(asked.conversation, asked.caller, 1, turn)
    if isinstance(found, Miss):
        return found
    listed = found.turns[0] if found is not None and found.turns else None
    items = _items_of(listed) if listed is not None and listed.place.turn == turn else ()
    item = next((item for item in items if item["id"] == asked.item_id), None)
    if found is None or item is None:
        raise BadParameter(None, f"Item with id '{asked.item_id}' not found in conversation.", None, 404)
    return found, item


async def _known_id(runtime: Runtime, asked: Asked) -> str:
    """The id under which an item is listed, which a reply of a native model may have with another: all of the
    conversation is searched for that.
    """
    if item_place_of(asked.item_id) is not None:
        return asked.item_id
    begin, is_given = "", True
    while True:
        found = await runtime.store.list_turns(
            asked.conversation, asked.caller, _READ_AT_ONCE, begin, is_first_given=is_given
        )
        if not isinstance(found, Listing):
            return asked.item_id
        for listed in found.turns:
            output = (listed.turn.shown or {}).get("output") or ()
            for item, known in zip(output, output_of(listed.turn, listed.place), strict=True):
                if item.get("id") == asked.item_id:
                    return str(known["id"])
        if not found.is_cut or not found.turns:
            return asked.item_id
        begin, is_given = found.turns[-1].place.turn, False


def _items_of(listed: Listed) -> list[Item]:
    """A turn's items that are not deleted, oldest first: what was said, and the reply's output as it was given."""
    gone, items = set(listed.deleted.split()), list[Item]()
    if NOTHING_LEFT in gone:
        return []
    for number, said in enumerate(said_items(listed.turn.items)):
        if f"i{number}" not in gone:
            item = as_listed(said)
            items.append({**item, "id": item_id_at(item["type"], listed.place, number, is_input=True)})
    return items + [item for item in output_of(listed.turn, listed.place) if _mark_of(item["id"]) not in gone]


def _mark_of(item_id: str) -> str:
    place = item_place_of(item_id)
    return mark_of(place) if place is not None else ""


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
        raise missing(name)
    return asked.body[name]


async def _turn_of(runtime: Runtime, asked: Asked, given: Any) -> Turn:
    """Items to be added, with those that they name in place of references. Raises BadParameter."""
    check_items(given)
    named = [_as_reference(item) for item in given]
    for item in named:
        place = replace(asked, item_id=referred_to(item) or "").item
        if place is None:
            continue
        found = await runtime.store.list_turns(asked.conversation, asked.caller, 1, place.place.turn)
        if isinstance(found, Listing) and any(each["id"] == item["id"] for each in _items_of(found.turns[0])):
            raise BadParameter("items", "Item already in conversation", "item_already_in_conversation")
    found_items = await resolved(runtime, asked.caller, named)
    items, people = list(found_items.items), found_items.people - {asked.caller.tag}
    for number, item in enumerate(items):
        if referred_to(item) is not None:
            if referred_to(given[number]) is not None:
                raise BadParameter("items", f"Item with id '{item['id']}' not found.", None, 404)
            items[number] = given[number]
    kept = [{name: value for name, value in item.items() if name != "id"} for item in items]
    return Turn(kept, by=(asked.caller.tag, *sorted(people)))


def _as_reference(item: Item) -> Item:
    """An item that has the id of a stored one is that one, whatever else is said of it."""
    is_stored = isinstance(item.get("id"), str) and item_place_of(item["id"]) is not None
    return {"type": "item_reference", "id": item["id"]} if is_stored else item
