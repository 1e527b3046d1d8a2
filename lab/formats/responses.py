"""OpenAI responses, as a provider with an endpoint for them serves it.

An answer's items: its reasoning, its `blocks` (traces of hosted tools, as they are on the wire, with an id where they
have none), its message, its calls; a call to a tool of the type `custom` is a `custom_tool_call`. A reasoning item has
its `encrypted_content` where the request's `include` asks for it.

All ids, and the time of creation, follow from the response's id: what is streamed, what is answered and what is held
are the same.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import time
from collections.abc import Iterator

from ..answers import Answer, ToolCall
from ..wire import Call, Message, Result, Thinking, canonical_json
from .responses_events import event, events_of

ENCRYPTED = "reasoning.encrypted_content"
INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
ID = re.compile(r"resp_[0-9a-f]{18}([0-9a-f]{8})[0-9a-f]{24}")
PREFIXES = {
    "reasoning": "rs",
    "message": "msg",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
    "web_search_call": "ws",
    "file_search_call": "fs",
    "code_interpreter_call": "ci",
    "image_generation_call": "ig",
    "mcp_call": "mcp",
    "mcp_list_tools": "mcpl",
    "mcp_approval_request": "mcpr",
    "computer_call": "cu",
    "compaction": "cmp",
}
# What a response repeats of its request, with what stands there where the request names none.
ECHOED: dict[str, object] = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "default",
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}, "verbosity": "medium"},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}


def new_id() -> str:
    """Of a response. Like OpenAI's it has the time in it."""
    return f"resp_{secrets.token_hex(8)}00{int(time.time()):08x}{secrets.token_hex(12)}"


def derived_id(response_id: str, prefix: str, place: object) -> str:
    return f"{prefix}_{hashlib.sha256(f'{response_id} {place}'.encode()).hexdigest()[:50]}"


def input_of(body: dict) -> list[dict]:
    """The items of a request; a text is a message of the user."""
    sent = body.get("input")
    if isinstance(sent, str):
        return [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": sent}]}]
    return [each for each in sent if isinstance(each, dict)] if isinstance(sent, list) else []


def kind_of(item: dict) -> str:
    """Messages and references may leave their type out."""
    untyped = "message" if "role" in item else "item_reference" if "id" in item else ""
    return item.get("type") or untyped


def parse(body: dict) -> list[Message]:
    instructions = body.get("instructions")
    system = [Message("system", (instructions,))] if isinstance(instructions, str) else []
    return system + [parse_item(item) for item in input_of(body)]


def parse_item(item: dict) -> Message:
    kind = kind_of(item)
    if kind == "message":
        texts, images = parse_content(item.get("content"))
        role = item.get("role", "")
        return Message("system" if role == "developer" else role, texts, images)
    if kind == "function_call":
        return called(item, item.get("arguments", ""))
    if kind == "custom_tool_call":
        return called(item, item.get("input", ""))
    if kind in ("function_call_output", "custom_tool_call_output"):
        texts, images = parse_content(item.get("output"))
        return Message("tool", images=images, results=(Result("".join(texts), item.get("call_id")),))
    if kind == "reasoning":
        summary = "\n\n".join(each.get("text", "") for each in item.get("summary") or ())
        return Message("assistant", thinking=(Thinking(summary, item.get("encrypted_content")),))
    return Message("assistant", (f"[{kind}] {json.dumps(item, sort_keys=True, ensure_ascii=False)}",))


def called(item: dict, arguments: str) -> Message:
    call = Call(item.get("name", ""), canonical_json(arguments), item.get("call_id"))
    return Message("assistant", calls=(call,))


def parse_content(content: object) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The texts and the images of a message or of a tool's output."""
    if isinstance(content, str):
        return (content,), ()
    texts, images = [], []
    for part in content if isinstance(content, list) else ():
        if not isinstance(part, dict):
            continue
        kind = part.get("type")
        if kind in ("input_text", "output_text", "text"):
            texts.append(part.get("text", ""))
        elif kind == "refusal":
            texts.append(part.get("refusal", ""))
        elif kind == "input_image":
            images.append(part.get("image_url") or part.get("file_id") or "")
        else:
            texts.append(f"[{kind}] {json.dumps(part, sort_keys=True, ensure_ascii=False)}")
    return tuple(texts), tuple(images)


def tag_of(body: dict) -> int | None:
    return body.get("max_output_tokens")


def output_of(body: dict, answer: Answer, response_id: str) -> list[dict]:
    status = "incomplete" if answer.finish in INCOMPLETE else "completed"
    items: list[dict] = []
    if answer.thinking is not None:
        summary = [{"type": "summary_text", "text": answer.thinking}] if answer.thinking else []
        reasoning = {"type": "reasoning", "summary": summary}
        if answer.signature and ENCRYPTED in (body.get("include") or ()):
            reasoning["encrypted_content"] = answer.signature
        items.append(reasoning)
    items += answer.blocks
    if answer.text or not (items or answer.tool_calls or answer.text is None):
        part: dict = {"type": "output_text", "annotations": [], "logprobs": [], "text": answer.text, **answer.extra}
        if answer.finish == "refusal":
            part = {"type": "refusal", "refusal": answer.text}
        items.append({"type": "message", "status": status, "role": "assistant", "content": [part]})
    customs = {tool.get("name") for tool in body.get("tools") or () if tool.get("type") == "custom"}
    items += [
        call_item(call, call.name in customs, call.id or derived_id(response_id, "call", number)[:29], status)
        for number, call in enumerate(answer.tool_calls)
    ]
    return [
        {"id": derived_id(response_id, PREFIXES.get(item["type"], "item"), number), **item}
        for number, item in enumerate(items)
    ]


def call_item(call: ToolCall, is_custom: bool, call_id: str, status: str) -> dict:
    said = {"type": "custom_tool_call", "input": call.arguments}
    if not is_custom:
        said = {"type": "function_call", "arguments": call.arguments}
    return {**said, "status": status, "call_id": call_id, "name": call.name}


def usage_of(body: dict, answer: Answer) -> dict:
    given = max(1, len(json.dumps(body.get("input"))) // 4)
    said, thought = max(1, len(answer.text or "") // 4), len(answer.thinking or "") // 4
    return {
        "input_tokens": given,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": said + thought,
        "output_tokens_details": {"reasoning_tokens": thought},
        "total_tokens": given + said + thought,
    }


def render(body: dict, answer: Answer) -> dict:
    response_id = answer.id or new_id()
    dated = ID.fullmatch(response_id)
    created = int(dated.group(1), 16) if dated else int(time.time())
    reason = INCOMPLETE.get(answer.finish or "")
    return {
        "id": response_id,
        "object": "response",
        "created_at": created,
        "status": "incomplete" if reason else "completed",
        "completed_at": None if reason else created,
        "error": None,
        "incomplete_details": {"reason": reason} if reason else None,
        "model": body.get("model", "stand-in"),
        "output": output_of(body, answer, response_id),
        **{name: body.get(name, default) for name, default in ECHOED.items()},
        "usage": usage_of(body, answer),
    }


def stream(body: dict, answer: Answer) -> Iterator[bytes]:
    return events_of(render(body, answer), answer.pieces)


def failure(body: dict, answer: Answer, number: int) -> bytes:
    """The event with which a stream fails. `number`: of its events, from 0."""
    failed = {"status": "failed", "error": {"code": "server_error", "message": answer.error}}
    unfinished = {"completed_at": None, "incomplete_details": None, "output": [], "usage": None}
    return event("response.failed", number, {"response": {**render(body, answer), **failed, **unfinished}})
