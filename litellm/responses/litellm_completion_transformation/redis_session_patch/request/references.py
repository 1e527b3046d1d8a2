"""Items that a client refers to by their ids (``item_reference``), as the Vercel AI SDK does by default.

An item of a response of ours has an id that says where it is, so nothing else has to be kept to find it.
"""

from dataclasses import dataclass
from typing import Any

from ..redis.runtime import Runtime
from ..values.deletions import NOTHING_LEFT, mark_of, output_of
from ..values.ids import ItemPlace, Place, item_place_of
from ..values.owner import Owner
from ..values.results import Miss, Unreadable
from ..values.turns import Chain
from .items import input_items, referred_to


@dataclass(frozen=True)
class Resolved:
    """``items``: of the caller's in place of references to them; ``people``: owner tags of who took part in them."""

    items: Any
    people: frozenset[str] = frozenset()


async def resolved(runtime: Runtime, caller: Owner, client_input: Any) -> Resolved:
    """What a client refers to; what is not found, or was deleted, stays as it is. Raises StoreError."""
    if not isinstance(client_input, list) or not any(map(referred_to, client_input)) or caller.identity is None:
        return Resolved(client_input)
    chains: dict[Place, Chain | Miss] = {}
    items: list[Any] = []
    people: set[str] = set()
    for item in client_input:
        wanted = item_place_of(referred_to(item) or "")
        found = None
        if wanted is not None:
            if wanted.place not in chains:
                chains[wanted.place] = await runtime.store.read(wanted.place, caller)
            chain = chains[wanted.place]
            found = None if isinstance(chain, Miss) else _item_of(chain, wanted, item["id"])
            people.update(chain.turns[-1].by if isinstance(chain, Chain) and found is not None else ())
        items.append(found or item)
    return Resolved(items, frozenset(people))


def _item_of(chain: Chain, wanted: ItemPlace, item_id: str) -> dict[str, Any] | None:
    turn, deleted = chain.turns[-1], chain.deleted.split()
    if mark_of(wanted) in deleted or NOTHING_LEFT in deleted:
        return None
    if wanted.is_input and wanted.number < len(said := input_items(turn.items)):
        return {**said[wanted.number], "id": item_id}
    try:
        output = output_of(turn, wanted.place)
    except Unreadable:
        return None
    return next((item for item in output if item["id"] == item_id), None)
