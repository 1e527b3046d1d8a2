"""Cerebras and Fireworks, whose schemas are closed, and Ollama."""

from __future__ import annotations

import json
from collections.abc import Iterator

from ..rules import Fault, Maker, Rule, Sent
from .shapes import calls_in, calls_of, function_of, messages_of, unknown_fields

GITHUB = "https://github.com"
NAMED = ("role", "content", "name")
IN_CEREBRAS = {
    "system": NAMED,
    "user": NAMED,
    "assistant": (*NAMED, "reasoning", "tool_calls"),
    "tool": (*NAMED, "tool_call_id"),
}
IN_FIREWORKS = dict.fromkeys(
    ("system", "user", "assistant", "tool"), (*NAMED, "reasoning_content", "tool_calls", "tool_call_id")
)
IN_FIREWORKS_CALL = ("id", "type", "function", "index")


def cerebras_fields(sent: Sent) -> Iterator[Fault]:
    """All of them in one error, a line each."""
    found = [
        f"messages.{number}.{role}.{path[0]}: property 'messages.{number}.{role}.{path[0]}' is unsupported"
        for number, role, path, _ in unknown_fields(sent, IN_CEREBRAS)
    ]
    if found:
        yield Fault("\n".join(found), param="validation_error", code="wrong_api_format")


def fireworks_fields(sent: Sent) -> Iterator[Fault]:
    for number, _, path, value in unknown_fields(sent, IN_FIREWORKS, IN_FIREWORKS_CALL):
        field = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
        yield Fault(f"Extra inputs are not permitted, field: 'messages[{number}]{field}', value: {value!r}")


def ollama_no_messages(sent: Sent) -> Iterator[Fault]:
    if not sent.body.get("messages"):
        yield Fault("[] is too short - 'messages'")


def ollama_contentless(sent: Sent) -> Iterator[Fault]:
    for _, message in messages_of(sent):
        if message.get("content") is None and not calls_of(message):
            yield Fault("invalid message content type: <nil>")


def ollama_arguments(sent: Sent) -> Iterator[Fault]:
    for _, _, call in calls_in(sent):
        if not is_object(function_of(call).get("arguments")):
            yield Fault("invalid tool call arguments")


def is_object(text: object) -> bool:
    try:
        return isinstance(json.loads(str(text)), dict)
    except ValueError:
        return False


def kind_of(fault: Fault) -> str:
    return "invalid_request_error" if fault.status < 500 else "api_error"


def cerebras_body(fault: Fault) -> dict:
    """Without an object `error` around it."""
    return {"message": fault.message, "type": kind_of(fault), "param": fault.param, "code": fault.code}


def fireworks_body(fault: Fault) -> dict:
    """Reports show the message alone; the rest is as OpenAI has it."""
    kind = kind_of(fault)
    return {"error": {"object": "error", "type": kind, "code": kind, "message": fault.message}}


def ollama_body(fault: Fault) -> dict:
    return {"error": {"message": fault.message, "type": kind_of(fault), "param": None, "code": None}}


OLLAMA_SOURCE = f"{GITHUB}/ollama/ollama/blob/main/openai/openai.go"

CEREBRAS = Maker(
    "cerebras",
    (Rule("cerebras-field", f"{GITHUB}/Kilo-Org/kilocode/issues/10375", cerebras_fields),),
    cerebras_body,
)
FIREWORKS = Maker(
    "fireworks",
    (Rule("fireworks-field", f"{GITHUB}/earendil-works/pi/issues/4514", fireworks_fields),),
    fireworks_body,
)
OLLAMA = Maker(
    "ollama",
    (
        Rule("ollama-no-messages", f"{GITHUB}/ollama/ollama/blob/main/middleware/openai.go", ollama_no_messages),
        Rule("ollama-contentless", f"{GITHUB}/pydantic/pydantic-ai/issues/5206", ollama_contentless),
        Rule("ollama-arguments", OLLAMA_SOURCE, ollama_arguments),
    ),
    ollama_body,
)
