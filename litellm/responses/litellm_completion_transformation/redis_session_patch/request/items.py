"""Turns as items of the Responses API, and a conversation of them as a provider with such an endpoint takes it.

The rules and their sources are in ``docs/what-a-model-gets.md``.
"""

import hashlib
import json
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count, pairwise
from typing import Any

from ..values.ids import item_place_of
from ..values.turns import Turn
from .fitting import NO_RESULT, ORPHAN
from .target import SIGNATURE

Item = dict[str, Any]

LONGEST_ID = 64

# The fields that every provider takes; others, ids among them, mean something to whoever gave them alone.
_FIELDS: Mapping[str, tuple[str, ...]] = {
    "message": ("role", "content", "phase"),
    "function_call": ("call_id", "name", "arguments", "namespace"),
    "custom_tool_call": ("call_id", "name", "input", "namespace"),
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
# What a client answers to calls of tools that it runs and that are no functions; and where the call's id stands.
_ANSWERS = {
    "apply_patch_call_output": "call_id",
    "computer_call_output": "call_id",
    "local_shell_call_output": "call_id",
    "mcp_approval_response": "approval_request_id",
    "shell_call_output": "call_id",
}
_ROLES = ("user", "system", "developer", "assistant")
# What means something to the account alone that gave it.
_OWN = ("reasoning", "compaction", "item_reference")


def referred_to(item: Any) -> str | None:
    """The id of the item that ``item`` refers to; ``None``: it is no reference."""
    is_reference = isinstance(item, Mapping) and item.keys() <= {"type", "id"}
    is_reference = is_reference and item.get("type") in (None, "item_reference")
    return item["id"] if is_reference and isinstance(item.get("id"), str) else None


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


def for_every_maker(items: Iterable[Item]) -> list[Item]:
    """Output items without what is their maker's own: reasoning, and traces of tools that the provider runs.

    A refusal is a text: upstream's transformation leaves it out.
    """
    kept = [item for item in items if _kind(item) in _FIELDS]
    contents = (item.get("content") for item in kept)
    return [
        {**item, "content": list(map(_as_text, content))} if isinstance(content, list) else item
        for item, content in zip(kept, contents, strict=True)
    ]


def _as_text(part: Any) -> Any:
    is_refusal = isinstance(part, dict) and part.get("type") == "refusal"
    return {"type": "output_text", "text": part.get("refusal") or "", "annotations": []} if is_refusal else part


@dataclass(frozen=True)
class _Said:
    """``is_sent``: the provider does not hold it. ``is_answer``: a model said it, so that it is no repetition."""

    item: Item
    is_sent: bool
    is_answer: bool = False


def fit_items(turns: Sequence[Turn], new: Sequence[Item], account: str | None, start: int) -> list[Item]:
    """The items of ``turns`` from the ``start``-th on, then the ``new`` ones, as a provider takes them.

    Each call has a result, each result a call, and each stands once. Reasoning goes to the ``account`` that it is from.
    Raises Unreadable.
    """
    answered = _answered_by_client(chain(*(input_items(turn.items) for turn in turns), new))
    said: list[_Said] = []
    for number, turn in enumerate(turns):
        is_own, is_sent = account is not None and turn.account == account, number >= start
        said += [_Said(item, is_sent) for item in _of_client(input_items(turn.items), is_own)]
        if number == start - 1:  # What it was asked with had all results; these may come later, or never.
            answers = [item.get("call_id") for item in answered_items(turn) if _kind(item) in _CALLS]
        answer = _of_model(answered_items(turn), is_own, answered)
        said += [_Said(item, is_sent, is_answer=True) for item in answer]
    waiting = {_call_id(call_id) for call_id in answers} if start else set()
    return _paired([*said, *(_Said(item, True) for item in fit_new(new))], waiting)


def fit_new(items: Iterable[Item]) -> list[Item]:
    """Of a request's own input. What no rule is known for goes as it is; of ours, what another maker can read."""
    kinds = [(item, _kind(item)) for item in items]
    return [
        _plain(item, kind) if kind in _FIELDS else item
        for item, kind in kinds
        if kind not in _OWN or item_place_of(str(item.get("id"))) is None
    ]


def _of_client(items: Iterable[Item], is_own: bool) -> list[Item]:
    """Of what a client said before."""
    kept: list[Item] = []
    for item in items:
        kind = _kind(item)
        if kind in _FIELDS:
            kept.append(_plain(item, kind))
        elif kind == "reasoning":
            kept += _thoughts(item, is_own)
        elif kind not in _OWN or (is_own and kind == "compaction"):
            kept.append(item)
    return kept


def _of_model(items: Iterable[Item], is_own: bool, answered: Container[str]) -> list[Item]:
    """Of an answer. ``is_own``: the account that is asked made it, so that it can read its own reasoning.
    ``answered``: calls of tools that the client runs, those of a shell or a computer, too.
    """
    kept: list[Item] = []
    for item in items:
        kind = _kind(item)
        if kind in _FIELDS:
            plain = _plain(item, kind)
            if kind != "message" or plain["content"]:
                kept.append(plain)
        elif kind == "reasoning":
            kept += _thoughts(item, is_own)
        elif str(item.get("call_id", item.get("id"))) in answered:
            kept.append(item)
    # Reasoning without what it led to is refused.
    ends = [*kept, {"type": "reasoning"}]
    return [item for item, after in pairwise(ends) if not item["type"] == after["type"] == "reasoning"]


def _thoughts(item: Item, is_own: bool) -> list[Item]:
    """Reasoning that can be read without the response that it is of."""
    if not is_own or not item.get("encrypted_content"):
        return []
    return [{name: item.get(name) or [] for name in ("type", "summary", "encrypted_content")}]


def _answered_by_client(items: Iterable[Item]) -> set[str]:
    """Calls of tools that are no functions of the client's, and requests for its approval, by their ids."""
    ids = (item.get(_ANSWERS[kind]) for item in items if (kind := _kind(item)) in _ANSWERS)
    return {call_id for call_id in ids if isinstance(call_id, str)}


def _kind(item: Item) -> str:
    kind = item.get("type")
    if referred_to(item) is not None:
        return "item_reference"
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
            fields = url if isinstance(url, dict) else {"url": url}
            image = {"type": "input_image", "image_url": fields.get("url")}
            parts.append(image | ({"detail": fields["detail"]} if fields.get("detail") else {}))
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


def _paired(said: Sequence[_Said], waiting: Container[str]) -> list[Item]:
    """What is sent: each call once and with a result, each result behind its call.

    ``waiting``: calls that the provider holds and awaits results for.
    """
    sent: list[Item] = []
    called: dict[str, Item] = {}  # by a call's id as it was said
    awaited: dict[str, tuple[Item, bool]] = {}  # the same, without a result so far, and whether it is sent
    used = set[str]()
    for each in said:
        item, kind = each.item, each.item.get("type")
        if kind in _CALLS:
            before = called.get(item["call_id"])
            if before is not None and not each.is_answer and _is_same_call(before, item):
                continue
            called[item["call_id"]] = item
            said_id, item = item["call_id"], {**item, "call_id": _unused(item["call_id"], used)}
            awaited[said_id] = item, each.is_sent
            if each.is_sent:  # What the provider holds has the ids that it has there.
                used.add(item["call_id"])
        elif kind in _RESULTS:
            call, _ = awaited.pop(item["call_id"], (None, False))
            if call is None and item["call_id"] in called:
                continue
            item = _orphan(item) if call is None else {**item, "call_id": call["call_id"]}
        if each.is_sent:
            sent.append(item)
    held = [call for said_id, (call, is_sent) in awaited.items() if not is_sent and said_id in waiting]
    return [*map(_no_result, held), *_with_results(sent)]


def _with_results(items: Sequence[Item]) -> list[Item]:
    answered = {item["call_id"] for item in items if item.get("type") in _RESULTS}
    sent: list[Item] = []
    for item in items:
        sent.append(item)
        if item.get("type") in _CALLS and item["call_id"] not in answered:
            sent.append(_no_result(item))
    return sent


def _no_result(call: Item) -> Item:
    return {"type": f"{call['type']}_output", "call_id": call["call_id"], "output": NO_RESULT}


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
