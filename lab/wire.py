"""One normal form for what a provider receives, whatever its wire format, to compare with a
recorded history.

`Recorded.conversation` is what a provider received, `conversation_from_chat(messages, format)` the
same form of OpenAI chat messages as that format can carry them. Equal tuples mean the provider saw
exactly that history.

What the form lets go, and why:
- runs of messages with the same role are one message (Anthropic and Gemini demand it);
  `merge=False` keeps them apart,
- blank texts (bridges put in or leave out empty content), the JSON spelling of arguments, the order
  of kinds inside one assistant message (OpenAI chat has none),
- ids of calls in formats that have none (Gemini),
- thinking and signatures, unless `thinking=True`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Call:
    name: str
    arguments: str  # canonical JSON
    id: str | None = None


@dataclass(frozen=True)
class Result:
    """A tool's result; `call_id` is None in formats without ids."""

    text: str
    call_id: str | None = None


@dataclass(frozen=True)
class Thinking:
    text: str
    signature: str | None = None


@dataclass(frozen=True)
class Message:
    role: str  # system, user, assistant, tool
    texts: tuple[str, ...] = ()
    images: tuple[str, ...] = ()  # data: or http(s): URLs
    calls: tuple[Call, ...] = ()
    results: tuple[Result, ...] = ()
    thinking: tuple[Thinking, ...] = field(default=())

    @property
    def text(self) -> str:
        return "\n".join(self.texts)

    @property
    def is_empty(self) -> bool:
        return not (self.texts or self.images or self.calls or self.results or self.thinking)


Conversation = tuple[Message, ...]

# What LiteLLM sends Anthropic in the place of empty text.
PLACEHOLDER = "[System: Empty message content"


def canonical_json(value: object) -> str:
    """Arguments as JSON text with sorted keys; text that is not JSON stays as it is."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return value
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def joined(left: Message, right: Message) -> Message:
    return Message(
        left.role,
        left.texts + right.texts,
        left.images + right.images,
        left.calls + right.calls,
        left.results + right.results,
        left.thinking + right.thinking,
    )


def tidy(messages: Iterable[Message], merge: bool = True, thinking: bool = False, ids: bool = True) -> Conversation:
    """Drop what does not count (see the module's text) and merge runs of one role."""
    kept: list[Message] = []
    for message in messages:
        message = replace(
            message,
            texts=tuple(text for text in message.texts if text.strip() and not text.startswith(PLACEHOLDER)),
            thinking=message.thinking if thinking else (),
        )
        if not ids:
            message = replace(
                message,
                calls=tuple(replace(call, id=None) for call in message.calls),
                results=tuple(replace(result, call_id=None) for result in message.results),
            )
        if message.is_empty:
            continue
        if merge and kept and kept[-1].role == message.role:
            kept[-1] = joined(kept[-1], message)
        else:
            kept.append(message)
    return tuple(kept)


def message_from_chat(message: dict) -> Message:
    """One OpenAI chat message, with the extra fields LiteLLM uses for thinking."""
    role = "system" if message.get("role") == "developer" else message.get("role", "")
    content = message.get("content")
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
    functions = [(call, call.get("function") or {}) for call in message.get("tool_calls") or ()]
    texts = tuple(block["text"] for block in blocks if "text" in block)
    images = tuple(
        block["image_url"] if isinstance(block["image_url"], str) else block["image_url"]["url"]
        for block in blocks
        if block.get("type") == "image_url"
    )
    if role == "tool":
        return Message("tool", images=images, results=(Result("".join(texts), message.get("tool_call_id")),))
    calls = tuple(
        Call(function.get("name", ""), canonical_json(function.get("arguments", "")), call.get("id"))
        for call, function in functions
    )
    thinking = tuple(
        Thinking(block.get("thinking") or block.get("data") or "", block.get("signature"))
        for block in message.get("thinking_blocks") or ()
    )
    if not thinking and message.get("reasoning_content"):
        thinking = (Thinking(message["reasoning_content"]),)
    return Message(role, texts, images, calls, thinking=thinking)


def conversation_from_chat(
    messages: Sequence[dict], format: str = "chat", merge: bool = True, thinking: bool = False
) -> Conversation:
    """The normal form that a provider of `format` (chat, anthropic, gemini, responses) should receive for
    `messages`.
    """
    parsed = [message_from_chat(message) for message in messages]
    if format in ("anthropic", "gemini"):
        parsed = [each for each in parsed if each.role == "system"] + [each for each in parsed if each.role != "system"]
    if format == "gemini":
        parsed = [
            replace(each, results=tuple(Result(canonical_result(one.text)) for one in each.results)) for each in parsed
        ]
    return tidy(parsed, merge=merge, thinking=thinking, ids=format != "gemini")


def canonical_result(text: str) -> str:
    """A tool's result as Gemini carries it: JSON objects travel as objects, so their spelling is
    lost.
    """
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return canonical_json(value) if isinstance(value, (dict, list)) else text


def asked_of(conversation: Conversation) -> str:
    """The texts after the model's last message: what the model is asked now."""
    asked: list[str] = []
    for message in conversation:
        if message.role == "assistant":
            asked.clear()
        elif message.role != "system":
            asked.extend(message.texts)
            asked.extend(result.text for result in message.results)
    return "\n".join(asked)
