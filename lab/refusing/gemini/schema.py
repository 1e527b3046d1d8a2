"""The schema of Gemini's contents: known names, values of the right kind, nothing empty."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from ..rules import Fault, Rule, Sent
from .shapes import ABOUT_DATA, CALL, CONTENT, DATA, RESPONSE, contents_of, has_ids, inner, parts_in, parts_of, snake

STRUCT = "type.googleapis.com/google.protobuf.Struct"
BASE64 = re.compile(r"[A-Za-z0-9+/_-]*={0,2}")
OBJECTS = (("function_call", "args"), ("function_response", "response"))


def violation(field: str, message: str) -> dict:
    return {"field": field, "description": message}


def unknown_names(sent: Sent) -> Iterator[Fault]:
    """All of them in one error, a line each."""
    found = [
        (place, f"Invalid JSON payload received. Unknown name \"{snake(name)}\" at '{place}': Cannot find field.")
        for place, fields, known in named(sent)
        for name in fields
        if snake(name) not in known
    ]
    if found:
        details = [violation(place, message) for place, message in found]
        yield Fault("\n".join(message for _, message in found), details=details)


def named(sent: Sent) -> Iterator[tuple[str, dict, Sequence[str]]]:
    """Each object of which the names are known, with them. Older models know no ids of calls."""
    for number, content in contents_of(sent):
        yield f"contents[{number}]", content, CONTENT
    for path, part in parts_in(sent):
        yield path, part, (*DATA, *ABOUT_DATA)
        for name, known in (("function_call", CALL), ("function_response", RESPONSE)):
            if (fields := inner(part, name)) is not None:
                yield f"{path}.{name}", fields, known if has_ids(sent) else known[1:]


def objects(sent: Sent) -> Iterator[Fault]:
    for path, part in parts_in(sent):
        for name, field in OBJECTS:
            value = (inner(part, name) or {}).get(field)
            place = f"{path}.{name}.{field}"
            if isinstance(value, list):
                text = (
                    f"Invalid JSON payload received. Unknown name \"{field}\" at '{path}.{name}': Proto field is not "
                    "repeating, cannot start list."
                )
                yield Fault(text, details=[violation(f"{path}.{name}", text)])
            elif value is not None and not isinstance(value, dict):
                shown = json.dumps(value, ensure_ascii=False)
                text = f"Invalid value at '{place}' ({STRUCT}), {shown}"
                yield Fault(text, details=[violation(place, text)])


def undecodable_signatures(sent: Sent) -> Iterator[Fault]:
    found = []
    for path, part in parts_in(sent):
        signature = part.get("thought_signature")
        if signature is not None and not is_base64(str(signature)):
            place = f"{path}.thought_signature"
            found.append(
                (place, f"Invalid value at '{place}' (TYPE_BYTES), Base64 decoding failed for \"{signature}\"")
            )
    if found:
        details = [violation(place, message) for place, message in found]
        yield Fault("\n".join(message for _, message in found), details=details)


def is_base64(text: str) -> bool:
    """In either alphabet, padded or not."""
    return bool(BASE64.fullmatch(text)) and len(text.rstrip("=")) % 4 != 1


def no_contents(sent: Sent) -> Iterator[Fault]:
    if not sent.body.get("contents"):
        yield Fault("* GenerateContentRequest.contents: contents is not specified\n")


def no_parts(sent: Sent) -> Iterator[Fault]:
    for number, content in contents_of(sent):
        if not content.get("parts"):
            yield Fault(f"* GenerateContentRequest.contents[{number}].parts: contents.parts must not be empty.\n")


def no_data(sent: Sent) -> Iterator[Fault]:
    lines = [
        f"* GenerateContentRequest.{path}.data: required oneof field 'data' must have one initialized field\n"
        for path, part in parts_in(sent)
        if not set(part) & set(DATA)
    ]
    if lines:
        yield Fault("".join(lines))


def no_name(sent: Sent) -> Iterator[Fault]:
    for path, part in parts_in(sent):
        response = inner(part, "function_response")
        if response is not None and not response.get("name"):
            yield Fault(f"* GenerateContentRequest.{path}.function_response.name: Name cannot be empty.\n")


def roles(sent: Sent) -> Iterator[Fault]:
    for _, content in contents_of(sent):
        if content.get("role", "user") not in ("user", "model", "function"):
            yield Fault("Please use a valid role: user, model.")


def mixed_parts(sent: Sent) -> Iterator[Fault]:
    for _, content in contents_of(sent):
        names = {name for part in parts_of(content) for name in part}
        if {"function_call", "function_response"} <= names:
            yield Fault(
                "Please ensure that function call turn contains at least one function_call part which can not be mixed "
                "with function_response parts."
            )


GITHUB = "https://github.com"
REFERENCE = "https://ai.google.dev/api/caching"

RULES = (
    Rule("gemini-unknown-name", f"{GITHUB}/gera2ld/ai.nvim/issues/13", unknown_names),
    Rule("gemini-object", f"{REFERENCE}#FunctionCall", objects),
    Rule("gemini-signature-encoding", f"{GITHUB}/crmne/ruby_llm/issues/521", undecodable_signatures),
    Rule("gemini-no-contents", f"{GITHUB}/vercel/ai/issues/3775", no_contents),
    Rule("gemini-no-parts", f"{GITHUB}/egoist/chatwise-releases/issues/250", no_parts),
    Rule("gemini-no-data", f"{GITHUB}/router-for-me/CLIProxyAPI/issues/1292", no_data),
    Rule("gemini-no-name", f"{REFERENCE}#FunctionResponse", no_name),
    Rule("gemini-role", f"{GITHUB}/songquanpeng/one-api/issues/1385", roles),
    Rule("gemini-mixed-parts", f"{GITHUB}/googleapis/python-genai/issues/81", mixed_parts),
)
