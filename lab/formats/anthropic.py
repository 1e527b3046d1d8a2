"""Anthropic messages."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

from ..answers import Answer, cut_in_pieces, event_json
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
        messages.extend(parse_block(message["role"], block) for block in blocks_of(message["content"]))
    return messages


def parse_block(role: str, block: dict) -> Message:
    kind = block.get("type")
    if kind == "text":
        return Message(role, (block["text"],))
    if kind == "image":
        return Message(role, images=(image_url(block["source"]),))
    if kind == "tool_use":
        return Message(role, calls=(Call(block["name"], canonical_json(block["input"]), block["id"]),))
    if kind == "tool_result":
        parts = blocks_of(block.get("content"))
        text = "".join(part["text"] for part in parts if part.get("type") == "text")
        images = tuple(image_url(part["source"]) for part in parts if part.get("type") == "image")
        return Message("tool", images=images, results=(Result(text, block["tool_use_id"]),))
    if kind == "thinking":
        return Message(role, thinking=(Thinking(block["thinking"], block.get("signature")),))
    if kind == "redacted_thinking":
        return Message(role, thinking=(Thinking(block["data"]),))
    return Message(role, (f"[{kind}] {json.dumps(block, sort_keys=True, ensure_ascii=False)}",))


def image_url(source: dict) -> str:
    if source["type"] == "base64":
        return f"data:{source['media_type']};base64,{source['data']}"
    return source["url"]


def tag_of(body: dict) -> int | None:
    return body.get("max_tokens")


def content_of(answer: Answer) -> list[dict]:
    blocks: list[dict] = []
    if answer.compaction is not None:
        blocks.append({"type": "compaction", "content": answer.compaction})
    if answer.thinking is not None:
        blocks.append({"type": "thinking", "thinking": answer.thinking, "signature": answer.signature or ""})
    if answer.text:
        blocks.append({"type": "text", "text": answer.text})
    for call in answer.tool_calls:
        call_id = call.id or f"toolu_{uuid.uuid4().hex[:24]}"
        blocks.append(
            {
                "type": "tool_use",
                "id": call_id,
                "name": call.name,
                "input": json.loads(call.arguments),
            }
        )
    return blocks


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
        "content": content_of(answer),
        "stop_reason": STOP_REASONS[answer.finish_or_default],
        "stop_sequence": None,
        "usage": usage_of(body, answer),
    }


def stream(body: dict, answer: Answer) -> Iterator[bytes]:
    whole = render(body, answer)
    start = {
        **whole,
        "content": [],
        "stop_reason": None,
        "usage": {**whole["usage"], "output_tokens": 1},
    }
    yield event("message_start", message=start)
    yield event("ping")
    for index, block in enumerate(whole["content"]):
        yield from stream_block(index, block, answer.pieces)
    delta = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    yield event("message_delta", delta=delta, usage={"output_tokens": whole["usage"]["output_tokens"]})
    yield event("message_stop")


def stream_block(index: int, block: dict, pieces: int) -> Iterator[bytes]:
    def delta(kind: str, name: str, value: str) -> bytes:
        return event("content_block_delta", index=index, delta={"type": kind, name: value})

    if block["type"] == "thinking":
        empty = {"type": "thinking", "thinking": "", "signature": ""}
        deltas = [delta("thinking_delta", "thinking", piece) for piece in cut_in_pieces(block["thinking"], pieces)]
        if block["signature"]:
            deltas.append(delta("signature_delta", "signature", block["signature"]))
    elif block["type"] == "compaction":
        empty = {"type": "compaction", "content": ""}
        deltas = [delta("compaction_delta", "content", block["content"])]
    elif block["type"] == "text":
        empty = {"type": "text", "text": ""}
        deltas = [delta("text_delta", "text", piece) for piece in cut_in_pieces(block["text"], pieces)]
    else:
        empty = {**block, "input": {}}
        spelled = json.dumps(block["input"], ensure_ascii=False)
        deltas = [delta("input_json_delta", "partial_json", piece) for piece in cut_in_pieces(spelled, pieces)]
    yield event("content_block_start", index=index, content_block=empty)
    yield from deltas
    yield event("content_block_stop", index=index)


def event(kind: str, **fields: object) -> bytes:
    data = event_json({"type": kind, **fields})
    return f"event: {kind}\ndata: {data}\n\n".encode()


def render_error(status: int, text: str) -> dict:
    return {"type": "error", "error": {"type": "api_error", "message": text}}
