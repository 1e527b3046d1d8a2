"""Items that were deleted from a conversation object: what its turns are without them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from .ids import item_place_of
from .turns import Turn

Item = dict[str, Any]

# Fields of an answer that go with a deleted output item of a kind.
_FIELDS: Mapping[str, tuple[str, ...]] = {
    "reasoning": ("reasoning_content", "reasoning_details", "thinking_blocks"),
    "image_generation_call": ("images",),
}


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
    places = filter(None, map(item_place_of, gone))
    numbers = {place.number for place in places if place.is_input}
    if numbers:
        kept = [item for number, item in enumerate(said_items(turn.items)) if number not in numbers]
        turn = replace(turn, input=kept)
    reply = turn.shown
    output = list((reply or {}).get("output") or ())
    deleted = [item for item in output if item.get("id") in gone]
    if not deleted:
        return turn
    kept = [item for item in output if item.get("id") not in gone]
    return replace(turn, reply={**(reply or {}), "output": kept}, answer=_answer_without(turn.answer, output, deleted))


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
