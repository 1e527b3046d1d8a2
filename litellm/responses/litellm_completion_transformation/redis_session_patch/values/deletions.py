"""Items that were deleted from a conversation object: what its turns are without them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from .ids import ItemPlace, Place, item_id_at, item_place_of
from .turns import Turn

Item = dict[str, Any]

# How a turn is marked of which no item is left.
NOTHING_LEFT = "*"
# Numbers of output items that have another id than one of ours, as those of a native model, begin here.
_OTHERS = 100_000
# Stands for all items of a turn's input, or of its answer.
_ALL = 999_999

# Fields of an answer that go with a deleted output item of a kind.
_FIELDS: Mapping[str, tuple[str, ...]] = {
    "reasoning": ("reasoning_content", "reasoning_details", "thinking_blocks"),
    "image_generation_call": ("images",),
}


def mark_of(place: ItemPlace) -> str:
    """An item within its turn."""
    return f"{'i' if place.is_input else 'o'}{place.number}"


def all_of(place: Place, *, is_input: bool) -> str:
    """Stands for the ids of all items of a turn's input, or of its answer."""
    return item_id_at("", place, _ALL, is_input=is_input)


def output_of(turn: Turn, place: Place) -> list[Item]:
    """The items of a reply, each with an id that says where it is. Raises Unreadable."""
    output = (turn.shown or {}).get("output") or ()
    return [
        item
        if item_place_of(str(item.get("id"))) is not None
        else {**item, "id": item_id_at(str(item.get("type")), place, _OTHERS + number, is_input=False)}
        for number, item in enumerate(output)
    ]


def without_deleted(turns: Sequence[Turn], turn_ids: Sequence[str]) -> tuple[Turn, ...]:
    """``turns`` without the items that any of them says are gone. Raises Unreadable."""
    gone: dict[str, set[str]] = {}
    for item_id in (item_id for turn in turns for item_id in turn.gone):
        if (found := item_place_of(item_id)) is not None:
            gone.setdefault(found.place.turn, set()).add(item_id)
    if not gone:
        return tuple(turns)
    return tuple(
        _without(turn, gone[turn_id]) if turn_id in gone else turn
        for turn, turn_id in zip(turns, turn_ids, strict=True)
    )


def said_items(client_input: Any) -> list[Item]:
    """An input as items: those that an item's number counts."""
    if isinstance(client_input, str):
        return [{"type": "message", "role": "user", "content": client_input}]
    # Upstream takes an object too, and makes nothing of it.
    return [item for item in client_input if isinstance(item, dict)] if isinstance(client_input, list) else []


def _without(turn: Turn, gone: Collection[str]) -> Turn:
    places = list(filter(None, map(item_place_of, gone)))
    numbers = {place.number for place in places if place.is_input}
    if numbers:
        kept = [item for number, item in enumerate(said_items(turn.items)) if numbers.isdisjoint((number, _ALL))]
        turn = replace(turn, input=kept)
    if any(place.number == _ALL and not place.is_input for place in places):
        return replace(turn, answer=(), reply=None)
    reply = turn.shown or {}
    output = list(reply.get("output") or ())
    named = zip(output, output_of(turn, places[0].place), strict=True)
    deleted = [item for item, known in named if known["id"] in gone]
    if not deleted:
        return turn
    kept = [item for item in output if item not in deleted]
    return replace(turn, reply={**reply, "output": kept}, answer=_answer_without(turn.answer, output, deleted))


def _answer_without(
    answer: Sequence[Mapping[str, Any]], output: Sequence[Item], deleted: Sequence[Item]
) -> tuple[dict[str, Any], ...]:
    """Chat messages without what ``deleted`` items of the ``output`` say. Of several choices each has its message."""
    calls = {item.get("call_id") for item in deleted} - {None}
    names = {name for item in deleted for name in _FIELDS.get(str(item.get("type")), ())}
    texts = [item in deleted for item in output if item.get("type") == "message"]
    messages, number = list[dict[str, Any]](), 0
    for message in answer:
        kept = {name: value for name, value in message.items() if name not in names}
        if message.get("content"):
            if texts and (all(texts) or (number < len(texts) and texts[number])):
                kept["content"] = None
            number += 1
        if calls and kept.get("tool_calls"):
            kept["tool_calls"] = [call for call in kept["tool_calls"] if call.get("id") not in calls]
            if not kept["tool_calls"]:
                del kept["tool_calls"]
        messages.append(kept)
    return tuple(messages)
