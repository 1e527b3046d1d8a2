"""Gemini's contents: what fields they and their parts have, in Google's spelling and in that of JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from ..rules import Sent, numbered

# Of a part these are its data, of which it has one.
DATA = (
    "text",
    "inline_data",
    "file_data",
    "function_call",
    "function_response",
    "executable_code",
    "code_execution_result",
    "tool_call",
    "tool_response",
)
ABOUT_DATA = ("thought", "thought_signature", "video_metadata", "media_resolution", "part_metadata")
CONTENT = ("role", "parts")
CALL = ("id", "name", "args")
RESPONSE = ("id", "name", "response", "parts", "will_continue", "scheduling")
ISSUES_IDS = re.compile(r"gemini-([3-9]|\d\d)")


@lru_cache(maxsize=1_000)
def snake(name: str) -> str:
    return re.sub("[A-Z]", lambda found: f"_{found.group().lower()}", name)


def spelled(fields: dict) -> dict:
    """With the names that the provider's errors have; it reads both spellings."""
    return {snake(name): value for name, value in fields.items()}


def contents_of(sent: Sent) -> Iterator[tuple[int, dict]]:
    return numbered(sent.body.get("contents"))


def parts_of(content: dict) -> list[dict]:
    return [spelled(part) for _, part in numbered(content.get("parts"))]


def parts_in(sent: Sent) -> list[tuple[str, dict]]:
    """Every part of the conversation and of the system instruction, with its path."""
    return sent.once(walk_parts)


def walk_parts(sent: Sent) -> list[tuple[str, dict]]:
    system = sent.body.get("systemInstruction") or sent.body.get("system_instruction")
    places = [("system_instruction", system)] if isinstance(system, dict) else []
    places += [(f"contents[{number}]", content) for number, content in contents_of(sent)]
    return [
        (f"{place}.parts[{index}]", spelled(part))
        for place, content in places
        for index, part in numbered(content.get("parts"))
    ]


def inner(part: dict, name: str) -> dict | None:
    """The fields of a part's call or response; None: it has none."""
    value = part.get(name)
    return spelled(value) if isinstance(value, dict) else None


def count_of(content: dict, name: str) -> int:
    return sum(1 for part in parts_of(content) if name in part)


def has_ids(sent: Sent) -> bool:
    """From Gemini 3 on, calls have ids and must have signatures."""
    return ISSUES_IDS.match(sent.model) is not None
