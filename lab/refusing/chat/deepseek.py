"""DeepSeek. Its texts name a column of the body, which is 1 here."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..rules import Fault, Maker, Rule, Sent, dicts_in, numbered
from .shapes import calls_in, calls_of, function_of, is_call_of, messages_of, results_with_calls, unanswered

ROLES = ("system", "user", "assistant", "tool", "latest_reminder")
NAME_PATTERN = "^[a-zA-Z0-9_-]+$"
NO_IMAGES = re.compile(r"deepseek-(chat|reasoner|coder|r1|v3|v4-pro)")
THINKS = re.compile(r"deepseek-v4")


def malformed(place: str, what: str) -> Fault:
    return Fault(f"Failed to deserialize the JSON body into the target type: {place}: {what} at line 1 column 1")


def roles(sent: Sent) -> Iterator[Fault]:
    expected = ", ".join(f"`{role}`" for role in ROLES)
    for number, message in messages_of(sent):
        if (role := message.get("role")) not in ROLES:
            yield malformed(f"messages[{number}].role", f"unknown variant `{role}`, expected one of {expected}")


def tool_kinds(sent: Sent) -> Iterator[Fault]:
    for number, tool in numbered(sent.body.get("tools")):
        if (kind := tool.get("type")) != "function":
            yield malformed(f"tools[{number}]", f"unknown variant `{kind}`, expected `function`")


def missing_content(sent: Sent) -> Iterator[Fault]:
    for number, message in messages_of(sent):
        if message.get("role") != "assistant" and "content" not in message:
            yield malformed(f"messages[{number}]", "missing field `content`")


def content_types(sent: Sent) -> Iterator[Fault]:
    for number, message in messages_of(sent):
        content = message.get("content", "")
        if message.get("role") == "user" and not isinstance(content, (str, list)):
            what = "data did not match any variant of untagged enum ChatCompletionRequestContent"
            yield malformed(f"messages[{number}]", what)


def images(sent: Sent) -> Iterator[Fault]:
    for number, message in messages_of(sent):
        kinds = [part.get("type") for part in dicts_in(message.get("content"))]
        if "image_url" in kinds and NO_IMAGES.match(sent.model):
            yield malformed(f"messages[{number}]", "unknown variant `image_url`, expected `text`")


def calls_without_id(sent: Sent) -> Iterator[Fault]:
    for number, _, call in calls_in(sent):
        if "id" not in call:
            yield malformed(f"messages[{number}]", "missing field `id`")


def no_tools(sent: Sent) -> Iterator[Fault]:
    if sent.body.get("tools") == []:
        yield Fault(
            "Invalid 'tools': empty array. Expected an array with minimum length 1, but got an empty array instead."
        )


def tool_names(sent: Sent) -> Iterator[Fault]:
    for number, tool in numbered(sent.body.get("tools")):
        if not re.fullmatch(NAME_PATTERN, str(function_of(tool).get("name"))):
            yield Fault(
                f"Invalid 'tools[{number}].function.name': string does not match pattern. Expected a string that "
                f"matches the pattern '{NAME_PATTERN}'."
            )


def contentless(sent: Sent) -> Iterator[Fault]:
    for _, message in messages_of(sent):
        if message.get("role") == "assistant" and message.get("content") is None and not calls_of(message):
            yield Fault("Invalid assistant message: content or tool_calls must be set")


def orphan_results(sent: Sent) -> Iterator[Fault]:
    for _, message, called in results_with_calls(sent):
        if message.get("tool_call_id") not in (called or ()):
            yield Fault("Messages with role 'tool' must be a response to a preceding message with 'tool_calls'")


def unanswered_calls(sent: Sent) -> Iterator[Fault]:
    for _ in unanswered(sent):
        yield Fault(
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            "'tool_call_id'. (insufficient tool messages following tool_calls message)"
        )


def doubled_results(sent: Sent) -> Iterator[Fault]:
    """Anywhere in the conversation, not in one turn alone."""
    seen: set[object] = set()
    for number, message in messages_of(sent):
        if message.get("role") == "tool":
            if message.get("tool_call_id") in seen:
                yield Fault(f"Duplicate value for 'tool_call_id' of in message[{number}]")
            seen.add(message.get("tool_call_id"))


def missing_reasoning(sent: Sent) -> Iterator[Fault]:
    """Of answers with calls, which are the least that all sources agree on; an empty string is taken."""
    for _, message in messages_of(sent):
        if is_thinking(sent) and is_call_of(message) and message.get("reasoning_content") is None:
            yield Fault("The `reasoning_content` in the thinking mode must be passed back to the API.")


def is_thinking(sent: Sent) -> bool:
    """On by default in the models of today, off where the request says so."""
    asked = sent.body.get("thinking")
    kind = asked.get("type") if isinstance(asked, dict) else None
    if kind in ("enabled", "disabled"):
        return kind == "enabled"
    return THINKS.match(sent.model) is not None and sent.body.get("reasoning_effort") != "none"


def error_body(fault: Fault) -> dict:
    kind = "invalid_request_error" if fault.status < 500 else "server_error"
    types = {401: "authentication_error", 429: "rate_limit_error"}
    error = {"message": fault.message, "type": types.get(fault.status, kind), "param": None, "code": kind}
    return {"error": error}


GITHUB = "https://github.com"

RULES = (
    Rule("deepseek-role", f"{GITHUB}/decolua/9router/issues/773", roles),
    Rule("deepseek-tool-kind", f"{GITHUB}/BerriAI/litellm/issues/30722", tool_kinds),
    Rule("deepseek-missing-content", f"{GITHUB}/pig-mesh/deepseek4j/issues/41", missing_content),
    Rule("deepseek-content-type", f"{GITHUB}/browser-use/web-ui/issues/99", content_types),
    Rule("deepseek-image", f"{GITHUB}/rikkahub/rikkahub/issues/1433", images),
    Rule("deepseek-missing-id", f"{GITHUB}/esengine/DeepSeek-Reasonix/issues/713", calls_without_id),
    Rule("deepseek-no-tools", f"{GITHUB}/marimo-team/marimo/issues/6108", no_tools),
    Rule("deepseek-tool-name", f"{GITHUB}/refly-ai/refly/issues/1794", tool_names),
    Rule("deepseek-contentless", f"{GITHUB}/carlrobertoh/ProxyAI/issues/830", contentless),
    Rule("deepseek-orphan-result", f"{GITHUB}/FoundationAgents/OpenManus/issues/227", orphan_results),
    Rule("deepseek-unanswered-call", f"{GITHUB}/TurixAI/TuriX-CUA/issues/15", unanswered_calls),
    Rule("deepseek-doubled-result", f"{GITHUB}/craft-ai-agents/craft-agents-oss/issues/630", doubled_results),
    Rule("deepseek-missing-reasoning", "https://api-docs.deepseek.com/guides/thinking_mode", missing_reasoning),
)
MAKER = Maker("deepseek", RULES, error_body)
