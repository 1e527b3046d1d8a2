"""Turns as items of the Responses API, and a conversation of them as a provider with such an endpoint takes it.

The rules and their sources are in ``docs/what-a-model-gets.md``.
"""

import hashlib
import json
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, pairwise
from typing import Any

from ..values.turns import Turn
from .fitting import NO_RESULT, ORPHAN
from .target import SIGNATURE

Item = dict[str, Any]

LONGEST_ID = 64

# The fields that every provider takes; others, ids among them, mean something to whoever gave them alone.
_FIELDS: Mapping[str, tuple[str, ...]] = {
    "message": ("role", "content"),
    "function_call": ("call_id", "name", "arguments"),
    "custom_tool_call": ("call_id", "name", "input"),
    "function_call_output": ("call_id", "output"),
    "custom_tool_call_output": ("call_id", "output"),
}
_PART_FIELDS: Mapping[str, tuple[str, ...]] = {
    "input_text": ("type", "text"),
    "output_text": ("type", "text"),
    "refusal": ("type", "refusal"),
    "input_image": ("type", "image_url", "file_id", "detail"),
}
_CALLS = ("function_call", "custom_tool_call")
_RESULTS = ("function_call_output", "custom_tool_call_output")
_ROLES = ("user", "system", "developer", "assistant")
# What means something to the account alone that gave it.
_OWN = ("reasoning", "compaction", "item_reference")


def input_items(request_input: Any) -> list[Item]:
    if isinstance(request_input, str):
        return [{"role": "user", "content": request_input}]
    return [item for item in request_input or () if isinstance(item, dict)]


def answered_items(turn: Turn) -> list[Item]:
    """What the client was given; where that is not known, as of turns out of the database, what the model said.

    Raises Unreadable.
    """
    if (reply := turn.shown) is not None:
        return list(reply.get("output") or ())
    items: list[Item] = []
    for message in turn.answer:
        content = message.get("content")
        if message["role"] == "tool":
            call_id = message.get("tool_call_id")
            items.append({"type": "function_call_output", "call_id": call_id, "output": content})
        elif content:
            items.append({"type": "message", "role": message["role"], "content": content})
        for call in message.get("tool_calls") or ():
            function = call["function"]
            called = {"name": function.get("name"), "arguments": function.get("arguments")}
            items.append({"type": "function_call", "call_id": call.get("id"), **called})
    return items


def is_for_every_maker(item: Item) -> bool:
    """Whether an output item is more than its maker's own: reasoning, and traces of tools that the provider runs."""
    return _kind(item) in _FIELDS


@dataclass(frozen=True)
class _Said:
    """``is_sent``: the provider does not hold it. ``is_answer``: a model said it, so that it is no repetition."""

    item: Item
    is_sent: bool
    is_answer: bool = False


def fit_items(turns: Sequence[Turn], new: Iterable[Item], account: str | None, start: int) -> list[Item]:
    """The items of ``turns`` from the ``start``-th on, then the ``new`` ones, as a provider takes them.

    Each call has a result, each result a call, and each stands once. Reasoning goes to the ``account`` that it is from.
    Raises Unreadable.
    """
    said: list[_Said] = []
    for number, turn in enumerate(turns):
        is_own, is_sent = account is not None and turn.account == account, number >= start
        said += [_Said(item, is_sent) for item in _said(input_items(turn.items), is_own)]
        said += [_Said(item, is_sent, is_answer=True) for item in _answered(answered_items(turn), is_own)]
    return _paired([*said, *(_Said(item, True) for item in _said(new, True))])


def _said(items: Iterable[Item], is_own: bool) -> list[Item]:
    """Of a client's input. What no rule is known for goes as it is."""
    kinds = [(item, _kind(item)) for item in items]
    return [_plain(item, kind) if kind in _FIELDS else item for item, kind in kinds if is_own or kind not in _OWN]


def _answered(items: Sequence[Item], is_own: bool) -> list[Item]:
    """Of an answer. ``is_own``: the account that is asked made it, so that it can read its own reasoning."""
    kept: list[Item] = []
    for item in items:
        kind = _kind(item)
        if kind in _FIELDS:
            plain = _plain(item, kind)
            if kind != "message" or plain["content"]:
                kept.append(plain)
        elif kind == "reasoning" and is_own and item.get("encrypted_content"):
            kept.append({name: item.get(name) or [] for name in ("type", "summary", "encrypted_content")})
    # Reasoning without what it led to is refused.
    ends = [*kept, {"type": "reasoning"}]
    return [item for item, after in pairwise(ends) if not item["type"] == after["type"] == "reasoning"]


