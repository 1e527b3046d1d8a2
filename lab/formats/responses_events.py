"""A response as the server-sent events that OpenAI tells it in."""

from __future__ import annotations

from collections.abc import Iterator

from ..answers import cut_in_pieces, event_json

Event = tuple[str, dict]  # the type, and the fields beside it
# What a hosted tool's call goes through between its first event and its last.
STEPS = {
    "web_search_call": ("in_progress", "searching", "completed"),
    "file_search_call": ("in_progress", "searching", "completed"),
    "code_interpreter_call": ("in_progress", "interpreting", "completed"),
    "image_generation_call": ("in_progress", "generating", "completed"),
    "mcp_call": ("in_progress", "completed"),
    "mcp_list_tools": ("in_progress", "completed"),
}
# The field of an item whose text is streamed, and the name of its events.
STREAMED = {
    "function_call": ("arguments", "function_call_arguments"),
    "custom_tool_call": ("input", "custom_tool_call_input"),
    "mcp_call": ("arguments", "mcp_call_arguments"),
    "code_interpreter_call": ("code", "code_interpreter_call_code"),
}


def events_of(response: dict, pieces: int) -> Iterator[bytes]:
    """The last one holds the whole response. `pieces`: so many for each text."""
    for number, (kind, fields) in enumerate(told(response, pieces)):
        yield event(kind, number, fields)


def event(kind: str, number: int, fields: dict) -> bytes:
    data = event_json({"type": kind, "sequence_number": number, **fields})
    return f"event: {kind}\ndata: {data}\n\n".encode()


def told(response: dict, pieces: int) -> Iterator[Event]:
    first = {**response, "status": "in_progress", "completed_at": None, "incomplete_details": None}
    first = {**first, "output": [], "usage": None}
    yield "response.created", {"response": first}
    yield "response.in_progress", {"response": first}
    for index, item in enumerate(response["output"]):
        yield from told_item(index, item, pieces)
    yield f"response.{response['status']}", {"response": response}


def told_item(index: int, item: dict, pieces: int) -> Iterator[Event]:
    at = {"output_index": index, "item_id": item["id"]}
    yield "response.output_item.added", {"output_index": index, "item": begun(item)}
    steps = STEPS.get(item["type"], ())
    for step in steps[:-1]:
        yield f"response.{item['type']}.{step}", at
    if item["type"] == "reasoning":
        for number, part in enumerate(item.get("summary") or ()):
            yield from told_summary({**at, "summary_index": number}, part, pieces)
    elif item["type"] == "message":
        for number, part in enumerate(item["content"]):
            yield from told_part({**at, "content_index": number}, part, pieces)
    elif item["type"] in STREAMED:
        field, name = STREAMED[item["type"]]
        text = item.get(field) or ""
        for piece in cut_in_pieces(text, pieces):
            yield f"response.{name}.delta", {**at, "delta": piece}
        named = {"name": item["name"]} if item["type"] == "function_call" else {}
        yield f"response.{name}.done", {**at, field: text, **named}
    for step in steps[-1:]:
        yield f"response.{item['type']}.{step}", at
    yield "response.output_item.done", {"output_index": index, "item": item}


def begun(item: dict) -> dict:
    """An item before anything of it was told. The encrypted reasoning comes with its end alone."""
    first = {name: value for name, value in item.items() if name != "encrypted_content"}
    if "status" in item:
        first["status"] = "in_progress"
    if item["type"] == "reasoning":
        first["summary"] = []
    elif item["type"] == "message":
        first["content"] = []
    elif item["type"] in STREAMED:
        first[STREAMED[item["type"]][0]] = ""
    return first


def told_summary(at: dict, part: dict, pieces: int) -> Iterator[Event]:
    yield "response.reasoning_summary_part.added", {**at, "part": {**part, "text": ""}}
    for piece in cut_in_pieces(part["text"], pieces):
        yield "response.reasoning_summary_text.delta", {**at, "delta": piece}
    yield "response.reasoning_summary_text.done", {**at, "text": part["text"]}
    yield "response.reasoning_summary_part.done", {**at, "part": part}


def told_part(at: dict, part: dict, pieces: int) -> Iterator[Event]:
    field = "refusal" if part["type"] == "refusal" else "text"
    logs = {} if field == "refusal" else {"logprobs": []}
    empty = {**part, field: "", **({"annotations": []} if "annotations" in part else {})}
    yield "response.content_part.added", {**at, "part": empty}
    for piece in cut_in_pieces(part[field], pieces):
        yield f"response.{part['type']}.delta", {**at, "delta": piece, **logs}
    for number, annotation in enumerate(part.get("annotations") or ()):
        fields = {**at, "annotation_index": number, "annotation": annotation}
        yield "response.output_text.annotation.added", fields
    yield f"response.{part['type']}.done", {**at, field: part[field], **logs}
    yield "response.content_part.done", {**at, "part": part}
