"""The shape of a response: the fields of OpenAI's published schema that LiteLLM's replies of bridged models lack.

What a reply has stays as it is. What it lacks, or has as null though the schema takes no null, is what the request
said, or else what OpenAI documents as the default. Source: OpenAI's API reference ("The response object", "Streaming
events") and the OpenResponses schema of 2026-04, which is the same with every field required.
"""

import time
from collections.abc import Mapping
from typing import Any

Fields = dict[str, Any]

# Of a request, what its response says again; and what that is where the request does not say it.
SAID_AGAIN: Fields = {
    **dict.fromkeys(("instructions", "max_output_tokens", "max_tool_calls", "model", "previous_response_id")),
    **dict.fromkeys(("prompt_cache_key", "safety_identifier", "user")),
    "frequency_penalty": 0.0,
    "metadata": {},
    "parallel_tool_calls": True,
    "presence_penalty": 0.0,
    "reasoning": {"effort": None, "summary": None},
    "service_tier": "default",
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
}
# What no request says.
_ITS_OWN: Fields = {
    **dict.fromkeys(("completed_at", "error", "incomplete_details", "usage")),
    "background": False,
    "object": "response",
    "output": [],
    "store": True,
}
# Objects of which a part may be missing; of ``metadata`` LiteLLM has all or nothing.
_IN_PARTS = ("reasoning", "text")
_USAGE: Fields = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
_TOOL: Fields = dict.fromkeys(("description", "parameters", "strict"))
# Of an MCP server: "not visible in the response object".
_SECRET = ("authorization", "headers")
_ITEMS: dict[str, Fields] = {
    "message": {"status": "completed", "role": "assistant", "content": []},
    "function_call": {"status": "completed"},
    "reasoning": {},
}
_TEXT: Fields = {"text": "", "annotations": [], "logprobs": []}
_EVENTS: dict[str, Fields] = {
    "response.output_text.delta": {"logprobs": []},
    "response.output_text.done": {"logprobs": []},
    **{
        f"response.reasoning_summary_{what}": {"summary_index": 0}
        for what in ("text.delta", "text.done", "part.added", "part.done")
    },
}


def shaped_response(response: Mapping[str, Any], said: Mapping[str, Any]) -> Fields:
    """``said``: the request's parameters."""
    shaped = {**response}
    for name, usual in SAID_AGAIN.items():
        given, asked = response.get(name), said.get(name)
        wanted = usual if asked is None or (name, asked) == ("service_tier", "auto") else asked
        if name in _IN_PARTS and isinstance(given or {}, Mapping) and isinstance(wanted, Mapping):
            shaped[name] = {**usual, **wanted, **{part: value for part, value in (given or {}).items() if value}}
        elif given is None or given == {}:
            shaped[name] = wanted
    for name, usual in _ITS_OWN.items():
        if shaped.get(name) is None:
            shaped[name] = usual
    # LiteLLM says so of what is not to be stored, too.
    shaped["store"] = shaped["store"] and said.get("store") is not False
    if shaped["completed_at"] is None and shaped.get("status") == "completed":
        shaped["completed_at"] = max(int(time.time()), int(shaped.get("created_at") or 0))
    shaped["tools"] = [_shaped_tool(tool) for tool in shaped["tools"]]
    shaped["output"] = [shaped_item(item) for item in shaped["output"]]
    if isinstance(usage := shaped["usage"], Mapping):
        parts = {name: {**usual, **_without_nulls(usage.get(name) or {})} for name, usual in _USAGE.items()}
        shaped["usage"] = {**usage, **parts}
    return shaped


def _shaped_tool(tool: Any) -> Any:
    if not isinstance(tool, Mapping):
        return tool
    if tool.get("type") == "mcp":
        return {name: value for name, value in tool.items() if name not in _SECRET}
    return {**_TOOL, **tool} if tool.get("type") == "function" else tool


def shaped_item(item: Any) -> Any:
    """Of a response's output. Nulls in it are no item's of OpenAI's."""
    if not (isinstance(item, Mapping) and (usual := _ITEMS.get(str(item.get("type")))) is not None):
        return item
    shaped = {**usual, **_without_nulls(item)}
    if isinstance(parts := shaped.get("content"), list):
        shaped["content"] = [shaped_part(part) for part in parts]
    if item["type"] == "reasoning" and "summary" not in shaped:
        texts = (part["text"] for part in shaped.get("content") or () if isinstance(part.get("text"), str))
        shaped["summary"] = [{"type": "summary_text", "text": text} for text in texts]
    return shaped


def shaped_part(part: Any) -> Any:
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind == "reasoning_text":  # until 1.9x LiteLLM has another name for its text.
        return {"text": part.get("reasoning") or "", **_without_nulls(part)}
    return {**_TEXT, **_without_nulls(part)} if kind == "output_text" else part


def shaped_event(event: Mapping[str, Any], said: Mapping[str, Any]) -> Fields:
    """Of a stream; its ``sequence_number`` is its stream's to say."""
    shaped = {**_EVENTS.get(str(event.get("type")), {}), **event}
    if isinstance(response := event.get("response"), Mapping):
        shaped["response"] = shaped_response(response, said)
    if "item" in event:
        shaped["item"] = shaped_item(event["item"])
    if "part" in event:
        shaped["part"] = shaped_part(event["part"])
    return shaped


def _without_nulls(fields: Mapping[str, Any]) -> Fields:
    return {name: value for name, value in fields.items() if value is not None}
