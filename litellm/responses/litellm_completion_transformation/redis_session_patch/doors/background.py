"""The door of requests that run in the background: each is the request that it would be in the foreground."""

import asyncio
import contextlib
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from ..api.background_responses import asked_by, stream_of
from ..api.job import Job, events_in
from ..redis import runtime as runtimes
from ..redis.defects import safely_await
from ..request.exchange import Exchange, running_exchange
from ..request.streams import TERMINAL
from ..values.results import StoreError
from ..values.turns import from_json
from .leaving import leave, letting_go, plain_response

T = TypeVar("T")
Endpoint = Callable[..., Awaitable[Any]]

POLLING = "litellm_poll_"

_WANTED = re.compile(rb'"background"\s*:\s*true')
_CODES = {429: "rate_limit_exceeded", 400: "invalid_prompt"}


def job_of(exchange: Exchange, body: bytes, given: dict[str, Any]) -> Job | None:
    """``None``: the request does not ask to run in the background."""
    if not _WANTED.search(body) or not given["request"].url.path.endswith("/responses"):
        return None
    asked = from_json(body)
    if not isinstance(asked, dict) or asked.get("background") is not True:
        return None
    return Job(exchange, given["user_api_key_dict"], is_streamed=asked.get("stream") is True)


async def answer_early(job: Job, upstreams: Endpoint, given: dict[str, Any]) -> Any:
    """The reply to a request: as soon as its job is taken, else upstream's own."""
    request = await safely_await(_detached, job, given["request"], otherwise=given["request"])
    job.task = asyncio.create_task(letting_go(job.exchange, _run(job, upstreams, {**given, "request": request})))
    taken = asyncio.create_task(job.is_taken.wait())
    try:
        await asyncio.wait((job.task, taken), return_when=asyncio.FIRST_COMPLETED)
    finally:
        taken.cancel()
    runtime = runtimes.current()
    if not job.is_taken.is_set() or runtime is None:
        return await job.task
    if job.is_streamed:
        return stream_of(runtime, asked_by(job.client_id, job.exchange.place, job.exchange.caller), -1)
    from starlette.responses import Response

    return Response(json.dumps({**job.shown, "status": "queued"}), 200, media_type="application/json")


async def _run(job: Job, upstreams: Endpoint, given: dict[str, Any]) -> Any:
    """Upstream's reply, where the job was not taken."""
    try:
        return await _reply_of(job, upstreams, given)
    finally:
        job.forget()


async def _reply_of(job: Job, upstreams: Endpoint, given: dict[str, Any]) -> Any:
    answer, failure = None, None
    try:
        try:
            reply = await upstreams(**given)
        finally:
            job.is_off = not job.is_taken.is_set()
        reply = await safely_await(leave, job.exchange, reply, given.get("fastapi_response"), otherwise=reply)
        if job.is_off:
            await safely_await(_note_polling, job, reply, otherwise=None)
            return reply
        answer, failure = await _consume(job, reply)
    except asyncio.CancelledError:
        if job.is_off:
            raise
        failure = _failure(None, "The request was cancelled.")  # if not by us
    except Exception as error:
        if job.is_off:
            raise
        failure = _failure(getattr(error, "code", None), getattr(error, "message", None) or str(error))
    # Upstream may make an error of its own of being ended, or go on to the end.
    if job.ended and job.exchange.became != "stored":
        await job.stopped()
    else:
        await job.finish(answer, failure)
    return None


async def _consume(job: Job, reply: Any) -> tuple[Any, dict[str, Any] | None]:
    """What the model answered, by field, and why it failed; a stream's events go to the log."""
    if not hasattr(reply, "body_iterator"):
        answer = plain_response(reply)
        error = answer.get("error") if isinstance(answer, dict) else None
        status = getattr(reply, "status_code", 200)
        if status >= 400 or (isinstance(error, dict) and not isinstance(answer.get("output"), list)):
            return None, _failure(status if status >= 400 else None, (error or {}).get("message"))
        return answer, None
    answer, failure = None, None
    chunks, job.is_streaming = reply.body_iterator, True
    async with contextlib.aclosing(chunks) if hasattr(chunks, "aclose") else contextlib.nullcontext():
        async for event in events_in(chunks):
            kind, response = event.get("type"), event.get("response")
            if kind in TERMINAL:
                answer = response
            elif kind in ("response.failed", "error") or (kind is None and "error" in event):
                error = (response or {}).get("error") if isinstance(response, dict) else event.get("error", event)
                error = error if isinstance(error, dict) else {}
                failure = _failure(error.get("code"), error.get("message"))
            elif isinstance(kind, str) and kind != "response.created":
                job.note(event)
    job.is_streaming = False
    if answer is None and failure is None:
        failure = _failure(None, "The model's stream ended early.")
    return answer, failure


def _failure(code: Any, message: Any) -> dict[str, Any]:
    """An error as a response has it. ``code``: an HTTP status, or a word."""
    number = int(code) if str(code).isdigit() else None
    return {"code": _CODES.get(number or 0, "server_error"), "message": str(message or "The model failed.")}


async def _detached(job: Job, request: Any) -> Any:
    """``request``, whose client nobody sees leaving once its job is taken."""
    from starlette.requests import Request

    receive = request.receive

    async def receive_until_taken() -> Any:
        message = None if job.is_taken.is_set() else await receive()
        if message is None or job.is_taken.is_set():
            await asyncio.Event().wait()
        return message

    detached: Any = Request(request.scope, receive_until_taken)
    detached._body = await request.body()
    return detached


async def until_ended(answer: Awaitable[T]) -> T:
    """The ``answer`` of a model; a failure where it is for a job that ends before."""
    exchange = running_exchange()
    if exchange is None or not exchange.is_in_background:
        return await answer
    job: Job = exchange.job
    return await job.until_ended(answer)


async def _note_polling(job: Job, reply: Any) -> None:
    """Whose an id is that upstream itself polls by. While Redis is away nobody knows, as without the fork."""
    polling_id, caller = getattr(reply, "id", None), job.exchange.caller
    runtime = runtimes.current() if isinstance(polling_id, str) and polling_id.startswith(POLLING) else None
    if runtime is not None and caller.identity is not None:
        with contextlib.suppress(StoreError):
            await runtime.jobs.note_owner(str(polling_id), caller)
