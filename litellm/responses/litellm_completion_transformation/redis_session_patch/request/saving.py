"""Storing a turn where its reply leaves, before the client can use its id."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from ..redis.runtime import Runtime
from ..values.results import NotStored, StoreError, StoreUnavailable
from ..values.turns import Turn
from .call import Call
from .conversing import keep
from .exchange import Exchange
from .native import NativeCall

Reply = dict[str, Any]


async def store_reply(runtime: Runtime, exchange: Exchange, reply: Reply) -> None:
    """Stores the turn of ``exchange``. ``reply``: the response, as its client gets it.

    Where the turn cannot or must not be stored, that is counted, and the reply leaves all the same.
    """
    call = exchange.answered
    if call is None:
        return
    result = why_not(runtime, call) or await _append(runtime, call, reply)
    while result == "failed" and exchange.is_in_background and await exchange.job.is_to_try_again():
        result = await _append(runtime, call, reply)
    exchange.became = result
    runtime.metrics.count("turns", result)


async def _append(runtime: Runtime, call: Call | NativeCall, reply: Reply) -> str:
    """What became of the turn, in the words of the metrics."""
    exchange = call.exchange
    if exchange.is_in_background:
        reply = exchange.job.marked(reply)
    *rounds, last = call.new_turns
    turns = [*rounds, _as_it_left(last, reply, exchange.streamed_before)]
    try:
        if last.input is None:
            raise NotStored("The client's input has no form that can be stored.")
        if exchange.conversation_shown is not None:
            await keep(runtime, exchange, turns, len(call.rounds))
        else:
            await runtime.store.append(exchange.place, turns, exchange.chain, exchange.caller)
    except StoreUnavailable:
        return "failed"
    except StoreError as error:
        runtime.rare_log.warn("skipped", f"A turn is not stored. {error}")
        return "skipped"
    return "stored"


def why_not(runtime: Runtime, call: Call | NativeCall) -> str | None:
    """Why a turn must not be stored, in the words of the metrics; ``None`` where it is to be."""
    exchange, history = call.exchange, call.exchange.history
    if exchange.caller.identity is None:
        return "unidentified"
    # A defect, by which the model was not sent what it goes on from: it must not pass for a first turn.
    if exchange.previous_id is not None and (history is None or (history.is_ours and not call.is_served)):
        return "skipped"
    if exchange.is_after_ours and exchange.turns and not call.is_served:
        return "skipped"
    if not exchange.is_to_be_stored and exchange.conversation_shown is None:
        return "store_false"
    return "unlogged" if not runtime.settings.store_unlogged and _is_unlogged(call.kwargs) else None


def _is_unlogged(kwargs: Mapping[str, Any]) -> bool:
    """Whether the operator, the key or the request turned message logging off."""
    from litellm.litellm_core_utils.redact_messages import should_redact_message_logging

    import litellm

    # A key's own setting comes this way; older releases do not ask for it below.
    if str(kwargs.get("turn_off_message_logging")).lower() == "true":
        return True
    body = (kwargs.get("proxy_server_request") or {}).get("body")
    asked = kwargs.get("no-log") or (body.get("no-log") if isinstance(body, Mapping) else None)
    if asked and not getattr(litellm, "global_disable_no_log_param", False):
        return True
    details = getattr(kwargs.get("litellm_logging_obj"), "model_call_details", None)
    return bool(should_redact_message_logging(details if isinstance(details, dict) else {}))


def _as_it_left(turn: Turn, reply: Reply, streamed_before: str) -> Turn:
    """``turn`` with the reply; its answer's text is what the client got, whatever a guardrail made of it.

    ``streamed_before``: what a model that broke off had said, before another one went on.
    """
    shown = {name: value for name, value in reply.items() if name != "id"}
    parts = list(_text_parts(shown))
    if streamed_before and parts and not str(parts[0]["text"]).startswith(streamed_before):
        parts[0]["text"] = streamed_before + parts[0]["text"]
    answer, text = turn.answer, "".join(part["text"] for part in parts)
    if len(answer) == 1 and text and isinstance(answer[0].get("content"), str) and text != answer[0]["content"]:
        answer = ({**answer[0], "content": text},)
    return replace(turn, answer=answer, reply=shown)


def _text_parts(reply: Reply) -> Iterator[dict[str, Any]]:
    for item in reply.get("output") or ():
        for part in item.get("content") or () if item.get("type") == "message" else ():
            if isinstance(part.get("text"), str):
                yield part
