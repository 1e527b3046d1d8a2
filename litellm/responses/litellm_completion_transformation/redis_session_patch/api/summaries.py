"""Compactions that this proxy makes: by a request of the client's own, of which the model's answer is the summary.

Each is one request to the proxy itself, with the caller's key: authentication, budgets, guardrails, router and spend
are LiteLLM's. What asks for it (the route ``compact``, ``context_management``, an item of the client's) is only how it
comes here.
"""

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from contextvars import Context
from typing import Any

from ..redis.runtime import Runtime
from ..redis.store import off_the_loop, text_size
from ..request.call import Call
from ..request.compacting import KEPT_CHARACTERS, Item, summed_up, turns_of_items
from ..request.exchange import Exchange
from ..request.items import input_items
from ..values.compactions import KIND, TRIGGER, sealed_text
from ..values.ids import item_id_at
from ..values.owner import Owner
from ..values.results import NotStored
from ..values.turns import Turn

PROMPT = (
    "Your context is nearly full. Write a summary of this conversation that stands in its place, for a model that goes"
    " on with the work and knows nothing else of it. Say what the user wants and in which words they insist on it; what"
    " was done, found and decided, with names, numbers, paths and results as they are; what failed; what is left to do,"
    " and what comes next. Leave out greetings and what no longer matters. Answer with the summary alone, and call no"
    " tool."
)
# Of a trigger: how much of the newest turns stays as it is, in characters.
_KEPT = "kept_characters"
# Of an item's id: no output of a turn has so many others before it.
_NUMBER = 999_999
# Of a request's headers, those of its body or its connection, and its own name.
_OWN_HEADERS = ("accept-encoding", "connection", "content-length", "content-type", "transfer-encoding", "upgrade")
_CALL_ID = "x-litellm-call-id"
# Of a request's parameters, those that the request for its compaction has otherwise, or none of.
_NOT_PASSED_ON = {
    "background", "context_management", "conversation", "generate", "include", "input", "max_output_tokens", "model",
    "previous_response_id", "prompt", "store", "stream", "stream_options", "text", "tool_choice", "truncation", "type",
    "max_completion_tokens", "max_tokens", "n", "response_format", "stop",
}  # fmt: skip
# Of a request's parameters, those that another model need not take.
_OF_A_MODEL = {
    "parallel_tool_calls", "prompt_cache_key", "prompt_cache_retention", "reasoning", "service_tier", "temperature",
    "top_logprobs", "top_p",
}  # fmt: skip
# The code of an error that was counted.
FAILED = "compaction_failed"
_KEY_AS_PROTOCOL = re.compile(r"openai-insecure-api-key\.([^\s,]+)")


class NoSummary(Exception):
    """Why there is none: the message, and the reply that said so."""

    def __init__(self, message: str, status: int = 502, body: Any = None):
        super().__init__(message)
        self.status, self.body = status, body

    def count(self, runtime: Runtime) -> None:
        """Unless the request that was to make it has counted it."""
        error = self.body.get("error") if isinstance(self.body, dict) else None
        if not (isinstance(error, dict) and error.get("code") == FAILED):
            runtime.metrics.count("compactions", "failed")


def ask_for_summary(runtime: Runtime, call: Call) -> None:
    """Makes the request of a client that asks for a compaction one for a summary."""
    prompt = runtime.settings.compaction_prompt or PROMPT
    call.completion["messages"] = [*(call.completion.get("messages") or ()), {"role": "user", "content": prompt}]
    for name in ("response_format", "max_tokens", "max_completion_tokens", "stop"):
        call.completion.pop(name, None)


def let_no_tool_be_called(call: Call) -> None:
    """By the model that is to write a summary. The tools stay, for the provider's cache of prompts; without any, Claude
    takes no conversation with calls.
    """
    if tools := call.completion.get("tools") or _tools_called(call.completion.get("messages") or ()):
        call.completion |= {"tools": tools, "tool_choice": "none"}


def _tools_called(messages: Sequence[Mapping[str, Any]]) -> list[Item]:
    calls = (call.get("function") or {} for message in messages for call in message.get("tool_calls") or ())
    schema = {"type": "object", "properties": {}}
    names = dict.fromkeys(str(call.get("name")) for call in calls)
    return [{"type": "function", "function": {"name": name, "parameters": schema}} for name in names]


