"""Stored turns as the messages that the bridge sends: the pure part of serving a conversation."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..values.turns import Turn

Message = dict[str, Any]

# Claude's summaries of what came before. In rows they are for upstream: it makes text of them for other makers.
_SUMMARIES = "compaction_blocks"

_MAKERS_OWN = ("thinking_blocks", "provider_specific_fields")

# Responses items that carry a tool call of their own, as upstream's transformation reads them.
_CALL_ITEMS = ("function_call", "custom_tool_call")


def answer_messages(choices: Iterable[Any]) -> tuple[Message, ...]:
    """The chat messages of a provider's answer: every field that has a value, so nothing a follow-up needs is lost."""
    return tuple(answer_message(choice.message) for choice in choices if getattr(choice, "message", None) is not None)


def history_messages(
    turns: Sequence[Turn], to_messages: Callable[[Any], list[Any]], *, maker: str | None, with_instructions: bool
) -> list[Any]:
    """Chat messages of ``turns``, oldest first, for a model of ``maker``.

    ``to_messages`` is upstream's transformation of a client's input. ``with_instructions``: each turn's
    instructions stand before its input, as releases before 1.100 replay them.
    """
    messages: list[Any] = []
    for turn in turns:
        if with_instructions and turn.instructions:
            messages.append({"role": "system", "content": turn.instructions})
        messages += to_messages(turn.items)
        messages += _answer_for(turn, maker)
    return messages


def spend_log_rows(turns: Sequence[Turn], session_id: str | None, maker: str | None) -> tuple[dict[str, Any], ...]:
    """``turns`` as the rows of ``LiteLLM_SpendLogs`` that upstream would read, as far as it reads them."""
    return tuple(
        {
            "request_id": f"{session_id}-{number}",
            "session_id": session_id,
            "call_type": "aresponses",
            "status": "success",
            "proxy_server_request": {"input": turn.items, "instructions": turn.instructions},
            "response": {"choices": [{"index": 0, "message": message} for message in _row_answer(turn, maker)]},
        }
        for number, turn in enumerate(turns)
    )


def latest(turns: Sequence[Turn], name: str) -> str | None:
    """The last text that a turn has as this attribute."""
    return next((text for turn in reversed(turns) if (text := getattr(turn, name))), None)


def calls_put_back(messages: Sequence[Any], request_input: Any) -> tuple[dict[str, Any], ...]:
    """The calls, as items of an input, that upstream put before their results from its in-process cache."""
    items = input_items(request_input)
    sent = {_call_id(item) for item in items if item.get("type") in _CALL_ITEMS}
    wanted = {_call_id(item) for item in items if str(item.get("type")).endswith("_output")} - sent
    calls = [call for message in messages for call in _field(message, "tool_calls") or ()] if wanted else ()
    found = {_field(call, "id"): _field(call, "function") for call in calls}
    return tuple(
        {"type": "function_call", "call_id": call_id, **{name: _field(called, name) for name in ("name", "arguments")}}
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
    return [call_id for call in _field(message, "tool_calls") or () if isinstance(call_id := _field(call, "id"), str)]


def _call_id(item: dict[str, Any]) -> str | None:
    call_id = item.get("call_id") or item.get("id")
    return call_id if isinstance(call_id, str) else None  # A client may send anything.


def answer_message(message: Any) -> Message:
    """A message of LiteLLM's, or a dictionary, as one: fields without a value say nothing."""
    fields = message if isinstance(message, dict) else message.model_dump(exclude_none=True)
    # Strict providers refuse fields that they do not know.
    kept = {name: value for name, value in fields.items() if value not in (None, [], {})}
    extra = kept.pop("provider_specific_fields", None) or {}
    # Up to 1.10x a field may stand here and beside it too.
    if extra := {name: value for name, value in extra.items() if value is not None and kept.get(name) != value}:
        kept["provider_specific_fields"] = extra
    if kept.get("tool_calls") and not kept.get("content"):
        kept.pop("content", None)  # Streams say "" here; Anthropic refuses empty text.
    return {"role": "assistant", "content": None, **kept}


def _answer_for(turn: Turn, maker: str | None) -> list[Message]:
    return [message if turn.maker == maker else _for_another_maker(message) for message in turn.answer]


def _row_answer(turn: Turn, maker: str | None) -> list[Message]:
    return [
        {**sent, "provider_specific_fields": {_SUMMARIES: summaries}}
        if turn.maker != maker and (summaries := _field(_field(kept, "provider_specific_fields") or {}, _SUMMARIES))
        else sent
        for sent, kept in zip(_answer_for(turn, maker), turn.answer, strict=True)
    ]


def _for_another_maker(value: Any) -> Any:
    """A message, its calls and their functions without what only its maker's models understand."""
    if isinstance(value, list):
        return [_for_another_maker(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name: _for_another_maker(each) if name in ("tool_calls", "function") else each
        for name, each in value.items()
        if name not in _MAKERS_OWN
    }


def input_items(request_input: Any) -> list[dict[str, Any]]:
    if isinstance(request_input, str):
        return [{"role": "user", "content": request_input}]
    return [item for item in request_input or () if isinstance(item, dict)]


def _field(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else getattr(value, name, None)
