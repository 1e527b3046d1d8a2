"""What a client asks of a response in the background: its state, its events, its end."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

from starlette.datastructures import QueryParams
from starlette.responses import StreamingResponse

from ..redis.defects import report
from ..redis.jobs import RUNNING, Event, Page, Record
from ..redis.runtime import Runtime
from ..request.streams import TERMINAL
from ..values.ids import Place, decrypted, place_of
from ..values.owner import Owner
from ..values.results import Miss, StoreError
from ..values.turns import NO_TURNS, Chain, JsonText, Tip, Turn
from .job import LOST, event_text, running_here
from .stored_responses import OPERATIONS as STORED
from .stored_responses import Asked, BadParameter, Serve, items_of, page

_POLL_SECONDS = 0.2
_KEEP_ALIVE_SECONDS = 15.0
_LAST_EVENT_SECONDS = 3.0  # until which the one that makes a response says its last event
_PATIENCE_SECONDS = 30.0  # for a Redis that is away

_NO_STREAM = "This response cannot be streamed because it was not created with {}=true."
_LOST_EVENTS = (
    "The events after 'starting_after' {} are not kept any more; those from {} on are. Retrieve the response instead."
)
_OVER = "This response cannot be streamed: it was not created with stream=true, or its events are not kept any more."


def _shown(asked: Asked, record: Record) -> dict[str, Any]:
    shown = {**record.shown["shown"], "id": asked.client_id, "status": record.status}
    return shown | ({"status": "failed", "error": LOST} if record.status == "lost" else {})


async def _retrieve(_: Runtime, asked: Asked, record: Record) -> dict[str, Any] | Miss:
    return _shown(asked, record)


async def _list_input(runtime: Runtime, asked: Asked, record: Record) -> dict[str, Any] | Miss:
    """As of one that is done, without waiting for that."""
    previous, chain = _place_of_previous(record), NO_TURNS
    found: Any = None
    if record.shown["shown"].get("conversation"):
        found = await runtime.store.talk(asked.place, asked.caller, 0)
    elif previous is not None:
        found = await runtime.store.read(previous, asked.caller)
    if isinstance(found, Chain):  # else it was deleted meanwhile
        chain = found
    said = record.shown.get("input")
    turns = (*chain.turns, Turn(JsonText(said if said is not None else "[]")))
    tip = chain.tip or Tip(asked.place, 0, 0, 0, 0, 0)
    return page(
        items_of(replace(chain, turns=turns, tip=tip, turn_ids=(*chain.turn_ids, asked.place.turn))), asked.query
    )


def _place_of_previous(record: Record) -> Place | None:
    previous = record.shown["shown"].get("previous_response_id")
    return place_of(decrypted(previous)) if isinstance(previous, str) else None


def _or_background(serve: Serve, of_record: Any) -> Serve:
    async def served(runtime: Runtime, asked: Asked) -> dict[str, Any] | Miss:
        found = await serve(runtime, asked)
        if found is not Miss.UNFINISHED:
            return found
        record = await runtime.jobs.read(asked.place, asked.caller)
        if record is None:  # It has just been done.
            return await serve(runtime, asked)
        reply: dict[str, Any] | Miss = record if isinstance(record, Miss) else await of_record(runtime, asked, record)
        return reply

    return served


async def _cancel(runtime: Runtime, asked: Asked) -> dict[str, Any] | Miss:
    record = await runtime.jobs.read(asked.place, asked.caller, is_to_cancel=True)
    if isinstance(record, Miss):
        return record
    if record is None:
        found = await runtime.store.read(asked.place, asked.caller)
        if isinstance(found, Miss):
            return found
        shown = found.turns[-1].shown or {}
        status = shown.get("status") if shown.get("background") else "synchronous"
        raise BadParameter(None, f"Cannot cancel a {status} response.", None)
    reply = _shown(asked, record)
    if (job := running_here(asked.place)) is not None:
        job.stop("cancelled")
    if record.status != "cancelled":
        raise BadParameter(None, f"Cannot cancel a {reply['status']} response.", None)
    return reply


async def _delete(runtime: Runtime, asked: Asked) -> dict[str, Any] | Miss:
    reply = await STORED["DELETE", "{response_id}"](runtime, asked)
    if not isinstance(reply, Miss) and (job := running_here(asked.place)) is not None:
        job.stop("deleted")
    return reply


async def _get(runtime: Runtime, asked: Asked) -> Any:
    if asked.query.get("stream", "").lower() in ("true", "1"):
        return await _stream(runtime, asked)
    if asked.query.get("starting_after"):  # which without a stream says nothing
        rest = [(name, value) for name, value in asked.query.multi_items() if name != "starting_after"]
        asked = replace(asked, query=QueryParams(rest))
    return await _or_background(STORED["GET", "{response_id}"], _retrieve)(runtime, asked)


OPERATIONS: dict[tuple[str, str], Any] = {
    ("GET", "{response_id}"): _get,
    ("GET", "input_items"): _or_background(STORED["GET", "input_items"], _list_input),
    ("DELETE", "{response_id}"): _delete,
    ("POST", "cancel"): _cancel,
}


async def _stream(runtime: Runtime, asked: Asked) -> Any:
    """The events after ``starting_after``, then those to come. Raises BadParameter, or StoreError."""
    text = asked.query.get("starting_after") or "-1"
    if not re.fullmatch("-?[0-9]{1,12}", text):
        invalid = f"Invalid type for 'starting_after': expected an integer, but got '{text}' instead."
        raise BadParameter("starting_after", invalid, "invalid_type")
    after = max(-1, int(text))
    found = await runtime.jobs.events(asked.place, asked.caller, after)
    if isinstance(found, Miss):
        return found
    if found.first is None and (problem := await _why_no_events(runtime, asked, found)) is not None:
        raise BadParameter("stream", problem, None)
    _check_offset(found, after)
    return stream_of(runtime, asked, after, found)


async def _why_no_events(runtime: Runtime, asked: Asked, found: Page) -> str | None:
    """``None``: there will be some."""
    if found.status == "found":
        chain = await runtime.store.read(asked.place, asked.caller)
        is_background = not isinstance(chain, Miss) and (chain.turns[-1].shown or {}).get("background")
        return _OVER if is_background else _NO_STREAM.format("background")
    record = await runtime.jobs.read(asked.place, asked.caller)
    if not isinstance(record, Record):
        return _OVER
    if not record.shown.get("streamed"):
        return _NO_STREAM.format("stream")
    # What was lost before its first event was kept has a last one.
    return None if record.status in RUNNING or record.status == "lost" else _OVER


def _check_offset(found: Page, after: int) -> None:
    if found.first is not None and after + 1 < found.first:
        problem = _LOST_EVENTS.format(after, found.first)
        raise BadParameter("starting_after", problem, "events_not_kept", status=409)


def stream_of(runtime: Runtime, asked: Asked, after: int, found: Page | None = None) -> StreamingResponse:
    headers = {"cache-control": "no-cache", "x-accel-buffering": "no"}
    return StreamingResponse(_follow(runtime, asked, after, found), headers=headers, media_type="text/event-stream")


async def _follow(runtime: Runtime, asked: Asked, after: int, found: Page | None) -> AsyncIterator[str]:
    """Server-sent events. What ends early, as Redis is away for long or an event is lost, may be asked for again."""
    ended_at, heard_at, said_at = 0.0, time.monotonic(), time.monotonic()
    while True:
        job = running_here(asked.place)
        changed = job.changed if job is not None else None
        if found is None:
            try:
                new = await runtime.jobs.events(asked.place, asked.caller, after)
            except StoreError:
                new = None
            if new is Miss.DELETED:
                return
            found = new if isinstance(new, Page) else None  # else Redis is away, or has forgotten it, and hears of it
            heard_at = time.monotonic() if found is not None else heard_at
        if found is not None:
            if found.first is not None and after + 1 < found.first:
                yield _lost_events(after, found.first)
                return
            for event in found.events:
                yield _as_sent(event)
                after, said_at = event.number, time.monotonic()
                if event.is_last:
                    return
            if found.is_ended and found.last is not None and after >= found.last:
                return
            if found.status not in RUNNING and not found.events:
                ended_at = ended_at or time.monotonic()
                if time.monotonic() - ended_at > _LAST_EVENT_SECONDS or found.status == "lost":
                    if (last := await _last_event(runtime, asked, after + 1)) is not None:
                        yield _as_sent(last)
                    return
        is_more = found is not None and bool(found.events)
        found = None
        if is_more:
            continue
        if time.monotonic() - heard_at > _PATIENCE_SECONDS:
            return
        if time.monotonic() - said_at > _KEEP_ALIVE_SECONDS:
            said_at = time.monotonic()
            yield ": keep-alive\n\n"
        await _wait(changed)


async def _wait(changed: asyncio.Event | None) -> None:
    if changed is None:
        await asyncio.sleep(_POLL_SECONDS)
        return
    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(changed.wait(), 1.0)


async def _last_event(runtime: Runtime, asked: Asked, number: int) -> Event | None:
    """Of a response whose proxy has not said it; ``None``: nobody knows."""
    try:
        shown: Any = await _or_background(STORED["GET", "{response_id}"], _retrieve)(
            runtime, replace(asked, query=QueryParams())
        )
    except (StoreError, BadParameter) as error:
        report(error)
        return None
    if isinstance(shown, Miss):
        return None
    kind = f"response.{shown.get('status')}"
    kind = kind if kind in TERMINAL else "response.failed"
    return Event(number, event_text({"type": kind, "response": shown, "sequence_number": number}), True)


def _lost_events(after: int, first: int) -> str:
    """The end for who reads too slowly."""
    said = {"code": "events_not_kept", "message": _LOST_EVENTS.format(after, first), "param": None}
    return _as_sent(Event(after + 1, event_text({"type": "error", **said, "sequence_number": after + 1}), True))


def _as_sent(event: Event) -> str:
    kind = event.text.split('"', 4)[3]  # it comes first
    return f"event: {kind}\ndata: {event.text}\n\n"


def asked_by(client_id: str, place: Place, caller: Owner) -> Asked:
    return Asked(client_id, place, QueryParams(), caller)
