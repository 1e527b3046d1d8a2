"""Groq: a closed schema."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..rules import Fault, Maker, Rule, Sent
from .shapes import messages_of, unknown_fields

NAMED = ("role", "content", "name")
IN_ROLE = {
    "system": NAMED,
    "developer": NAMED,
    "user": NAMED,
    "assistant": (*NAMED, "reasoning", "tool_calls", "function_call"),
    "tool": ("role", "content", "tool_call_id"),
}
REASONS = re.compile(r"gpt-oss|qwen|qwq|deepseek-r1|kimi-k2-thinking")


def for_role(number: int, role: object, what: str) -> Fault:
    return Fault(f"'messages.{number}' : for 'role:{role}' the following must be satisfied[{what}]")


def no_messages(sent: Sent) -> Iterator[Fault]:
    if not sent.body.get("messages"):
        yield Fault("'messages' : minimum number of items is 1")


def fields(sent: Sent) -> Iterator[Fault]:
    for number, role, path, _ in unknown_fields(sent, IN_ROLE):
        yield for_role(number, role, f"('messages.{number}' : property '{path[0]}' is unsupported)")


def missing_call_id(sent: Sent) -> Iterator[Fault]:
    for number, message in messages_of(sent):
        if message.get("role") == "tool" and "tool_call_id" not in message:
            what = f"('messages.{number}.tool_call_id' : property 'tool_call_id' is missing)"
            yield for_role(number, "tool", what)


def empty_lists(sent: Sent) -> Iterator[Fault]:
    for number, message in messages_of(sent):
        if message.get("role") != "assistant" and message.get("content") == []:
            place = f"'messages.{number}.content'"
            yield Fault(
                f"{place} : one of the following must be satisfied[({place} : value must be a string) OR "
                f"({place} : minimum number of items is 1)]"
            )


def reasoning(sent: Sent) -> Iterator[Fault]:
    for number, message in messages_of(sent):
        if "reasoning" in message and not REASONS.search(sent.model):
            yield Fault(f"`messages[{number}].reasoning`: reasoning is not supported with this model")


def error_body(fault: Fault) -> dict:
    kind = "invalid_request_error" if fault.status < 500 else "internal_server_error"
    return {"error": {"message": fault.message, "type": kind}}


GITHUB = "https://github.com"
SCHEMA = f"{GITHUB}/tryAGI/Groq/blob/main/src/libs/Groq/openapi.yaml"

RULES = (
    Rule("groq-no-messages", SCHEMA, no_messages),
    Rule("groq-field", f"{GITHUB}/NousResearch/hermes-agent/issues/11089", fields),
    Rule("groq-missing-call-id", f"{GITHUB}/hackclub/ai/issues/22", missing_call_id),
    Rule("groq-empty-list", SCHEMA, empty_lists),
    Rule("groq-reasoning", f"{GITHUB}/karthink/gptel/issues/774", reasoning),
)
MAKER = Maker("groq", RULES, error_body, {"service_tier": "on_demand"})
