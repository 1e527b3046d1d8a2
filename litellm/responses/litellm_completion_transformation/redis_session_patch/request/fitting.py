"""A whole conversation as a model's provider takes it: one pure pass over its messages."""

import copy
import hashlib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .sendable import Message, says_something, text_of, with_input_fields, without_open_calls
from .target import HOSTED, LONGEST_ID, MISTRALS_ID, MOST_MARKS, NO_MARKS, SIGNATURE, Target

NO_RESULT = "This call has no result."
FILLER = "OK."
ORPHAN = "Result of a tool call that is not in this conversation ({}): "

# A message, and which input of the client it is from, by its number; ``None``: it is of an answer, by ``answer_for``.
Said = tuple[Any, int | None]


def fit(said: Iterable[Said], target: Target) -> list[Message]:
    """A whole conversation as the target's provider takes it.

    Each call stands once, with its result right behind it; arguments are a JSON object; nothing is empty; ids and
    cache marks are as the provider wants them.
    """
    plain = [(message if origin is None else with_input_fields(message, target), origin) for message, origin in said]
    paired = _paired(
        [each for each in _settled(plain) if each[0].get("role") != "assistant" or says_something(each[0])]
    )
    return _within_marks(_in_order(_with_ids(paired, target), target), target)


def _settled(said: Sequence[tuple[Message, int | None]]) -> list[tuple[Message, int | None]]:
    """A call of a tool that Claude runs itself may wait for its result in the last answer alone; LiteLLM loses one that
    comes in the next.
    """
    last = max((number for number, (message, _) in enumerate(said) if message.get("role") == "assistant"), default=-1)
    return [
        (without_open_calls(message) if number < last else message, origin)
        for number, (message, origin) in enumerate(said)
    ]


def _paired(said: Iterable[tuple[Message, int | None]]) -> list[Message]:
    """Each call's result right behind it; what a client says again is left out."""
    paired: list[Message] = []
    awaited: dict[str, Message] = {}  # by a call's id, the message for its result
    known: dict[str, tuple[Any, int | None]] = {}  # by a call's id, the call and where it is from
    for message, origin in said:
        if message.get("role") == "tool":
            call_id = str(message.get("tool_call_id") or "")
            if call_id in awaited:
                answered = awaited.pop(call_id)
                answered.update(message, tool_call_id=answered["tool_call_id"])
            # Older releases hand calls of Claude's own tools out as a client's.
            elif call_id not in known or call_id.startswith(HOSTED):
                paired.append({"role": "user", "content": _orphan(call_id, message.get("content"))})
            continue
        if "tool_calls" not in message:
            paired.append(message)
            continue
        calls: dict[str, Message] = {}
        for call in message["tool_calls"]:
            before, called = known.get(call["id"]), [call["function"][name] for name in ("name", "arguments")]
            is_again = call["id"] in awaited or (before is not None and before[1] != origin and before[0] == called)
            if not call["id"]:
                made = f"unnamed_{len(paired)}_{len(calls)}"
                calls[made if "" in calls else ""] = {**call, "id": made}  # A result without an id is the first one's.
            elif not (is_again and origin is not None) and call["id"] not in calls:
                calls[call["id"]] = call
                known[call["id"]] = called, origin
        message = {name: value for name, value in message.items() if name != "tool_calls"}
        if calls:
            message["tool_calls"] = list(calls.values())
        if says_something(message):
            paired.append(message)
        for call_id, call in calls.items():
            if not call_id.startswith(HOSTED):
                awaited[call_id] = {"role": "tool", "tool_call_id": call["id"], "content": NO_RESULT}
                paired.append(awaited[call_id])
    return paired


def _orphan(call_id: str, content: Any) -> Any:
    """A result of an unknown call as a user's content."""
    text, parts = ORPHAN.format(call_id), content if isinstance(content, list) else []
    if all(isinstance(part, dict) and part.get("type") == "text" for part in parts):
        return text + text_of(content)
    return [{"type": "text", "text": text}, *parts]


