"""Stored turns as the messages that the bridge sends: the pure part of serving a conversation."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from .conversation import Turn

Message = dict[str, Any]

# Claude's summaries of what came before. In rows they are for upstream: it makes text of them for other makers.
_SUMMARIES = "compaction_blocks"

# Responses items that carry a tool call of their own, as upstream's transformation reads them.
_CALL_ITEMS = ("function_call", "custom_tool_call")


def answer_messages(choices: Iterable[Any]) -> tuple[Message, ...]:
    """The chat messages of a provider's answer: every field that has a value, so nothing a follow-up needs is lost."""
    return tuple(answer_message(choice.message) for choice in choices if getattr(choice, "message", None) is not None)


def maker_of(model: str | None, provider: str | None) -> str | None:
    """Whose model it is: signatures and provider fields mean something to its models alone, wherever hosted."""
    return next((maker for maker in ("claude", "gemini") if maker in (model or "").lower()), provider)


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
        messages += to_messages(turn.input)
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
            "proxy_server_request": {"input": turn.input, "instructions": turn.instructions},
            "response": {"choices": [{"index": 0, "message": message} for message in _row_answer(turn, maker)]},
        }
        for number, turn in enumerate(turns)
    )


def latest_instructions(turns: Sequence[Turn]) -> str | None:
    return next((turn.instructions for turn in reversed(turns) if turn.instructions), None)


def without_repeated_calls(messages: Sequence[Any], request_input: Any, history: Sequence[Any]) -> list[Any]:
    """``messages`` less the tool calls that upstream put before their results from its in-process cache.

    Such a call is an assistant message with nothing but calls that ``history`` already holds and that the client
    did not send itself.
    """
    sent = {_call_id(item) for item in _items(request_input) if item.get("type") in _CALL_ITEMS}
    known = {call_id for message in history for call_id in call_ids(message)} - sent
    return [message for message in messages if not _only_repeats(message, known)]


def calls_put_back(messages: Sequence[Any], request_input: Any) -> tuple[dict[str, Any], ...]:
    """The calls, as items of an input, that upstream put before their results from its in-process cache."""
    items = _items(request_input)
    sent = {_call_id(item) for item in items if item.get("type") in _CALL_ITEMS}
    wanted = {item.get("call_id") for item in items if str(item.get("type")).endswith("_output")} - sent
    calls = [call for message in messages for call in _field(message, "tool_calls") or ()] if wanted else ()
    found = {_field(call, "id"): _field(call, "function") for call in calls}
    return tuple(
        {"type": "function_call", "call_id": call_id, **{name: _field(called, name) for name in ("name", "arguments")}}
        for call_id, called in found.items()
        if call_id in wanted
    )


def new_after_restating(turn: Turn, request_input: Any) -> list[dict[str, Any]] | None:
    """The items of a new input that says the whole of ``turn`` again, less what it repeats; else ``None``.

    Upstream's automatic MCP round trip continues a response so: with the turn's input, the tool calls of its answer
    without its reasoning, and the results, which alone are new.
    """
    old, new = _comparable(turn.input), _comparable(request_input)
    calls = {call_id for message in turn.answer for call_id in call_ids(message)}
    if not calls or new[: len(old)] != old:
        return None
    rest = _items(request_input)[len(old) :]
    # An answer of nothing but calls comes back with an empty text beside them.
    texts = {"", *(text for message in turn.answer if isinstance(text := message.get("content"), str))}
    if not calls <= {_call_id(item) for item in rest if item.get("type") in _CALL_ITEMS}:
        return None
    return [item for item in rest if not _is_of_answer(item, calls, texts)]


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


def _for_another_maker(message: Message) -> Message:
    kept = {
        name: value for name, value in message.items() if name not in ("thinking_blocks", "provider_specific_fields")
    }
    if kept.get("tool_calls"):
        kept["tool_calls"] = [_without_provider_fields(call) for call in kept["tool_calls"]]
    return kept


def _without_provider_fields(call: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in call.items() if name != "provider_specific_fields"}
    function = kept.get("function") or {}
    return {**kept, "function": {name: value for name, value in function.items() if name != "provider_specific_fields"}}


def _only_repeats(message: Any, known: set[str]) -> bool:
    calls = call_ids(message)
    return (
        bool(calls)
        and _field(message, "role") == "assistant"
        and not _field(message, "content")
        and all(call_id in known for call_id in calls)
    )


def _is_of_answer(item: dict[str, Any], calls: set[str], texts: set[str]) -> bool:
    if item.get("type") in _CALL_ITEMS:
        return _call_id(item) in calls
    # A text of the assistant's that is not the answer's is the client's own, and new.
    return item.get("type") == "reasoning" or (item.get("role") == "assistant" and _text_of(item) in texts)


def _text_of(item: dict[str, Any]) -> str:
    content = item.get("content")
    if isinstance(content, str):
        return content
    texts = [part.get("text") for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    return "".join(text for text in texts if isinstance(text, str))


def _comparable(request_input: Any) -> list[dict[str, Any]]:
    # The type of a message item may be left out.
    return [
        {name: value for name, value in item.items() if (name, value) != ("type", "message")}
        for item in _items(request_input)
    ]


def _items(request_input: Any) -> list[dict[str, Any]]:
    if isinstance(request_input, str):
        return [{"role": "user", "content": request_input}]
    return [item for item in request_input or () if isinstance(item, dict)]


def _field(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else getattr(value, name, None)
