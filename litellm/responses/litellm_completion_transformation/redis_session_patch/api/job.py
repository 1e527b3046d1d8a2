"""A response that this proxy makes in the background: a task here, and a lease in Redis.

There is no queue: when this proxy dies, the lease ends, and who asks next is told that the response is lost.
"""

import asyncio
import json
import os
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable
from contextlib import suppress
from itertools import islice
from typing import Any, NoReturn, TypeVar

from ..redis.connection import proxy_module
from ..redis.defects import report
from ..redis.jobs import EVENTS_AT_ONCE, RUNNING, Event, Shown
from ..redis.runtime import Runtime
from ..request.call import Call
from ..request.exchange import Exchange
from ..request.saving import why_not
from ..request.streams import TERMINAL
from ..values.ids import Place, wrapped_with_place
from ..values.refusals import (
    BACKGROUND_ENDED,
    BACKGROUND_FULL,
    BACKGROUND_OWNER_FULL,
    BACKGROUND_TOO_LARGE,
    BACKGROUND_UNAVAILABLE,
    BACKGROUND_UNKEPT,
    BACKGROUND_UNSTORED,
    NOT_FOUND,
    refuse,
)
from ..values.results import StoreError
from ..values.shape import shaped_response
from ..values.turns import dump_json

T = TypeVar("T")

BEAT_SECONDS = 2.0
FLUSH_SECONDS = 0.05
PATIENCE_SECONDS = 60.0  # for a Redis that is away when a response is done
RETRY_SECONDS = 0.5

LOST = {"code": "server_error", "message": "The proxy that made this response ended before the response was done."}
STOPPED = {"code": "server_error", "message": "The proxy that made this response was stopped before it was done."}

_FINAL = ("completed", "incomplete", "failed", "cancelled")

# Those that run in this process.
_running: "dict[Place, Job]" = {}


def running_here(place: Place) -> "Job | None":
    return _running.get(place)


