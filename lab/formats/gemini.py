"""Gemini `generateContent` and `streamGenerateContent`."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

from ..answers import Answer, ToolCall, as_object, cut_in_pieces, event_json
from ..wire import Call, Message, Result, Thinking, canonical_json, canonical_result

FINISH_REASONS = {
    "stop": "STOP",
    "tool_calls": "STOP",
    "length": "MAX_TOKENS",
    "content_filter": "SAFETY",
    "refusal": "PROHIBITED_CONTENT",
}


def either(fields: dict, camel: str, snake: str) -> object:
    """Google reads both spellings, and LiteLLM sends both."""
    return fields[camel] if camel in fields else fields.get(snake)


def parse(body: dict) -> list[Message]:
    system = either(body, "systemInstruction", "system_instruction") or {}
    messages = [Message("system", (part.get("text", ""),)) for part in system.get("parts", [])]
    for content in body.get("contents", []):
        role = "assistant" if content.get("role") == "model" else "user"
        messages.extend(parse_part(role, part) for part in content.get("parts", []))
    return messages


def parse_part(role: str, part: dict) -> Message:
    signature = either(part, "thoughtSignature", "thought_signature")
    thinking = (Thinking("", signature),) if signature else ()
    if part.get("thought"):
        return Message(role, thinking=(Thinking(part.get("text", ""), signature),))
    if "text" in part:
        return Message(role, (part["text"],), thinking=thinking)
    if call := either(part, "functionCall", "function_call"):
        return Message(
            role,
            calls=(Call(call.get("name", ""), canonical_json(call.get("args", {}))),),
            thinking=thinking,
        )
    if response := either(part, "functionResponse", "function_response"):
        media = [either(each, "inlineData", "inline_data") for each in response.get("parts", [])]
        images = tuple(data_url(data) for data in media if data)
        return Message("tool", images=images, results=(Result(result_text(response.get("response", {}))),))
    if data := either(part, "inlineData", "inline_data"):
        return Message(role, images=(data_url(data),))
    if file := either(part, "fileData", "file_data"):
        return Message(role, images=(either(file, "fileUri", "file_uri"),))
    return Message(role, (f"[part] {json.dumps(part, sort_keys=True, ensure_ascii=False)}",))


def data_url(data: dict) -> str:
    return f"data:{either(data, 'mimeType', 'mime_type')};base64,{data['data']}"


def result_text(response: object) -> str:
    """Plain text travels as an object with one member; a JSON object travels as itself."""
    if isinstance(response, dict) and len(response) == 1:
        (name, value), *_ = response.items()
        if name in ("content", "result", "output") and isinstance(value, str):
            return canonical_result(value)
    return canonical_json(response)


def tag_of(body: dict) -> int | None:
    settings = either(body, "generationConfig", "generation_config") or {}
    return either(settings, "maxOutputTokens", "max_output_tokens")


def parts_of(answer: Answer) -> list[dict]:
    parts: list[dict] = []
    if answer.thinking is not None:
        parts.append({"text": answer.thinking, "thought": True})
    parts.extend(dict(part) for part in answer.blocks)
    if answer.text:
        parts.append({"text": answer.text})
    parts.extend(call_part(call) for call in answer.tool_calls)
    if answer.signature is not None:
        signed = next((part for part in parts if "functionCall" in part), parts[-1] if parts else None)
        if signed is not None:
            signed["thoughtSignature"] = answer.signature
    return parts


def call_part(call: ToolCall) -> dict:
    return {"functionCall": {"name": call.name, "args": as_object(call.arguments)}}


def envelope(body: dict, answer: Answer) -> dict:
    return {
        "responseId": answer.id or uuid.uuid4().hex[:22],
        "modelVersion": "gemini-stand-in",
    }


def usage_of(body: dict, answer: Answer) -> dict:
    prompt = max(1, len(json.dumps(body.get("contents", []))) // 4)
    output = max(1, len(answer.text or "") // 4)
    return {
        "promptTokenCount": prompt,
        "candidatesTokenCount": output,
        "totalTokenCount": prompt + output,
    }


def candidate(parts: list[dict], finish: str | None) -> dict:
    content = {"role": "model", "parts": parts} if parts else {"role": "model"}
    return {"content": content, "index": 0, **({"finishReason": finish} if finish else {})}


def render(body: dict, answer: Answer) -> dict:
    finish = FINISH_REASONS[answer.finish_or_default]
    return {
        "candidates": [candidate(parts_of(answer), finish)],
        "usageMetadata": usage_of(body, answer),
        **envelope(body, answer),
    }


def stream(body: dict, answer: Answer) -> Iterator[bytes]:
    """Texts come in pieces, a function call in one; the last event carries the finish reason."""
    head = {"usageMetadata": usage_of(body, answer), **envelope(body, answer)}
    events: list[list[dict]] = []
    for part in parts_of(answer):
        if "text" not in part:
            events.append([part])
            continue
        pieces = [{**part, "text": piece} for piece in cut_in_pieces(part["text"], answer.pieces)]
        for unsigned in pieces[:-1]:
            unsigned.pop("thoughtSignature", None)
        events.extend([piece] for piece in pieces)
    events = events or [[]]
    for index, parts in enumerate(events):
        last = index == len(events) - 1
        finish = FINISH_REASONS[answer.finish_or_default] if last else None
        value = {"candidates": [candidate(parts, finish)], **head}
        yield b"data: " + event_json(value).encode() + b"\r\n\r\n"