def _with_ids(messages: Iterable[Message], target: Target) -> list[Message]:
    """Ids of calls as the provider takes them: in a conversation they change alike in a call and in its result."""
    sent: list[Message] = []
    used: dict[str, str] = {}
    new: dict[str, str] = {}
    for message in messages:
        if calls := message.get("tool_calls"):
            for call in calls:
                new[call["id"]] = _id_for(call["id"], used, target)
                used[new[call["id"]]] = call["id"]
            message = {**message, "tool_calls": [{**call, "id": new[call["id"]]} for call in calls]}
        elif message.get("role") == "tool":
            message = {**message, "tool_call_id": new.get(message["tool_call_id"], message["tool_call_id"])}
        sent.append(message)
    return sent


def _id_for(call_id: str, used: Mapping[str, str], target: Target) -> str:
    """``used``: of calls before it, what was sent and what was said; some models number their calls anew in every
    answer.
    """
    if target.maker == "gemini":
        return call_id
    plain = SIGNATURE.sub("", call_id)
    sent, numbers = _taken_by(plain, target), itertools.count(2)
    while sent in used and (used[sent] != call_id or target.wants_unique_ids):
        sent = _taken_by(f"{plain}_{next(numbers)}", target)
    return sent


def _taken_by(call_id: str, target: Target) -> str:
    if target.provider == "mistral":
        return call_id if MISTRALS_ID.fullmatch(call_id) else _digest(call_id)[:9]
    return f"call_{_digest(call_id)[:32]}" if len(call_id) > LONGEST_ID and target.maker != "claude" else call_id


def _digest(call_id: str) -> str:
    return hashlib.sha256(call_id.encode("utf-8", "surrogatepass")).hexdigest()


def _in_order(messages: Sequence[Message], target: Target) -> list[Message]:
    """Mistral wants an answer between a result and what the user says next, and takes a system's message behind a
    user's alone. Claude wants a user to begin, Gemini does so before a call: the beginning may have been deleted.
    """
    first = next((number for number, each in enumerate(messages) if each.get("role") not in ("system", "developer")), 0)
    is_answer = bool(messages) and messages[first].get("role") == "assistant"
    if is_answer and (target.maker == "claude" or (target.maker == "gemini" and messages[first].get("tool_calls"))):
        return [*messages[:first], {"role": "user", "content": FILLER}, *messages[first:]]
    if target.provider != "mistral":
        return list(messages)
    sent: list[Message] = []
    for message in messages:
        role, before = message.get("role"), sent[-1]["role"] if sent else "system"
        if before in ("assistant", "tool") and role in ("system", "developer"):
            message, role = {**message, "role": "user"}, "user"
        if before == "tool" and role == "user":
            sent.append({"role": "assistant", "content": FILLER})
        sent.append(message)
    return sent


def _within_marks(messages: Sequence[Message], target: Target) -> list[Message]:
    """The newest cache marks, as many as the maker allows."""
    most = 0 if target.provider in NO_MARKS else MOST_MARKS.get(target.maker or "")
    if most is None:
        return list(messages)
    left, kept = max(0, most - target.marks), list[Message]()
    for message in reversed(messages):
        marked = [each for each in _markable(message) if each.get("cache_control")]
        if len(marked) > left:
            message = _without_marks(message, len(marked) - left)
        left = max(0, left - len(marked))
        kept.append(message)
    return kept[::-1]


def _markable(message: Message) -> list[Message]:
    parts = message.get("content")
    return [
        message,
        *(part for part in (parts if isinstance(parts, list) else ()) if isinstance(part, dict)),
        *(message.get("tool_calls") or ()),
    ]


def _without_marks(message: Message, count: int) -> Message:
    """``message`` without its first ``count`` marks."""
    copied: Message = copy.deepcopy(message)
    for each in [each for each in _markable(copied) if each.get("cache_control")][:count]:
        del each["cache_control"]
    return copied
