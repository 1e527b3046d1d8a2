"""A conversation's turns as what was said in it, and what of a request is new."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..values.turns import Turn
from .fitting import Said
from .items import answered_items, for_every_maker, input_items
from .sendable import answer_for, summary_of, with_input_fields
from .target import Target

Message = dict[str, Any]

_INSTRUCTING = ("system", "developer")

# An item that gives tools, as Codex does; from 1.106 on upstream takes it out and gives its tools to the request.
ADDITIONAL_TOOLS = "additional_tools"

# Responses items that carry a tool call of their own, as upstream's transformation reads them.
_CALL_ITEMS = ("function_call", "custom_tool_call")


def answer_messages(choices: Iterable[Any]) -> tuple[Message, ...]:
    """The chat messages of a provider's answer: every field that has a value, so nothing a follow-up needs is lost."""
    return tuple(answer_message(choice.message) for choice in choices if getattr(choice, "message", None) is not None)


def said_in(
    turns: Sequence[Turn], to_messages: Callable[[Any], list[Any]], target: Target, *, is_summarized: bool = False
) -> list[Said]:
    """What was said in ``turns``, oldest first, for ``target``; of what a summary stands for, instructions alone.

    ``to_messages``: upstream's transformation of a client's input. ``is_summarized``: by what the client says next,
    which may still hold results of the last answer's calls.
    """
    if is_summarized:
        is_called = any(map(call_ids, turns[-1].answer)) if turns else False
        first_input, first_answer = len(turns), len(turns) - is_called
    else:
        first_input, first_answer = _start(turns, to_messages)
    said: list[Said] = []
    for number, turn in enumerate(turns):
        messages = to_messages(turn.items)
        if number < first_input:
            messages = [message for message in messages if field_of(message, "role") in _INSTRUCTING]
        said += [(message, number) for message in messages]
        if number >= first_answer and turn.account is not None:
            messages = to_messages(for_every_maker(answered_items(turn)))
            said += [(with_input_fields(message, target), None) for message in messages]
        elif number >= first_answer:
            said += [(message, None) for message in answer_for(turn.answer, turn.maker, target)]
    return said


def _start(turns: Sequence[Turn], to_messages: Callable[[Any], list[Any]]) -> tuple[int, int]:
    """The turn whose input is the first to be sent, and the one whose answer is: from the newest summary on."""
    for number in reversed(range(len(turns))):
        if summary_of(turns[number].answer):
            return number + 1, number
        summaries = [item for item in input_items(turns[number].items) if item.get("type") == "compaction"]
        if any(map(to_messages, ([item] for item in summaries))):  # Older releases cannot read them.
            return number, number
    return 0, 0


def latest(turns: Sequence[Turn], name: str) -> str | None:
    """The last text that a turn has as this attribute."""
    return next((text for turn in reversed(turns) if (text := getattr(turn, name))), None)


def calls_put_back(messages: Sequence[Any], request_input: Any) -> tuple[dict[str, Any], ...]:
    """The calls, as items of an input, that upstream put before their results from its in-process cache."""
    items = input_items(request_input)
    sent = {_call_id(item) for item in items if item.get("type") in _CALL_ITEMS}
    wanted = {_call_id(item) for item in items if str(item.get("type")).endswith("_output")} - sent
    calls = [call for message in messages for call in field_of(message, "tool_calls") or ()] if wanted else ()
    found = {field_of(call, "id"): field_of(call, "function") for call in calls}
    return tuple(
        {
            "type": "function_call",
            "call_id": call_id,
            **{name: field_of(called, name) for name in ("name", "arguments")},
        }
        for call_id, called in found.items()
        if call_id in wanted
    )


def results_of(answer: Sequence[Message], request_input: Any) -> list[dict[str, Any]] | None:
    """The results in an input that says the calls of ``answer`` again, as upstream's own MCP round trip does; else
    ``None``.
    """
    items, calls = input_items(request_input), {call_id for message in answer for call_id in call_ids(message)}
    if not calls or not calls <= {_call_id(item) for item in items if item.get("type") in _CALL_ITEMS}:
        return None
    return [item for item in items if item.get("type") not in _CALL_ITEMS and _call_id(item) in calls]


def call_ids(message: Any) -> list[str]:
    return [
        call_id for call in field_of(message, "tool_calls") or () if isinstance(call_id := field_of(call, "id"), str)
    ]


def _call_id(item: dict[str, Any]) -> str | None:
    call_id = item.get("call_id") or item.get("id")
    return call_id if isinstance(call_id, str) else None  # A client may send anything.


def answer_message(message: Any) -> Message:
    """A message of LiteLLM's, or a dictionary, as one: fields without a value say nothing."""
    fields = message if isinstance(message, dict) else message.model_dump(exclude_none=True)
    kept = {name: value for name, value in fields.items() if value not in (None, [], {})}
    extra = kept.pop("provider_specific_fields", None) or {}
    # Up to 1.10x a field may stand here and beside it too.
    if extra := {name: value for name, value in extra.items() if value is not None and kept.get(name) != value}:
        kept["provider_specific_fields"] = extra
    return {"role": "assistant", "content": None, **kept}


def field_of(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else getattr(value, name, None)
