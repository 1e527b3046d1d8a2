"""OpenAI's chat completions. What it does with unknown fields of a message is not known, so they are taken."""

from __future__ import annotations

from collections.abc import Iterator

from ..rules import Fault, Maker, Rule, Sent
from .shapes import calls_in, calls_of, function_of, messages_of, results_with_calls, unanswered

ID_CHARACTERS = 40


def empty_arrays(sent: Sent) -> Iterator[Fault]:
    places = [("messages", sent.body.get("messages"))]
    for number, message in messages_of(sent):
        places += [(f"messages[{number}].{name}", message.get(name)) for name in ("content", "tool_calls")]
    yield from (empty_array(place) for place, value in places if value == [])


def no_tools(sent: Sent) -> Iterator[Fault]:
    if sent.body.get("tools") == []:
        yield empty_array("tools")


def empty_array(place: str) -> Fault:
    text = f"Invalid '{place}': empty array. Expected an array with minimum length 1, but got an empty array instead."
    return Fault(text, param=place, code="empty_array")


def empty_names(sent: Sent) -> Iterator[Fault]:
    for number, index, call in calls_in(sent):
        if function_of(call).get("name") == "":
            place = f"messages[{number}].tool_calls[{index}].function.name"
            yield Fault(
                f"Invalid '{place}': empty string. Expected a string with minimum length 1, but got an empty string "
                "instead.",
                param=place,
                code="empty_string",
            )


def arguments(sent: Sent) -> Iterator[Fault]:
    for number, index, call in calls_in(sent):
        if isinstance(function_of(call).get("arguments"), dict):
            place = f"messages[{number}].tool_calls[{index}].function.arguments"
            yield Fault(
                f"Invalid type for '{place}': expected a string, but got an object instead.",
                param=place,
                code="invalid_type",
            )


def long_ids(sent: Sent) -> Iterator[Fault]:
    places = [(f"messages[{number}].tool_calls[{index}].id", call.get("id")) for number, index, call in calls_in(sent)]
    places += [(f"messages[{number}].tool_call_id", each.get("tool_call_id")) for number, each in messages_of(sent)]
    for place, id in places:
        if isinstance(id, str) and len(id) > ID_CHARACTERS:
            yield Fault(
                f"Invalid '{place}': string too long. Expected a string with maximum length {ID_CHARACTERS}, but got a "
                f"string with length {len(id)} instead.",
                param=place,
                code="string_above_max_length",
            )


def null_content(sent: Sent) -> Iterator[Fault]:
    """Of a refusal, which is a field of its own here, it is not known whether it needs a content."""
    for number, message in messages_of(sent):
        stands_alone = calls_of(message) or message.get("function_call") or message.get("refusal")
        if message.get("content") is None and not (message.get("role") == "assistant" and stands_alone):
            yield Fault(
                "Invalid value for 'content': expected a string, got null.", param=f"messages.[{number}].content"
            )


def unanswered_calls(sent: Sent) -> Iterator[Fault]:
    for number, missing in unanswered(sent):
        yield Fault(
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            f"'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(missing)}",
            param=f"messages.[{number}].role",
        )


def orphan_results(sent: Sent) -> Iterator[Fault]:
    for number, _, called in results_with_calls(sent):
        if called is None:
            yield Fault(
                "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with "
                "'tool_calls'.",
                param=f"messages.[{number}].role",
            )


def other_results(sent: Sent) -> Iterator[Fault]:
    for number, message, called in results_with_calls(sent):
        if called is not None and message.get("tool_call_id") not in called:
            id = message.get("tool_call_id")
            yield Fault(
                f"Invalid parameter: 'tool_call_id' of '{id}' not found in 'tool_calls' of previous message.",
                param=f"messages.[{number}].tool_call_id",
            )


def doubled_results(sent: Sent) -> Iterator[Fault]:
    """In one turn; the same id in two turns is taken."""
    seen: dict[object, int] = {}
    for number, message in messages_of(sent):
        if message.get("role") != "tool":
            seen.clear()
            continue
        id = message.get("tool_call_id")
        if id in seen:
            yield Fault(
                f"Invalid parameter: Duplicate value for 'tool_call_id' of '{id}', in messages[{seen[id]}] and "
                f"messages[{number}].",
                param=f"messages.[{number}].tool_call_id",
            )
        seen[id] = number


def error_body(fault: Fault) -> dict:
    types = {401: "invalid_request_error", 429: "rate_limit_error"}
    kind = types.get(fault.status, "invalid_request_error" if fault.status < 500 else "server_error")
    return {"error": {"message": fault.message, "type": fault.type or kind, "param": fault.param, "code": fault.code}}


GITHUB = "https://github.com"

RULES = (
    Rule("openai-empty-array", f"{GITHUB}/openai/openai-python/issues/2061", empty_arrays),
    Rule("openai-no-tools", f"{GITHUB}/dnakov/anon-kode/issues/20", no_tools),
    Rule("openai-empty-name", f"{GITHUB}/continuedev/continue/issues/5091", empty_names),
    Rule("openai-arguments", f"{GITHUB}/aaif-goose/goose-mobile/pull/20", arguments),
    Rule("openai-long-id", f"{GITHUB}/vercel/ai/issues/5171", long_ids),
    Rule("openai-null-content", f"{GITHUB}/run-llama/llama_index/issues/17555", null_content),
    Rule("openai-unanswered-call", f"{GITHUB}/RamiAwar/dataline/issues/172", unanswered_calls),
    Rule("openai-orphan-result", f"{GITHUB}/simonw/llm/issues/937", orphan_results),
    Rule("openai-other-result", f"{GITHUB}/dapr/dapr-agents/issues/145", other_results),
    Rule("openai-doubled-result", f"{GITHUB}/agno-agi/agno/issues/5116", doubled_results),
)
MAKER = Maker("openai", RULES, error_body)
