"""Compactions at the doors: made before a model is asked, or as its answer, and shown as OpenAI shows them."""

import functools
import json
import secrets
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any

from ..api.stored_responses import as_listed
from ..api.summaries import (
    FAILED,
    NoSummary,
    ask_proxy,
    compacted,
    compaction_made,
    made_in,
    named,
    sealed,
    with_writer,
)
from ..redis import runtime as runtimes
from ..redis.defects import safely_await
from ..redis.runtime import Runtime
from ..redis.store import off_the_loop, text_size
from ..request.call import Call
from ..request.compacting import KEPT_CHARACTERS, Item, begin_compacted, is_readable, parted, turns_of_items
from ..request.deployments import among_deployments, compacts_itself, is_native
from ..request.exchange import Exchange
from ..request.items import input_items
from ..request.streams import TERMINAL
from ..request.window import text_tokens, window_of
from ..values.compactions import KIND, TRIGGER
from ..values.ids import Place
from ..values.refusals import error_of
from ..values.results import Miss, StoreError
from ..values.turns import Turn, from_json

HEADER = "x-litellm-session-compaction"
# What has a Responses endpoint writes summaries that nobody else can read.
NO_WRITER = "Some deployments of the model have a Responses endpoint: set REDIS_SESSION_PATCH_COMPACTION_MODEL."

_BEGINNING = ("response.created", "response.queued", "response.in_progress")
_FAILURES = ("response.failed", "error")


async def compact_if_large(
    exchange: Exchange, data: MutableMapping[str, Any], params: Mapping[str, Any] | None
) -> None:
    """Where the client wants it, and its models do not do it themselves.

    ``data``: the request's parameters, whose input may begin with a compaction; ``params``: as the client sent them.
    """
    runtime, model = runtimes.current(), str(data.get("model") or exchange.model or "")
    most = _threshold_in(data.get("context_management"), model)
    if runtime is None or most is None or among_deployments(model, compacts_itself) == {True}:
        return
    data.pop("context_management")  # The chat completion has none.
    if runtime.settings.compaction_model is None and True in among_deployments(model, is_native):
        exchange.not_compacted = NO_WRITER
        return
    is_known = exchange.previous_id is None or exchange.history is not None
    if exchange.is_compacting or exchange.refused is not None or not is_known or exchange.caller.identity is None:
        return
    groups = turns_of_items(input_items(data.get("input")), exchange.by)
    turns, own = [*exchange.turns, *groups[:-1]], [item for turn in groups[-1:] for item in turn.items]
    if not turns or text_size(turns) < most:  # No token is shorter than a character.
        return
    before = await off_the_loop(text_size(turns), text_tokens, model, [*turns, *groups[-1:]])
    if before <= most:
        return
    is_compacted, kept = exchange.history is not None and exchange.history.sent is not None, min(KEPT_CHARACTERS, most)
    if parted(turns, kept) <= is_compacted:
        exchange.not_compacted = "there is nothing to compact but the newest turns"
        return
    known = (
        exchange.chain.tip.place if exchange.chain.tip is not None and not is_compacted and len(groups) < 2 else None
    )
    try:
        item, usage = await _once(runtime, exchange, params or {}, turns, kept, known)
    except NoSummary as error:
        exchange.not_compacted = str(error)
        error.count(runtime)
        runtime.rare_log.warn("compaction", f"A conversation could not be compacted, and stays as it was. {error}")
        return
    data["input"] = [item, *own]
    await begin_compacted(runtime, exchange, data)
    try:
        # A client that keeps its conversation itself finds it behind its own input, and drops what is before it.
        shown = await sealed(runtime, exchange.caller, [*exchange.turns, Turn(own, by=exchange.by)])
    except NoSummary as error:
        exchange.not_compacted = str(error)
        return
    exchange.made = named(exchange, shown)
    if usage is not None:
        runtime.metrics.record("compaction_tokens", before, "before")
        runtime.metrics.record("compaction_tokens", int(usage.get("output_tokens") or 0), "summary")


async def _once(
    runtime: Runtime, exchange: Exchange, params: Mapping[str, Any], turns: Sequence[Turn], kept: int, at: Place | None
) -> tuple[Item, Any]:
    """A compaction of ``turns``, all up to the response ``at``: if there is one, that of an earlier request.

    Raises NoSummary.
    """
    try:
        known = await runtime.store.compaction(at, exchange.caller) if at is not None else ""
    except StoreError:
        known = ""
    if known and not isinstance(known, Miss) and await is_readable(runtime, exchange.caller, known):
        return {"type": KIND, "encrypted_content": known}, None
    item, usage = await compacted(runtime, exchange, params, turns, kept)
    text = item["encrypted_content"]
    if at is not None and not known:
        nothing: str | Miss = ""
        first = await safely_await(runtime.store.compaction, at, exchange.caller, text, otherwise=nothing)
        text = text if not first or isinstance(first, Miss) else first
    return {"type": KIND, "encrypted_content": text}, usage


def _threshold_in(context_management: Any, model: str) -> int | None:
    """In tokens; ``None``: no compaction is wanted."""
    for entry in context_management if isinstance(context_management, list) else ():
        if isinstance(entry, dict) and entry.get("type") == KIND:
            most = entry.get("compact_threshold")
            is_given = isinstance(most, int) and not isinstance(most, bool) and most > 0
            return most if is_given else window_of(model) * 4 // 5
    return None