class Job:
    """A request to run in the background. It is one once it is taken; until then it may be answered as any other.

    ``is_off``: it never will be taken. ``shown``: the response as its client gets it while it runs. ``changed``: set
    when there is something new for those who follow it here. ``ended``: why it is to end before it is done, and
    ``is_ending`` is set then. ``is_streaming``: upstream's stream is being read.
    """

    def __init__(self, exchange: Exchange, user_api_key: Any, *, is_streamed: bool):
        self.exchange, self.is_streamed = exchange, is_streamed
        self.is_taken, self.is_off = asyncio.Event(), False
        self.shown: Shown = {}
        self.changed = asyncio.Event()
        self.ended, self.is_ending = "", asyncio.Event()
        self.is_streaming = False
        self.task: asyncio.Task[Any] | None = None
        self._user_api_key = user_api_key
        self._started = time.monotonic()
        self._patience_ends = 0.0
        self._is_closing = False
        self._next_number = 0
        self._waiting = deque[Event]()
        self._sizes, self._bytes = deque[tuple[int, int]](), 0
        self._has_events = asyncio.Event()
        self._helpers: list[asyncio.Task[None]] = []

    @property
    def client_id(self) -> str:
        return str(self.shown["id"])

    async def take(self, runtime: Runtime, call: Call) -> None:
        """From now on its client need not wait. Raises LiteLLM's error where it may not run in the background."""
        if self.is_taken.is_set() or self.is_off:
            return
        self._runtime, place, owner = runtime, self.exchange.place, self.exchange.caller
        problem = why_not(runtime, call)
        said = self.exchange.said.text if self.exchange.said is not None else ""
        if problem in ("store_false", "unlogged", "unidentified"):
            self._refuse(BACKGROUND_UNSTORED if problem == "store_false" else BACKGROUND_UNKEPT, call)
        if len(said) > runtime.settings.max_turn_bytes:
            self._refuse(BACKGROUND_TOO_LARGE, call)
        if len(_running) >= runtime.settings.max_jobs:
            self._refuse(BACKGROUND_FULL, call)
        _running[place] = self  # before anybody else is looked at
        try:
            self.shown = await self._first_shown(call)
            status = await runtime.jobs.begin(place, owner, self._kept())
            if status != "queued":
                self._refuse(BACKGROUND_OWNER_FULL if status is None else NOT_FOUND, call)
        except BaseException as error:
            _running.pop(place, None)
            if isinstance(error, StoreError):
                self._refuse(BACKGROUND_UNAVAILABLE, call)
            raise
        runtime.metrics.record("jobs_running", len(_running))
        self._helpers = [asyncio.create_task(self._beat())]
        if self.is_streamed:
            self._helpers.append(asyncio.create_task(self._flush()))
            for kind in ("response.created", "response.queued"):
                self.note({"type": kind, "response": dict(self.shown)})
        self.is_taken.set()

    def _refuse(self, code: str, call: Call) -> NoReturn:
        self._runtime.metrics.count("jobs", "refused")
        refuse(code, str(call.completion.get("model") or ""), call.provider)

    async def _first_shown(self, call: Call) -> Shown:
        model_info = (call.kwargs.get("litellm_metadata") or {}).get("model_info") or {}
        exchange, own_id = self.exchange, f"background-{secrets.token_hex(8)}"
        named = own_id, exchange.place, exchange.previous_id, call.provider, model_info.get("id")
        exchange.shown_id = wrapped_with_place(*named)
        first = {
            "id": await _sealed_id(exchange.shown_id, self._user_api_key),
            "created_at": int(time.time()),
            "status": "queued",
            "background": True,
            "model": call.completion.get("model"),
            "conversation": exchange.conversation_shown,
        }
        shown: Shown = json.loads(dump_json(shaped_response(first, exchange.said_again)))
        return shown

    def _kept(self) -> Shown:
        said = self.exchange.said.text if self.exchange.said is not None else None
        return {"shown": self.shown, "input": said, "streamed": self.is_streamed}

    def marked(self, reply: Shown) -> Shown:
        """``reply`` as one of this response."""
        return {**reply, "id": self.client_id, "created_at": self.shown["created_at"], "background": True}

    async def is_to_try_again(self) -> bool:
        """Whether what Redis could not do is to be tried again, after a while, as nobody's request waits."""
        self._patience_ends = self._patience_ends or time.monotonic() + PATIENCE_SECONDS
        await asyncio.sleep(RETRY_SECONDS)
        return time.monotonic() < self._patience_ends and not self.ended

    def note(self, event: Shown, *, is_last: bool = False) -> None:
        """Keeps an event of the stream, with the next number."""
        if isinstance(event.get("response"), dict):
            event["response"] = self.marked(event["response"])
        event["sequence_number"] = number = self._next_number
        self._next_number += 1
        text = event_text(event)
        self._waiting.append(Event(number, text, is_last))
        self._sizes.append((number, len(text)))
        self._bytes += len(text)
        settings = self._runtime.settings
        while len(self._sizes) > settings.max_events or self._bytes > settings.max_event_bytes:
            if len(self._sizes) == 1:
                break
            self._bytes -= self._sizes.popleft()[1]
        while self._waiting[0].number < self._sizes[0][0]:  # Redis is away for long.
            self._waiting.popleft()
        self._has_events.set()

    async def finish(self, reply: Any, failure: Shown | None) -> None:
        """Its request is answered: ``reply``, by field, or ``failure``, an error as a response has it."""
        self._is_closing = True
        if failure is None and (not isinstance(reply, dict) or reply.get("object") != "response"):
            failure = {"code": "server_error", "message": "The model's answer is no response."}
        if failure is not None:
            await self._end("failed", {**self.shown, "status": "failed", "error": failure})
            return
        status = reply.get("status") if reply.get("status") in _FINAL else "completed"
        if self.exchange.became == "stored":
            await self._close(status, self.marked(reply))
        else:  # What cannot be stored, and a guardrail's own words: they are told, but nothing follows them.
            await self._end(status, self.marked(reply))

    async def _end(self, status: str, shown: Shown) -> None:
        """It ends without a turn."""
        self.shown = shown
        while True:
            try:
                await self._runtime.jobs.keep(self.exchange.place, self.exchange.caller, status, self._kept())
            except StoreError:
                if await self.is_to_try_again():
                    continue
            break
        await self._close(status, shown)

    async def _close(self, result: str, shown: Shown) -> None:
        """Says the last event, and leaves nothing behind."""
        if self.is_streamed:
            kind = f"response.{result}" if f"response.{result}" in TERMINAL else "response.failed"
            self.note({"type": kind, "response": shown}, is_last=True)
            while self._waiting and (self.ended != "deleted"):
                with suppress(StoreError):
                    await self._log_some()
                    continue
                if not await self.is_to_try_again():
                    break
        with suppress(StoreError):
            await self._runtime.jobs.leave(self.exchange.place, self.exchange.caller)
        self._runtime.metrics.record("job_seconds", time.monotonic() - self._started)
        if result != "lost":  # That is counted by whoever found it.
            self._runtime.metrics.count("jobs", result)

    def forget(self) -> None:
        """Whatever happened: its lease ends now, if it has not ended by itself."""
        for helper in self._helpers:
            helper.cancel()
        if _running.pop(self.exchange.place, None) is not None:
            self._runtime.metrics.record("jobs_running", len(_running))
        self._wake()

    def stop(self, why: str) -> None:
        """Ends it before it is done. ``why``: ``cancelled``, ``deleted``, ``stopped`` or ``lost``."""
        if self.ended or self._is_closing or self.task is None:
            return
        self.ended = why
        self.is_ending.set()
        if self.is_streaming:  # To upstream, as if the client had left.
            self.task.cancel()
        else:
            asyncio.get_running_loop().call_later(BEAT_SECONDS, self._cancel)

    def _cancel(self) -> None:
        """Where it was not at the model, and went on."""
        if not self._is_closing and self.task is not None:
            self.task.cancel()

    async def until_ended(self, answer: Awaitable[T]) -> T:
        """The model's ``answer``; a failure where the job ends before, so that upstream gives back what it holds."""
        asking, ending = asyncio.ensure_future(answer), asyncio.ensure_future(self.is_ending.wait())
        try:
            await asyncio.wait((asking, ending), return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                refuse(BACKGROUND_ENDED, "", None)
            return asking.result()
        finally:
            ending.cancel()
            asking.cancel()

    async def stopped(self) -> None:
        """What is left to do after ``stop``."""
        self._is_closing = True
        if self.ended == "stopped":
            self._patience_ends = time.monotonic() + BEAT_SECONDS  # The process is about to end.
            shown = {**self.shown, "status": "failed", "error": STOPPED}
            await self._end("failed", shown)
        else:
            error = LOST if self.ended == "lost" else None
            shown = {**self.shown, "status": "failed" if error else "cancelled", "error": error}
            await self._close(self.ended, shown)

    async def _beat(self) -> None:
        """Renews the lease, and hears whether somebody ended the response."""
        jobs, place, owner = self._runtime.jobs, self.exchange.place, self.exchange.caller
        while True:
            with suppress(StoreError):
                status = await jobs.keep(place, owner, "in_progress")
                if status == "unknown":  # Redis has lost it.
                    status = await jobs.keep(place, owner, "in_progress", self._kept())
                self._hear(status)
            await asyncio.sleep(BEAT_SECONDS)

    async def _flush(self) -> None:
        while True:
            await self._has_events.wait()
            try:
                await self._log_some()
                await asyncio.sleep(FLUSH_SECONDS)
            except StoreError:
                await asyncio.sleep(RETRY_SECONDS)
            except Exception as error:
                report(error)
                await asyncio.sleep(RETRY_SECONDS)

    async def _log_some(self) -> None:
        """Raises StoreError."""
        keep_from = self._sizes[0][0] if self._sizes else 0
        some = list(islice(self._waiting, EVENTS_AT_ONCE))
        if some:
            self._hear(await self._runtime.jobs.log(self.exchange.place, self.exchange.caller, some, keep_from))
        while some and self._waiting and self._waiting[0].number <= some[-1].number:
            self._waiting.popleft()
        if not self._waiting:
            self._has_events.clear()
        self._wake()

    def _hear(self, status: str) -> None:
        if status in ("cancelled", "deleted", "lost"):
            self.stop(status)
        self.shown["status"] = status if status in RUNNING else self.shown["status"]

    def _wake(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()


async def drain(seconds: float | None = None) -> None:
    """This process is to end: lets what runs here finish for so long, then ends it."""
    if seconds is None:
        text = os.environ.get("GRACEFUL_SHUTDOWN_TIMEOUT", "")  # LiteLLM's own
        seconds = float(text) if text.replace(".", "", 1).isdigit() else 30.0
    for wait, is_last in ((seconds, False), (2 * BEAT_SECONDS, True)):
        tasks = [job.task for job in _running.values() if job.task is not None]
        if tasks:
            if is_last:
                for job in list(_running.values()):
                    job.stop("stopped")
            await asyncio.wait(tasks, timeout=wait)


async def _sealed_id(response_id: str, user_api_key: Any) -> str:
    """The id as LiteLLM gives it to its client."""
    logging: Any = getattr(proxy_module(), "proxy_logging_obj", None)
    hook: Any = logging.get_proxy_hook("responses_id_security") if hasattr(logging, "get_proxy_hook") else None
    if hook is None:  # until 1.78: ids are not encrypted
        return response_id
    from litellm.types.llms.openai import ResponsesAPIResponse

    response: Any = ResponsesAPIResponse(id=response_id, created_at=0, output=[])
    given = {"data": {}, "user_api_key_dict": user_api_key, "response": response}
    return str((await hook.async_post_call_success_hook(**given)).id)


def event_text(event: Shown) -> str:
    """In ASCII, so that lone surrogates survive; its type first, by which its first line is made."""
    return json.dumps({"type": event.get("type"), **event})


async def events_in(chunks: AsyncIterator[Any]) -> AsyncIterator[Shown]:
    """The events of LiteLLM's stream, by field."""
    text = ""
    async for chunk in chunks:
        text += chunk if isinstance(chunk, str) else bytes(chunk).decode("utf-8", "surrogatepass")
        *lines, text = text.split("\n")
        for line in lines:
            if line.startswith("data:"):
                with suppress(ValueError, RecursionError):
                    event = json.loads(line[5:])
                    if isinstance(event, dict):
                        yield event
