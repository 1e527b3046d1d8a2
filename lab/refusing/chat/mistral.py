"""Mistral: a closed schema (422), and the order of messages as its public validator has it (400)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from ..rules import Fault, Maker, Rule, Sent
from .shapes import calls_in, calls_of, function_of, messages_of, unknown_fields

IN_ROLE = {
    "system": ("role", "content"),
    "user": ("role", "content"),
    "assistant": ("role", "content", "tool_calls", "prefix"),
    "tool": ("role", "content", "tool_call_id", "name"),
}
IN_CALL = ("id", "type", "function", "index")
AFTER = {
    "system": ("user", "assistant", "system"),
    "user": ("assistant", "system", "user"),
    "assistant": ("assistant", "user", "tool"),
    "tool": ("assistant", "tool"),
}
ORDER = {"type": "invalid_request_message_order", "code": "3230"}
CALL = {"type": "invalid_function_call", "code": "3280"}


def fields(sent: Sent) -> Iterator[Fault]:
    extra = "Extra inputs are not permitted"
    details = [
        {"type": "extra_forbidden", "loc": ["body", "messages", number, role, *path], "msg": extra, "input": value}
        for number, role, path, value in unknown_fields(sent, IN_ROLE, IN_CALL)
    ]
    if details:
        yield Fault(extra, status=422, details=details)


def contentless(sent: Sent) -> Iterator[Fault]:
    for _, message in messages_of(sent):
        if message.get("role") == "assistant" and not message.get("content") and not calls_of(message):
            yield Fault(
                "Assistant message must have either content or tool_calls, but not none.",
                type="invalid_request_assistant_message",
                code="3240",
            )


def call_ids(sent: Sent) -> Iterator[Fault]:
    for _, message in messages_of(sent):
        of_result = [message.get("tool_call_id")] if message.get("role") == "tool" else []
        for id in (*of_result, *(call.get("id") for call in calls_of(message))):
            if not re.fullmatch("[a-zA-Z0-9]{9}", str(id)):
                yield Fault(f"Tool call id was {id} but must be a-z, A-Z, 0-9, with a length of 9.", **CALL)


def call_names(sent: Sent) -> Iterator[Fault]:
    for _, _, call in calls_in(sent):
        name = function_of(call).get("name")
        if not re.fullmatch("[a-zA-Z0-9_-]{1,64}", str(name)):
            yield Fault(
                f"Function name was {name} but must be a-z, A-Z, 0-9, or contain underscores and dashes, with a "
                "maximum length of 64.",
                **CALL,
            )


def order(sent: Sent) -> Iterator[Fault]:
    roles = [message.get("role") for _, message in messages_of(sent)]
    for before, role in pairwise(roles):
        if role not in AFTER.get(str(before), (role,)):
            yield Fault(f"Unexpected role '{role}' after role '{before}'", **ORDER)


def numbers(sent: Sent) -> Iterator[Fault]:
    open_calls = 0
    fault = Fault("Not the same number of function calls and responses", **ORDER)
    for _, message in messages_of(sent):
        if message.get("role") == "tool":
            open_calls -= 1
        elif message.get("role") == "assistant":
            if open_calls:
                yield fault
            open_calls = len(calls_of(message))
    if open_calls:
        yield fault


def result_ids(sent: Sent) -> Iterator[Fault]:
    called: list[object] = []
    answered: list[object] = []
    for _, message in messages_of(sent):
        if message.get("role") == "assistant":
            called, answered = [call.get("id") for call in calls_of(message)], []
        elif message.get("role") == "tool":
            id = message.get("tool_call_id")
            if id not in called or id in answered:
                kind = "Duplicate" if id in answered else "Unexpected"
                yield Fault(f"{kind} tool call id {id} in tool results", **ORDER)
            answered.append(id)


def last_role(sent: Sent) -> Iterator[Fault]:
    last = ([message for _, message in messages_of(sent)] or [{}])[-1]
    if last.get("role") == "assistant" and not last.get("prefix"):
        yield Fault(
            "Expected last role User or Tool (or Assistant with prefix True) for serving but got assistant",
            type="invalid_request_error",
        )


def error_body(fault: Fault) -> dict:
    kind = fault.type or ("invalid_request_error" if fault.status < 500 else "internal_server_error")
    message = {"detail": list(fault.details)} if fault.details else fault.message
    return {
        "object": "error",
        "message": message,
        "type": kind,
        "param": None,
        "code": fault.code,
        "raw_status_code": fault.status,
    }


GITHUB = "https://github.com"
VALIDATOR = f"{GITHUB}/mistralai/mistral-common/blob/main/src/mistral_common/protocol/instruct/validator.py"

RULES = (
    Rule("mistral-field", f"{GITHUB}/BerriAI/litellm/issues/30835", fields),
    Rule("mistral-contentless", f"{GITHUB}/OpenHands/OpenHands/issues/8685", contentless),
    Rule("mistral-call-id", f"{GITHUB}/editor-code-assistant/eca/issues/233", call_ids),
    Rule("mistral-call-name", VALIDATOR, call_names),
    Rule("mistral-order", f"{GITHUB}/BerriAI/litellm/issues/17761", order),
    Rule("mistral-numbers", f"{GITHUB}/mistralai/client-ts/issues/106", numbers),
    Rule("mistral-result-id", VALIDATOR, result_ids),
    Rule("mistral-last-role", f"{GITHUB}/crewAIInc/crewAI/issues/2194", last_role),
)
MAKER = Maker("mistral", RULES, error_body)
