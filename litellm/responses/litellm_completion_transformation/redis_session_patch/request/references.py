"""Items that a client refers to by their ids (``item_reference``), as the Vercel AI SDK does by default.

An item of a response of ours has an id that says where it is, so nothing else has to be kept to find it.
"""

from typing import Any

from ..redis.runtime import Runtime
from ..values.ids import Place, item_place_of
from ..values.owner import Owner
from ..values.results import Miss, Unreadable
from ..values.turns import Turn
from .items import input_items, referred_to


async def resolved(runtime: Runtime, caller: Owner, client_input: Any) -> Any:
    """``client_input`` with the caller's items in place of references to them; others stay as they are.

    Raises StoreError.
    """
    if not isinstance(client_input, list) or not any(map(referred_to, client_input)) or caller.identity is None:
        return client_input
    turns: dict[Place, Turn | None] = {}
    items: list[Any] = []
    for item in client_input:
        wanted = item_place_of(referred_to(item) or "")
        if wanted is None:
            items.append(item)
            continue
        if wanted.place not in turns:
            found = await runtime.store.read(wanted.place, caller)
            turns[wanted.place] = None if isinstance(found, Miss) else found.turns[-1]
        items.append(_item_of(turns[wanted.place], wanted.is_input, wanted.number, item["id"]) or item)
    return items


def _item_of(turn: Turn | None, is_input: bool, number: int, item_id: str) -> dict[str, Any] | None:
    if turn is None:
        return None
    if is_input and number < len(said := input_items(turn.items)):
        return {**said[number], "id": item_id}
    try:
        output = (turn.shown or {}).get("output") or []
    except Unreadable:
        return None
    return next((item for item in output if item.get("id") == item_id), None)
