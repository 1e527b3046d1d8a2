"""xAI. It takes messages in any order, and results without calls."""

from __future__ import annotations

import json
from collections.abc import Iterator

from ..rules import Fault, Maker, Rule, Sent
from .shapes import calls_in, calls_of, function_of, messages_of


def empty_content(sent: Sent) -> Iterator[Fault]:
    for _, message in messages_of(sent):
        if not message.get("content") and not calls_of(message):
            yield Fault("Invalid request content: Each message must have at least one content element.")


def arguments(sent: Sent) -> Iterator[Fault]:
    for _, _, call in calls_in(sent):
        if error := parse_error(function_of(call).get("arguments")):
            yield Fault(
                f"The arguments to a tool_call with ID '{call.get('id')}' are not a valid JSON string. Parsing error: "
                f"{error}"
            )


def parse_error(text: object) -> str | None:
    """Of no text at all it is what the provider says; of other texts the form is."""
    if not isinstance(text, str) or not text:
        return 'Error("EOF while parsing a value", line: 1, column: 0)'
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return f'Error("expected value", line: {error.lineno}, column: {error.colno})'
    return None


def error_body(fault: Fault) -> dict:
    codes = {429: "Some resource has been exhausted"}
    fallback = "Client specified an invalid argument" if fault.status < 500 else "Internal error"
    return {"code": codes.get(fault.status, fallback), "error": fault.message}


GITHUB = "https://github.com"

RULES = (
    Rule("xai-empty-content", f"{GITHUB}/langchain-ai/langchain/issues/34140", empty_content),
    Rule("xai-arguments", f"{GITHUB}/spiceai/spiceai/issues/4734", arguments),
)
MAKER = Maker("xai", RULES, error_body)
