"""Anthropic messages."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

from ..answers import Answer, as_object, cut_in_pieces, event_json
from ..wire import Call, Message, Result, Thinking, canonical_json

STOP_REASONS = {
    "stop": "end_turn",
    "tool_calls": "tool_use",
    "length": "max_tokens",
    "content_filter": "refusal",
    "refusal": "refusal",
}


def blocks_of(content: object) -> list[dict]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return list(content or [])


def parse(body: dict) -> list[Message]:
    """Tool results stand in user messages here; they become messages of the role `tool`."""
    messages = [Message("system", (block["text"],)) for block in blocks_of(body.get("system"))]
    for message in body.get("messages", []):
        blocks = blocks_of(message.get("content"))
        messages.extend(parse_block(message.get("role", ""), block) for block in blocks)
    return messages


def parse_block(role: str, block: dict) -> Message:
    kind = block.get("type")
    if kind == "text":
        return Message(role, (block.get("text", ""),))
    if kind == "image":
        return Message(role, images=(image_url(block["source"]),))
    if kind == "tool_use":
        call = Call(block.get("name", ""), canonical_json(block.get("input")), block.get("id"))
        return Message(role, calls=(call,))
    if kind == "tool_result":
        parts = blocks_of(block.get("content"))
        text = "".join(part["text"] for part in parts if part.get("type") == "text")
        images = tuple(image_url(part["source"]) for part in parts if part.get("type") == "image")
        return Message("tool", images=images, results=(Result(text, block.get("tool_use_id")),))
    if kind == "thinking":
        return Message(role, thinking=(Thinking(block.get("thinking", ""), block.get("signature")),))
    if kind == "redacted_thinking":
        return Message(role, thinking=(Thinking(block.get("data", "")),))
    return Message(role, (f"[{kind}] {json.dumps(block, sort_keys=True, ensure_ascii=False)}",))


def image_url(source: dict) -> str:
    if source["type"] == "base64":
        return f"data:{source['media_type']};base64,{source['data']}"
    return source["url"]


def tag_of(body: dict) -> int | None:
    return body.get("max_tokens")


def content_of(answer: Answer) -> list[tuple[dict, str]]:
    """Each block, and the text that is streamed of it; "": it comes whole."""
    blocks: list[tuple[dict, str]] = []
    if answer.compaction is not None:
        blocks.append(({"type": "compaction", "content": answer.compaction}, answer.compaction))
    if answer.thinking is not None:
        block = {"type": "thinking", "thinking": answer.thinking, "signature": answer.signature or ""}
        blocks.append((block, answer.thinking))
    blocks += [(block, streamed_of(block)) for block in answer.blocks]
    if answer.text:
        blocks.append(({"type": "text", "text": answer.text}, answer.text))
    for call in answer.tool_calls:
        block = {"type": "tool_use", "id": call.id or f"toolu_{uuid.uuid4().hex[:24]}", "name": call.name}
        blocks.append(({**block, "input": as_object(call.arguments)}, call.arguments))
    return blocks


def streamed_of(block: dict) -> str:
    if "input" in block:
        return json.dumps(block["input"])
    return block[block["type"]] if block["type"] in ("text", "thinking") else ""


def usage_of(body: dict, answer: Answer) -> dict:
    return {
        "input_tokens": max(1, len(json.dumps(body.get("messages", []))) // 4),
        "output_tokens": max(1, len(answer.text or "") // 4),
    }


def render(body: dict, answer: Answer) -> dict:
    return {
        "id": answer.id or f"msg_{uuid.uuid4().hex[:24]}",
        "type": "message",
        "role": "assistant",
        "model": body.get("model", "stand-in"),
        "content": [block for block, _ in content_of(answer)],
        "stop_reason": STOP_REASONS[answer.finish_or_default],
        "stop_sequence": None,
        "usage": usage_of(body, answer),
    }


def stream(body: dict, answer: Answer) -> Iterator[bytes]:
    whole = render(body, answer)
    blocks = content_of(answer)
    start = {
        **whole,
        "content": [],
        "stop_reason": None,
        "usage": {**whole["usage"], "output_tokens": 1},
    }
    yield event("message_start", message=start)
    yield event("ping")
    for index, (block, text) in enumerate(blocks):
        yield from stream_block(index, block, cut_in_pieces(text, answer.pieces))
    delta = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    yield event("message_delta", delta=delta, usage={"output_tokens": whole["usage"]["output_tokens"]})
    yield event("message_stop")


def stream_block(index: int, block: dict, pieces: list[str]) -> Iterator[bytes]:
    def deltas(kind: str, name: str, values: list[str]) -> list[bytes]:
        return [event("content_block_delta", index=index, delta={"type": kind, name: value}) for value in values]

    kind, first, rest = block["type"], block, []
    if kind == "thinking":
        first = {**block, "thinking": "", "signature": ""}
        signature = [block["signature"]] if block["signature"] else []
        rest = deltas("thinking_delta", "thinking", pieces) + deltas("signature_delta", "signature", signature)
    elif kind == "compaction":
        first, rest = {**block, "content": ""}, deltas("compaction_delta", "content", ["".join(pieces)])
    elif kind == "text":
        first = {**block, "text": ""}
        rest = deltas("citations_delta", "citation", first.pop("citations", [])) + deltas("text_delta", "text", pieces)
    elif "input" in block:
        first, rest = {**block, "input": {}}, deltas("input_json_delta", "partial_json", pieces)
    yield event("content_block_start", index=index, content_block=first)
    yield from rest
    yield event("content_block_stop", index=index)


def event(kind: str, **fields: object) -> bytes:
    data = event_json({"type": kind, **fields})
    return f"event: {kind}\ndata: {data}\n\n".encode()