def _kind(item: Item) -> str:
    kind = item.get("type")
    return kind if isinstance(kind, str) else "message"


def _plain(item: Item, kind: str) -> Item:
    plain = {"type": kind} | {name: item[name] for name in _FIELDS[kind] if item.get(name) is not None}
    if kind == "message":
        return plain | {"role": _role(plain), "content": _content(plain.get("content"), _role(plain))}
    plain["call_id"] = _call_id(plain.get("call_id"))
    for name in ("arguments", "input"):
        if name in plain and not isinstance(plain[name], str):
            plain[name] = json.dumps(plain[name])
    if kind.endswith("_output"):
        output = plain.get("output", "")
        plain["output"] = output if isinstance(output, str | list) else json.dumps(output)
    return plain


def _role(message: Item) -> str:
    return message["role"] if message.get("role") in _ROLES else "user"


def _content(content: Any, role: str) -> Any:
    """Parts by their own fields; a text's kind is that of who says it."""
    if not isinstance(content, list):
        return content if isinstance(content, str) else ""
    parts: list[Any] = []
    for part in content:
        if not isinstance(part, dict):
            parts.append(part)
            continue
        kind = part.get("type")
        if kind in ("text", "input_text", "output_text"):
            said = {"type": "output_text" if role == "assistant" else "input_text", "text": part.get("text") or ""}
            parts.append(said | ({"annotations": []} if role == "assistant" else {}))
        elif kind == "image_url":  # as a chat message has it, which the bridge takes too
            url = part.get("image_url")
            parts.append({"type": "input_image", "image_url": url.get("url") if isinstance(url, dict) else url})
        elif isinstance(kind, str) and kind in _PART_FIELDS:
            parts.append({name: part[name] for name in _PART_FIELDS[kind] if part.get(name) is not None})
        else:
            parts.append(part)
    return parts


def _call_id(call_id: Any) -> str:
    """Without what LiteLLM puts into an id, and no longer than a provider takes."""
    plain = SIGNATURE.sub("", call_id) if isinstance(call_id, str) else ""
    digest = hashlib.sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()
    return plain if len(plain) <= LONGEST_ID else f"call_{digest[:32]}"


def _paired(said: Sequence[_Said]) -> list[Item]:
    """What is sent: each call once and with a result, each result behind its call."""
    sent: list[Item] = []
    called: dict[str, Item] = {}  # by a call's id as it was said
    awaited: dict[str, Item] = {}  # the same, without a result so far
    used = set[str]()
    for each in said:
        item, kind = each.item, each.item.get("type")
        if kind in _CALLS:
            before = called.get(item["call_id"])
            if before is not None and not each.is_answer and _is_same_call(before, item):
                continue
            called[item["call_id"]] = item
            said_id, item = item["call_id"], {**item, "call_id": _unused(item["call_id"], used)}
            awaited[said_id] = item
            if each.is_sent:  # What the provider holds has the ids that it has there.
                used.add(item["call_id"])
        elif kind in _RESULTS:
            call = awaited.pop(item["call_id"], None)
            if call is None and item["call_id"] in called:
                continue
            item = _orphan(item) if call is None else {**item, "call_id": call["call_id"]}
        if each.is_sent:
            sent.append(item)
    return _with_results(sent)


def _with_results(items: Sequence[Item]) -> list[Item]:
    answered = {item["call_id"] for item in items if item.get("type") in _RESULTS}
    sent: list[Item] = []
    for item in items:
        sent.append(item)
        if item.get("type") in _CALLS and item["call_id"] not in answered:
            sent.append({"type": f"{item['type']}_output", "call_id": item["call_id"], "output": NO_RESULT})
    return sent


def _is_same_call(one: Item, other: Item) -> bool:
    return all(one.get(name) == other.get(name) for name in ("name", "arguments", "input"))


def _unused(call_id: str, used: Container[str]) -> str:
    """Some models number their calls anew in every answer."""
    names = (f"{call_id}_{number}" for number in count(2))
    return call_id if call_id not in used else next(name for name in names if name not in used)


def _orphan(result: Item) -> Item:
    output = result["output"]
    text, parts = ORPHAN.format(result["call_id"]), output if isinstance(output, list) else []
    if not parts:
        return {"type": "message", "role": "user", "content": text + output}
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}, *parts]}
