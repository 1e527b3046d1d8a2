"""The schema of a response's input, which is closed: kinds, roles, fields, ids, names."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..rules import Fault, Rule, Sent, numbered
from .shapes import (
    FIELDS,
    KINDS,
    PART_FIELDS,
    PART_KINDS,
    PREFIXES,
    REQUIRED,
    ROLES,
    SAID,
    empty,
    invalid_value,
    items_of,
    missing,
    parts_of,
    too_long,
    unknown,
)

ID_CHARACTERS = 64
PLAIN = re.compile(r"[a-zA-Z0-9_-]+")
ACTIONS = ("search", "open_page", "find_in_page")
JSON_TYPES = {dict: "an object", list: "an array", int: "an integer", float: "a decimal", bool: "a boolean"}


def item_kinds(sent: Sent) -> Iterator[Fault]:
    for place, _, item in items_of(sent):
        if "type" in item and item["type"] not in KINDS:
            yield invalid_value(place, item["type"], KINDS)


def roles(sent: Sent) -> Iterator[Fault]:
    for place, kind, item in items_of(sent):
        if kind in ("", "message") and item.get("role") not in ROLES:
            yield invalid_value(place, item.get("role"), ROLES)


def required(sent: Sent) -> Iterator[Fault]:
    for place, kind, item in items_of(sent):
        yield from (missing(f"{place}.{field}") for field in REQUIRED.get(kind, ()) if field not in item)


def item_fields(sent: Sent) -> Iterator[Fault]:
    for place, kind, item in items_of(sent):
        known = FIELDS.get(kind)
        more = ("phase",) if kind == "message" and item.get("role") == "assistant" else ()
        yield from (unknown(f"{place}.{field}") for field in item if known and field not in (*known, *more))


def part_fields(sent: Sent) -> Iterator[Fault]:
    for place, _, part in parts_of(sent):
        known = PART_FIELDS.get(str(part.get("type")))
        yield from (unknown(f"{place}.{field}") for field in part if known and field not in known)


def null_content(sent: Sent) -> Iterator[Fault]:
    for place, kind, item in items_of(sent):
        if kind == "message" and item.get("content", "") is None:
            yield Fault(
                f"Invalid type for '{place}.content': expected one of an array of objects or string, but got null "
                "instead.",
                param=f"{place}.content",
                code="invalid_type",
            )


def part_kinds(sent: Sent) -> Iterator[Fault]:
    for place, allowed, part in parts_of(sent):
        if part.get("type") not in (*PART_KINDS, *allowed):
            yield invalid_value(f"{place}.type", part.get("type"), PART_KINDS)


def said_parts(sent: Sent) -> Iterator[Fault]:
    """What the model said holds what models say; what it is sent holds the rest."""
    for place, allowed, part in parts_of(sent):
        if part.get("type") not in allowed and (allowed is SAID or part.get("type") in SAID):
            yield invalid_value(place, part.get("type"), allowed)


def image_urls(sent: Sent) -> Iterator[Fault]:
    for place, _, part in parts_of(sent):
        if part.get("type") == "input_image" and isinstance(part.get("image_url"), dict):
            yield Fault(
                f"Invalid type for '{place}.image_url': expected an image URL, but got an object instead.",
                param=f"{place}.image_url",
                code="invalid_type",
            )


def odd_ids(sent: Sent) -> Iterator[Fault]:
    places = [(f"{place}.id", item.get("id")) for place, _, item in items_of(sent)]
    for place, id in (*places, ("previous_response_id", sent.body.get("previous_response_id"))):
        if isinstance(id, str) and not PLAIN.fullmatch(id):
            yield Fault(
                f"Invalid '{place}': '{id}'. Expected an ID that contains letters, numbers, underscores, or dashes, "
                "but this value contained additional characters.",
                param=place,
                code="invalid_value",
            )


def id_prefixes(sent: Sent) -> Iterator[Fault]:
    for place, kind, item in items_of(sent):
        id, prefix = item.get("id"), PREFIXES.get(kind)
        if isinstance(id, str) and id and prefix and not id.startswith(prefix):
            yield Fault(
                f"Invalid '{place}.id': '{id}'. Expected an ID that begins with '{prefix}'.",
                param=f"{place}.id",
                code="invalid_value",
            )


def long_ids(sent: Sent) -> Iterator[Fault]:
    yield from long_texts(sent, "id")


def long_call_ids(sent: Sent) -> Iterator[Fault]:
    yield from long_texts(sent, "call_id")


def long_texts(sent: Sent, field: str) -> Iterator[Fault]:
    for place, _, item in items_of(sent):
        text = item.get(field)
        if isinstance(text, str) and len(text) > ID_CHARACTERS:
            yield too_long(f"{place}.{field}", ID_CHARACTERS, text)


def empty_call_ids(sent: Sent) -> Iterator[Fault]:
    yield from (empty(f"{place}.call_id") for place, _, item in items_of(sent) if item.get("call_id") == "")


def names_of(sent: Sent) -> Iterator[tuple[str, object]]:
    for place, kind, item in items_of(sent):
        if kind in ("function_call", "custom_tool_call"):
            yield f"{place}.name", item.get("name")


def empty_names(sent: Sent) -> Iterator[Fault]:
    yield from (empty(place) for place, name in names_of(sent) if name == "")


def odd_names(sent: Sent) -> Iterator[Fault]:
    for place, name in names_of(sent):
        if isinstance(name, str) and name and not PLAIN.fullmatch(name):
            yield Fault(
                f"Invalid '{place}': string does not match pattern. Expected a string that matches the pattern "
                "'^[a-zA-Z0-9_-]+$'.",
                param=place,
                code="invalid_value",
            )


def arguments(sent: Sent) -> Iterator[Fault]:
    """Of texts that are empty or no JSON no report shows that they are refused."""
    for place, kind, item in items_of(sent):
        value = item.get("arguments", "")
        if kind == "function_call" and not isinstance(value, str):
            got = JSON_TYPES.get(type(value), "null")
            yield Fault(
                f"Invalid type for '{place}.arguments': expected a string, but got {got} instead.",
                param=f"{place}.arguments",
                code="invalid_type",
            )


def reasoning_content(sent: Sent) -> Iterator[Fault]:
    """The thoughts of open models."""
    for place, kind, item in items_of(sent):
        content = item.get("content")
        if kind == "reasoning" and isinstance(content, list) and content:
            yield Fault(
                f"Invalid '{place}.content': array too long. Expected an array with maximum length 0, but got an array "
                f"with length {len(content)} instead.",
                param=f"{place}.content",
                code="array_above_max_length",
            )


def search_actions(sent: Sent) -> Iterator[Fault]:
    for place, kind, item in items_of(sent):
        action = item.get("action")
        if kind == "web_search_call" and isinstance(action, dict) and action.get("type") not in ACTIONS:
            yield invalid_value(f"{place}.action.type", action.get("type"), ACTIONS)


def tool_names(sent: Sent) -> Iterator[Fault]:
    """Chat completions have the name one floor down."""
    for number, tool in numbered(sent.body.get("tools")):
        if tool.get("type") == "function" and "name" not in tool:
            yield missing(f"tools[{number}].name")


GITHUB = "https://github.com"
REFERENCE = "https://platform.openai.com/docs/api-reference/responses/create"
LITELLM = f"{GITHUB}/BerriAI/litellm"

RULES = (
    Rule("responses-item-kind", f"{GITHUB}/langfuse/langfuse/issues/17166", item_kinds),
    Rule("responses-role", f"{GITHUB}/NousResearch/hermes-agent/issues/5709", roles),
    Rule("responses-required", f"{GITHUB}/openai/codex/issues/6926", required),
    Rule("responses-item-field", f"{LITELLM}/issues/13420", item_fields),
    Rule("responses-null-content", f"{GITHUB}/QuantumNous/new-api/issues/4776", null_content),
    Rule("responses-part-kind", f"{GITHUB}/MervinPraison/PraisonAI/issues/3934", part_kinds),
    Rule("responses-part-of-other-role", f"{GITHUB}/epam/ai-dial-adapter-openai/issues/511", said_parts),
    Rule(
        "responses-part-field",
        f"{LITELLM}/blob/main/litellm/llms/openai/responses/transformation.py",
        part_fields,
    ),
    Rule("responses-image-url", f"{GITHUB}/aplpolaris/promptfx/issues/724", image_urls),
    Rule("responses-odd-id", f"{GITHUB}/langchain-ai/langchainjs/issues/11044", odd_ids),
    Rule("responses-id-prefix", f"{GITHUB}/Wei-Shaw/sub2api/issues/3785", id_prefixes),
    Rule("responses-long-id", f"{GITHUB}/can1357/oh-my-pi/issues/284", long_ids),
    Rule("responses-long-call-id", f"{GITHUB}/AnswerDotAI/fastllm/issues/45", long_call_ids),
    Rule("responses-empty-call-id", f"{GITHUB}/BigPizzaV3/CodexPlusPlus/issues/315", empty_call_ids),
    Rule("responses-empty-name", f"{GITHUB}/diegosouzapw/OmniRoute/issues/346", empty_names),
    Rule("responses-odd-name", f"{GITHUB}/NousResearch/hermes-agent/issues/31666", odd_names),
    Rule("responses-arguments", REFERENCE, arguments),
    Rule("responses-reasoning-content", f"{GITHUB}/musistudio/claude-code-router/issues/1783", reasoning_content),
    Rule("responses-search-action", f"{GITHUB}/openai/codex/issues/7073", search_actions),
    Rule("responses-tool-name", f"{GITHUB}/icebear0828/codex-proxy/issues/399", tool_names),
)
