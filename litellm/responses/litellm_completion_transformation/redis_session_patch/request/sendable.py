"""A message by what of it is input to a model: pure, and nothing of what is stored changes."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .target import HOSTED, HOSTED_RESULTS, OPEN_CALLS, SAYING, Target

Message = dict[str, Any]

INVALID_ARGUMENTS = "invalid_json"


def answer_for(answer: Sequence[Message], made_by: str | None, target: Target) -> list[Message]:
    """The messages that stand for an answer of ``made_by``'s model: one, or none where it said nothing.

    ``answer``: a chat message for each choice; or a history that the database gave. A summary of Claude's is a user's
    text where it cannot be sent as such.
    """
    if len(answer) == 1 and _is_text_alone(answer[0]):  # as most are
        return [answer[0]]
    if any(message.get("role") != "assistant" for message in answer):  # A history that the database gave.
        return [
            sent
            for message in answer
            for sent in (
                answer_for((message,), made_by, target)
                if message["role"] == "assistant"
                else (with_input_fields(message, target),)
            )
        ]
    is_own = made_by is not None and made_by == target.maker
    sent = [_input_of(message, target if is_own else Target(None, target.provider)) for message in answer]
    texts = [message["content"] for message in sent if message.get("content")]
    calls = [call for message in sent for call in message.get("tool_calls") or ()]
    said: Message = {"role": "assistant", "content": _joined(texts)}
    for message in sent:
        said = _with_both(said, {name: message[name] for name in message if name not in ("content", "tool_calls")})
    if calls:
        said["tool_calls"] = calls
    summary = None if is_own and target.compacts else summary_of(answer)
    return [*([{"role": "user", "content": summary}] if summary else ()), *([said] if says_something(said) else ())]


def summary_of(answer: Iterable[Message]) -> str | None:
    """The text of the newest of Claude's summaries of what came before."""
    blocks = [
        block
        for message in answer
        for block in (message.get("provider_specific_fields") or {}).get("compaction_blocks") or ()
    ]
    return next(
        (block["content"] for block in reversed(blocks) if isinstance(block, dict) and block.get("content")), None
    )


def _input_of(message: Message, target: Target) -> Message:
    """An assistant's message, by the fields that are input to ``target``."""
    if _is_text_alone(message):
        return message
    specific = message.get("provider_specific_fields") or {}
    said: Message = {"role": "assistant", "content": _content(message, specific)}
    said |= {name: message[name] for name in ("cache_control", *sorted(target.own)) if message.get(name)}
    if "thinking_blocks" in said:
        said["thinking_blocks"] = [block for block in said["thinking_blocks"] if _is_signed(block)]
    answered = _hosted_with_results(specific) if "tool_results" in target.own_specific else set()
    calls = [_call(call, target) for call in message.get("tool_calls") or ()]
    calls = [call for call in calls if not call["id"].startswith(HOSTED) or call["id"] in answered]
    if kept := {name: specific[name] for name in sorted(target.own_specific) if specific.get(name)}:
        said["provider_specific_fields"] = kept
    return {name: value for name, value in (*said.items(), ("tool_calls", calls)) if value or name == "content"}


def without_open_calls(message: Message) -> Message:
    """``message`` without calls of Claude's own tools that have no result in it."""
    specific = message.get("provider_specific_fields") or {}
    if not (calls := specific.get(OPEN_CALLS)):
        return message
    answered = _hosted_with_results(specific)
    kept = [each for each in calls if isinstance(each, dict) and each.get("id") in answered]
    specific = {name: value for name, value in specific.items() if name != OPEN_CALLS}
    return {**message, "provider_specific_fields": specific | ({OPEN_CALLS: kept} if kept else {})}


def _hosted_with_results(specific: Mapping[str, Any]) -> set[Any]:
    """The ids of calls."""
    results = [each for name in HOSTED_RESULTS for each in specific.get(name) or ()]
    return {each.get("tool_use_id") for each in results if isinstance(each, dict)}


def _is_text_alone(message: Message) -> bool:
    content = message.get("content")
    is_said = message.get("role") == "assistant" and isinstance(content, str) and bool(content.strip())
    return is_said and message.keys() <= {"role", "content"}


def _with_both(one: Message, other: Mapping[str, Any]) -> Message:
    """The fields of two choices; of those that both have, lists follow each other."""
    both = {**one, **other}
    for name in one.keys() & other.keys():
        if isinstance(one[name], list) and isinstance(other[name], list):
            both[name] = [*one[name], *other[name]]
        elif isinstance(one[name], dict) and isinstance(other[name], dict):
            both[name] = _with_both(one[name], other[name])
    return both


def _content(message: Message, specific: Mapping[str, Any]) -> Any:
    """The text that an answer says, or its refusal; ``None`` where it is blank."""
    content = message.get("content")
    parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
    if any(
        not isinstance(part, dict) or part.get("type") != "text" or str(part.get("text") or "").strip()
        for part in parts
    ):
        return content
    return message.get("refusal") or specific.get("refusal")


def _is_signed(block: Any) -> bool:
    return isinstance(block, dict) and bool(block.get("signature") or block.get("data"))


def _call(call: Any, target: Target) -> Message:
    fields = _plain(call)
    function = _plain(fields.get("function") or {})
    named: Message = {"name": function.get("name") or "", "arguments": _object(function.get("arguments"))}
    said: Message = {"id": fields.get("id") or "", "type": "function", "function": named}
    if fields.get("cache_control"):
        said["cache_control"] = fields["cache_control"]
    if target.maker == "gemini":
        for given, kept in ((fields, said), (function, named)):
            if given.get("provider_specific_fields"):
                kept["provider_specific_fields"] = given["provider_specific_fields"]
    return said


def _object(arguments: Any) -> str:
    """``arguments`` as they are, where they are the text of a JSON object; else an object that shows them."""
    if isinstance(arguments, dict):
        return json.dumps(arguments)
    text = "" if arguments is None else str(arguments)
    if not text.strip():
        return "{}"
    try:
        if isinstance(json.loads(text, parse_constant=int), dict):  # ``int`` raises: JSON has no NaN.
            return text
    except (ValueError, RecursionError):
        pass
    return json.dumps({INVALID_ARGUMENTS: text}, ensure_ascii=False)


def says_something(message: Message) -> bool:
    """Whether an assistant's message has more than its thoughts and what belongs to others."""
    specific = message.get("provider_specific_fields") or {}
    return any(message.get(name) for name in ("content", "tool_calls", "images")) or any(map(specific.get, SAYING))


def with_input_fields(message: Any, target: Target) -> Message:
    """Only an assistant's message has calls."""
    fields = _plain(message)
    if fields.get("role") == "assistant":
        return _input_of(fields, target)
    fields.pop("tool_calls", None)
    return fields


def _plain(value: Any) -> Message:
    return dict(value) if isinstance(value, Mapping) else value.model_dump(exclude_none=True)


def _joined(texts: Sequence[Any]) -> Any:
    """The texts of several choices as one."""
    if len(texts) < 2:
        return texts[0] if texts else None
    return "\n\n".join(text_of(text) for text in texts)


def text_of(content: Any) -> str:
    if isinstance(content, list):
        return "".join(part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str))
    return content if isinstance(content, str) else ""
