"""The items of a request for a response: which there are, what they have, and how to walk over them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ...formats.responses import kind_of
from ..rules import Fault, HeldItem, Sent, dicts_in, numbered

KINDS = (
    "additional_tools",
    "agent_message",
    "apply_patch_call",
    "apply_patch_call_output",
    "code_interpreter_call",
    "compaction",
    "compaction_trigger",
    "computer_call",
    "computer_call_output",
    "custom_tool_call",
    "custom_tool_call_output",
    "file_search_call",
    "function_call",
    "function_call_output",
    "image_generation_call",
    "item_reference",
    "local_shell_call",
    "local_shell_call_output",
    "mcp_approval_request",
    "mcp_approval_response",
    "mcp_call",
    "mcp_list_tools",
    "message",
    "multi_agent_call",
    "multi_agent_call_output",
    "program",
    "program_output",
    "reasoning",
    "shell_call",
    "shell_call_output",
    "tool_search_call",
    "tool_search_output",
    "web_search_call",
)
ROLES = ("assistant", "system", "developer", "user")
# The fields of each kind, after the published schema and the reports. Of kinds that are not here they are not known.
FIELDS = {
    "message": ("type", "id", "role", "content", "status"),
    "function_call": ("type", "id", "call_id", "name", "arguments", "status", "caller", "namespace", "async"),
    "function_call_output": ("type", "id", "call_id", "output", "status", "caller", "name", "namespace"),
    "custom_tool_call": ("type", "id", "call_id", "name", "input", "status", "caller", "namespace", "async"),
    "custom_tool_call_output": ("type", "id", "call_id", "output", "caller"),
    "reasoning": ("type", "id", "summary", "content", "encrypted_content"),
    "item_reference": ("type", "id"),
    "web_search_call": ("type", "id", "status", "action"),
    "file_search_call": ("type", "id", "status", "queries", "results"),
    "code_interpreter_call": ("type", "id", "status", "code", "container_id", "outputs"),
    "mcp_list_tools": ("type", "id", "server_label", "tools", "error"),
}
REQUIRED = {
    "message": ("content",),
    "function_call": ("call_id", "name", "arguments"),
    "function_call_output": ("output",),
    "custom_tool_call": ("call_id", "name", "input"),
    "custom_tool_call_output": ("call_id", "output"),
    "reasoning": ("summary",),
    "item_reference": ("id",),
    "web_search_call": ("id",),
    "file_search_call": ("id",),
    "code_interpreter_call": ("id",),
    "image_generation_call": ("id",),
    "mcp_call": ("id",),
    "mcp_list_tools": ("id",),
}
PREFIXES = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "function_call_output": "fc",
    "custom_tool_call": "ctc",
}
# The results of calls, by the kind of the call, and what the provider calls it.
RESULTS = {
    "function_call": ("function_call_output", "function call"),
    "custom_tool_call": ("custom_tool_call_output", "custom tool call"),
    "computer_call": ("computer_call_output", "computer call"),
    "local_shell_call": ("local_shell_call_output", "local shell call"),
    "shell_call": ("shell_call_output", "shell call"),
    "apply_patch_call": ("apply_patch_call_output", "apply patch call"),
}
PART_KINDS = (
    "input_text",
    "input_image",
    "input_audio",
    "output_text",
    "refusal",
    "input_file",
    "computer_screenshot",
    "summary_text",
    "encrypted_content",
)
SAID = ("output_text", "refusal")
ASKED = ("input_text", "input_image", "input_file", "scoped_content", "input_audio")
FOUND = ("input_text", "input_image", "input_file", "scoped_content")
MARK = "prompt_cache_breakpoint"
PART_FIELDS = {
    "input_text": ("type", "text", MARK),
    "input_image": ("type", "image_url", "file_id", "detail", MARK),
    "input_file": ("type", "file_data", "file_id", "file_url", "filename", "detail", MARK),
    "output_text": ("type", "text", "annotations", "logprobs", MARK),
    "refusal": ("type", "refusal"),
}


def items_of(sent: Sent) -> Iterator[tuple[str, str, dict]]:
    """Each item of a request: its place, its kind, and itself."""
    for number, item in numbered(sent.body.get("input")):
        yield f"input[{number}]", str(kind_of(item)), item


def parts_of(sent: Sent) -> Iterator[tuple[str, tuple[str, ...], dict]]:
    """Each part of a message or of a tool's output: its place, the kinds that may stand there, and itself."""
    for place, kind, item in items_of(sent):
        field = "content" if kind == "message" else "output"
        allowed = (SAID if item.get("role") == "assistant" else ASKED) if kind == "message" else FOUND
        if kind == "message" or kind in ("function_call_output", "custom_tool_call_output"):
            for number, part in numbered(item.get(field)):
                yield f"{place}.{field}[{number}]", allowed, part


def seen_by(sent: Sent) -> tuple[dict, ...]:
    """Every item that the model would see: what is held, then what is sent, with references resolved."""
    return (*(sent.before or ()), *resolved(dicts_in(sent.body.get("input")), sent.held))


def resolved(items: Sequence[dict], held: Mapping[str, HeldItem]) -> tuple[dict, ...]:
    """References, and reasoning that is sent without its content, as the items that are held."""
    return tuple(held[item["id"]].item if is_reference(item) and item.get("id") in held else item for item in items)


def is_reference(item: dict) -> bool:
    """Whether an item says no more than which held one it is."""
    named = kind_of(item) == "item_reference" or (item.get("type") == "reasoning" and not item.get("encrypted_content"))
    return named and isinstance(item.get("id"), str)


def listed(values: Sequence[str]) -> str:
    quoted = [f"'{value}'" for value in values]
    return f"{quoted[0]} and {quoted[1]}" if len(quoted) == 2 else f"{', '.join(quoted[:-1])}, and {quoted[-1]}"


def invalid_value(place: str, value: object, known: Sequence[str]) -> Fault:
    text = value if isinstance(value, str) else ""
    return Fault(f"Invalid value: '{text}'. Supported values are: {listed(known)}.", param=place, code="invalid_value")


def missing(place: str) -> Fault:
    return Fault(f"Missing required parameter: '{place}'.", param=place, code="missing_required_parameter")


def unknown(place: str) -> Fault:
    return Fault(f"Unknown parameter: '{place}'.", param=place, code="unknown_parameter")


def too_long(place: str, limit: int, text: str) -> Fault:
    return Fault(
        f"Invalid '{place}': string too long. Expected a string with maximum length {limit}, but got a string with "
        f"length {len(text)} instead.",
        param=place,
        code="string_above_max_length",
    )


def empty(place: str) -> Fault:
    return Fault(
        f"Invalid '{place}': empty string. Expected a string with minimum length 1, but got an empty string instead.",
        param=place,
        code="empty_string",
    )