def is_changed(exchange: Exchange) -> bool:
    """Whether the reply is to show a compaction of ours."""
    call = exchange.answered or (exchange.calls[-1] if exchange.calls else None)
    return exchange.made is not None or (exchange.is_compacting and isinstance(call, Call))


async def with_compaction(exchange: Exchange, reply: Item) -> Item:
    """The reply with it. Raises NoSummary."""
    runtime = runtimes.current()
    if exchange.is_compacting and exchange.made is None and runtime is not None:
        try:
            exchange.made = await compaction_made(runtime, exchange, reply)
        except NoSummary as error:
            error.count(runtime)
            raise
        runtime.metrics.count("compactions", "made")
    if exchange.is_compacting:
        return {**reply, "output": [exchange.made]}
    return {**reply, "output": [exchange.made, *(reply.get("output") or ())]}


def no_summary(error: NoSummary) -> Any:
    from starlette.responses import JSONResponse

    body = error.body if isinstance(error.body, dict) and "error" in error.body else None
    kind = "invalid_request_error" if error.status == 400 else "server_error"
    return JSONResponse(body or {"error": error_of(str(error), None, FAILED, kind)}, error.status)


class StreamedCompaction:
    """The events of a stream, with its compaction among them."""

    def __init__(self, exchange: Exchange):
        self.exchange, self._is_said, self._added = exchange, False, 0

    async def chunk(self, chunk: Any) -> Any:
        """Of server-sent events."""
        text = chunk if isinstance(chunk, str) else bytes(chunk).decode("utf-8", "surrogatepass")
        lines: list[str] = []
        for line in text.split("\n"):
            event = _event_in(line)
            if event is None:
                lines += [line] if not line.startswith("event:") else []
                continue
            for each in await self.events(event):
                lines += [f"event: {each['type']}"] if "type" in each else []
                lines += [f"data: {json.dumps(each)}", ""]
        changed = "\n".join(lines)
        return changed if isinstance(chunk, str) else changed.encode()

    async def events(self, event: Item) -> Sequence[Item]:
        kind, said = event.get("type"), [event]
        if kind is None:  # LiteLLM's own way to say that something failed.
            return said
        if self.exchange.is_compacting:
            if kind in TERMINAL:
                try:
                    response = await with_compaction(self.exchange, event["response"])
                except NoSummary as error:
                    failure = {"code": "server_error", "message": str(error)}
                    failed = {**event["response"], "status": "failed", "output": [], "error": failure}
                    said = [{**event, "type": "response.failed", "response": failed}]
                else:
                    said = [*self._item_events(event), {**event, "response": response}]
            elif kind not in (*_BEGINNING, *_FAILURES):
                self._added -= 1
                return ()
        elif not self._is_said and kind not in _BEGINNING:
            said = [*self._item_events(event), event]
        if not self.exchange.is_compacting and self._is_said:
            said[-1] = await self._shifted(said[-1])
        return self._numbered(event, said)

    def _item_events(self, like: Item) -> list[Item]:
        self._is_said = True
        base = {name: like[name] for name in ("sequence_number",) if name in like}
        item = self.exchange.made
        kinds = ("response.output_item.added", "response.output_item.done")
        return [{**base, "type": kind, "output_index": 0, "item": item} for kind in kinds]

    async def _shifted(self, event: Item) -> Item:
        if isinstance(event.get("output_index"), int):
            event = {**event, "output_index": event["output_index"] + 1}
        if isinstance(response := event.get("response"), dict):
            event = {**event, "response": await with_compaction(self.exchange, response)}
        return event

    def _numbered(self, event: Item, said: Sequence[Item]) -> Sequence[Item]:
        if not isinstance(number := event.get("sequence_number"), int):
            return said
        numbered = [{**each, "sequence_number": number + self._added + n} for n, each in enumerate(said)]
        self._added += len(said) - 1
        return numbered


def _event_in(line: str) -> Item | None:
    event = from_json(line[5:]) if line.startswith("data:") else None
    return event if isinstance(event, dict) else None


def compact_route(upstreams: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """``POST /v1/responses/compact`` of models without a Responses endpoint of their own."""

    @functools.wraps(upstreams)
    async def endpoint(**given: Any) -> Any:
        reply = await safely_await(_compact_reply, given["request"], otherwise=None)
        return await upstreams(**given) if reply is None else reply

    return endpoint


async def _compact_reply(request: Any) -> Any:
    """``None``: it is upstream's."""
    from starlette.responses import JSONResponse

    body, runtime = from_json(await request.body()), runtimes.current()
    if runtime is None or not isinstance(body, dict) or not isinstance(body.get("model"), str):
        return None
    natives = among_deployments(body["model"], is_native)
    if natives == {True}:
        return None
    items, writer = input_items(body.get("input")), runtime.settings.compaction_model
    try:
        if True in natives and writer is None:
            raise NoSummary(NO_WRITER, 400)
        params, after = with_writer(body, writer), body.get("previous_response_id")
        item = made_in(reply := await ask_proxy(request, params, [*items, {"type": TRIGGER}], after))
    except NoSummary as error:
        error.count(runtime)
        return no_summary(error)
    users = [each for each in items if each.get("role") == "user" and each.get("type", "message") == "message"]
    users = [{"id": f"msg_{secrets.token_hex(12)}", **as_listed(each)} for each in users]
    said = {name: reply.get(name) for name in ("id", "created_at", "usage")}
    return JSONResponse({**said, "object": "response.compaction", "output": [*users, item]})