async def compaction_made(runtime: Runtime, exchange: Exchange, reply: Mapping[str, Any]) -> Item:
    """The item that stands for all that the request says. ``reply``: what its client would get, the summary in it.

    Raises NoSummary.
    """
    parts = (part for item in reply.get("output") or () if item.get("type") == "message" for part in item["content"])
    summary = "".join(str(part.get("text") or "") for part in parts)
    if reply.get("status") != "completed" or not summary.strip():
        raise NoSummary("The model gave no whole summary, so nothing is compacted.")
    said = input_items(json.loads(exchange.said.text)) if exchange.said is not None else []
    asked = said[-1].get(_KEPT) if said else None
    most = min(KEPT_CHARACTERS, asked) if isinstance(asked, int) and asked >= 0 else KEPT_CHARACTERS
    turns = [*exchange.turns, *turns_of_items([item for item in said if item.get("type") != TRIGGER], exchange.by)]
    if not turns:
        raise NoSummary("There is nothing to compact: the request has no input and follows no response.", 400)
    turns = await off_the_loop(text_size(turns), summed_up, turns, summary.strip(), most)
    return named(exchange, await sealed(runtime, exchange.caller, turns))


def named(exchange: Exchange, item: Item) -> Item:
    """With the id that it has in the output of this request's response."""
    return {"id": item_id_at(KIND, exchange.place, _NUMBER, is_input=False), **item}


async def compacted(
    runtime: Runtime, exchange: Exchange, params: Mapping[str, Any], turns: Sequence[Turn], kept_characters: int
) -> tuple[Item, Any]:
    """A compaction of ``turns``, and what it took. ``params``: of the client's request. Raises NoSummary."""
    items = [await sealed(runtime, exchange.caller, turns), {"type": TRIGGER, _KEPT: kept_characters}]
    params = with_writer({"model": exchange.model, **params}, runtime.settings.compaction_model)
    reply = await ask_proxy(exchange.connection, params, items)
    return made_in(reply), reply.get("usage")


async def sealed(runtime: Runtime, owner: Owner, turns: Sequence[Turn]) -> Item:
    """What stands for ``turns``, as they are. Raises NoSummary."""
    try:
        text = await off_the_loop(text_size(turns), runtime.seal.close, turns, owner)
    except (NotStored, TypeError, ValueError) as error:
        raise NoSummary(str(error)) from error
    return {"type": KIND, "encrypted_content": text}


def with_writer(params: Mapping[str, Any], writer: str | None) -> Mapping[str, Any]:
    """``params`` for the model that is to write a summary; ``None``: the request's own."""
    if writer is None or writer == params.get("model"):
        return params
    return {name: value for name, value in params.items() if name not in _OF_A_MODEL} | {"model": writer}


def made_in(reply: Mapping[str, Any]) -> Item:
    """The compaction of a reply. Raises NoSummary: a native model makes its own, which nobody else can read."""
    found = [item for item in reply.get("output") or () if sealed_text(item) is not None]
    if not found:
        raise NoSummary("The model gave no summary: it has a Responses endpoint of its own, or made something else.")
    item: Item = found[-1]
    return item


async def ask_proxy(
    connection: Any, params: Mapping[str, Any], items: Sequence[Item], after: str | None = None
) -> dict[str, Any]:
    """The reply of this proxy's own route for responses to the client of ``connection``. Raises NoSummary."""
    body = {name: value for name, value in params.items() if name not in _NOT_PASSED_ON}
    body |= {"model": params.get("model"), "input": list(items), "store": False}
    body |= {"previous_response_id": after} if after else {}
    # In a context of its own: there the request would be taken for one of the running one's.
    asking: asyncio.Future[tuple[int, Any]] = Context().run(asyncio.ensure_future, _ask(connection, body))
    try:
        status, reply = await asking
    finally:
        asking.cancel()
    if status != 200 or not isinstance(reply, dict):
        error = reply.get("error") if isinstance(reply, dict) else None
        message = (error.get("message") if isinstance(error, dict) else error) or reply
        raise NoSummary(str(message), status if status >= 400 else 502, reply)
    return reply


async def _ask(connection: Any, body: Mapping[str, Any]) -> tuple[int, Any]:
    import httpx

    app, client = connection.app, connection.client
    headers = [
        (name, value)
        for name, value in connection.headers.raw
        if (text := name.decode("latin-1").lower()) not in (*_OWN_HEADERS, _CALL_ID)
        and not text.startswith("sec-websocket")
    ]
    # Over a WebSocket a browser can say its key in no other way.
    if key := _KEY_AS_PROTOCOL.search(connection.headers.get("sec-websocket-protocol") or ""):
        headers.append((b"authorization", f"Bearer {key[1]}".encode()))
    transport = httpx.ASGITransport(
        app,
        raise_app_exceptions=False,
        root_path=connection.scope.get("root_path", ""),
        client=tuple(client) if client is not None else ("127.0.0.1", 0),
    )
    address = f"{connection.url.scheme.replace('ws', 'http')}://{connection.url.netloc}"
    async with httpx.AsyncClient(transport=transport, base_url=address, headers=headers, timeout=None) as asking:
        reply = await asking.post(
            "/v1/responses", content=json.dumps(body), headers={"content-type": "application/json"}
        )
    try:
        return reply.status_code, reply.json()
    except ValueError:
        return reply.status_code, reply.text
