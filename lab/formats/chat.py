"""OpenAI chat completions, as DeepSeek and many others serve it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator

from ..answers import Answer, cut_in_pieces, event_json
from ..wire import Message, message_from_chat

FINISH_REASONS = {"refusal": "stop"}  # others have the same name here


def parse(body: dict) -> list[Message]:
    return [message_from_chat(message) for message in body.get("messages", [])]


def tag_of(body: dict) -> int | None:
    return body.get("max_tokens") or body.get("max_completion_tokens")


def usage_of(body: dict, answer: Answer) -> dict:
    prompt = max(1, sum(len(str(message.get("content") or "")) for message in body.get("messages", [])) // 4)
    completion = max(1, len(answer.text or "") // 4)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }


def calls_of(answer: Answer) -> list[dict]:
    return [
        {
            "index": index,
            **({} if call.id == "" else {"id": call.id or f"call_{uuid.uuid4().hex[:24]}"}),
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        }
        for index, call in enumerate(answer.tool_calls)
    ]


def envelope(body: dict, answer: Answer, kind: str) -> dict:
    return {
        "id": answer.id or f"chatcmpl-{uuid.uuid4().hex}",
        "object": kind,
        "created": int(time.time()),
        "model": body.get("model", "stand-in"),
    }


def render(body: dict, answer: Answer) -> dict:
    refused = answer.finish == "refusal"
    message: dict = {"role": "assistant", "content": None if refused else answer.text}
    if refused:
        message["refusal"] = answer.text
    if answer.thinking is not None:
        message["reasoning_content"] = answer.thinking
    if answer.tool_calls:
        message["tool_calls"] = [{k: v for k, v in call.items() if k != "index"} for call in calls_of(answer)]
    others = [{"role": "assistant", "content": text} for text in answer.other_choices]
    finish = FINISH_REASONS.get(answer.finish_or_default, answer.finish_or_default)
    choices = [
        {"index": index, "message": each, "logprobs": None, "finish_reason": finish}
        for index, each in enumerate([{**message, **answer.extra}, *others])
    ]
    return {
        **envelope(body, answer, "chat.completion"),
        "choices": choices,
        "usage": usage_of(body, answer),
    }


def deltas_of(answer: Answer) -> Iterator[dict]:
    yield {"role": "assistant", "content": None if answer.text is None else "", **answer.extra}
    for piece in cut_in_pieces(answer.thinking or "", answer.pieces):
        yield {"reasoning_content": piece}
    text_field = "refusal" if answer.finish == "refusal" else "content"
    for piece in cut_in_pieces(answer.text or "", answer.pieces):
        yield {text_field: piece}
    for call in calls_of(answer):
        head = {**call, "function": {"name": call["function"]["name"], "arguments": ""}}
        yield {"tool_calls": [head]}
        for piece in cut_in_pieces(call["function"]["arguments"], answer.pieces):
            yield {"tool_calls": [{"index": call["index"], "function": {"arguments": piece}}]}


def stream(body: dict, answer: Answer) -> Iterator[bytes]:
    head = envelope(body, answer, "chat.completion.chunk")
    finish = FINISH_REASONS.get(answer.finish_or_default, answer.finish_or_default)
    for delta in deltas_of(answer):
        yield event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    for index, text in enumerate(answer.other_choices, start=1):
        delta = {"role": "assistant", "content": text}
        yield event({**head, "choices": [{"index": index, "delta": delta, "finish_reason": finish}]})
    yield event({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    if (body.get("stream_options") or {}).get("include_usage"):
        yield event({**head, "choices": [], "usage": usage_of(body, answer)})
    yield b"data: [DONE]\n\n"


def event(value: dict) -> bytes:
    return b"data: " + event_json(value).encode() + b"\n\n"
