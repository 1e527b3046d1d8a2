"""Requests that run in the background: what their door makes of them, and of what upstream answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse

from litellm.responses.litellm_completion_transformation.redis_session_patch.api.job import Job, events_in
from litellm.responses.litellm_completion_transformation.redis_session_patch.doors.background import (
    _consume,
    answer_early,
    job_of,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.exchange import Exchange

from .support.stores import ALICE

BODIES = {
    b'{"model": "m", "background": true}': (True, False),
    b'{"model": "m", "background" :\n true, "stream": true}': (True, True),
    b'{"model": "m", "background": false}': (False, False),
    b'{"model": "m"}': (False, False),
    b'{"input": {"background": true}}': (False, False),
    b'{"background": true': (False, False),
    b'["background", {"background": true}]': (False, False),
}


def request_of(body: bytes = b"{}", path: str = "/v1/responses") -> Request:
    sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    sent.put_nowait({"type": "http.request", "body": body, "more_body": False})
    scope = {"type": "http", "method": "POST", "path": path, "headers": [], "query_string": b""}
    request = Request({**scope, "server": ("proxy", 80), "scheme": "http"}, sent.get)
    request.state.sent = sent
    return request


def given(request: Request) -> dict[str, Any]:
    return {"request": request, "user_api_key_dict": None, "fastapi_response": None}


class NotedJob(Job):
    def __init__(self) -> None:
        super().__init__(Exchange(ALICE), None, is_streamed=True)
        self.noted: list[Any] = []
        self.finished: list[Any] = []

    def note(self, event: Any, *, is_last: bool = False) -> None:
        self.noted.append(event["type"])

    async def finish(self, reply: Any, failure: Any) -> None:
        self.finished.append((reply, failure))


async def stream(*chunks: Any) -> AsyncIterator[Any]:
    for chunk in chunks:
        yield chunk


@pytest.mark.parametrize(("body", "expected"), BODIES.items())
async def test_a_job_is_what_asks_for_it(body, expected):
    job = job_of(Exchange(ALICE), body, given(request_of(body)))
    assert (job is not None, job is not None and job.is_streamed) == expected


async def test_counting_tokens_is_no_job():
    body = b'{"background": true}'
    assert job_of(Exchange(ALICE), body, given(request_of(body, "/v1/responses/input_tokens"))) is None


async def test_events_are_found_however_they_are_cut():
    text = 'event: a\ndata: {"type": "a"}\n\ndata: {"type": "b"}\n\n: comment\n\ndata: [DONE]\n\n'
    for size in (1, 7, len(text)):
        chunks = [text[start : start + size] for start in range(0, len(text), size)]
        assert [event["type"] async for event in events_in(stream(*chunks))] == ["a", "b"]
        encoded = [chunk.encode() for chunk in chunks]
        assert [event["type"] async for event in events_in(stream(*encoded))] == ["a", "b"]


async def test_what_is_not_taken_is_answered_by_upstream():
    job, reply = NotedJob(), object()

    async def upstreams(**_: Any) -> Any:
        return reply

    assert await answer_early(job, upstreams, given(request_of())) is reply
    assert job.is_off


async def test_an_error_before_it_is_taken_is_its_clients():
    async def upstreams(**_: Any) -> Any:
        raise ValueError("no such model")

    with pytest.raises(ValueError, match="no such model"):
        await answer_early(NotedJob(), upstreams, given(request_of()))


async def test_nobody_sees_the_client_leave_once_it_is_taken():
    job, seen = NotedJob(), []

    async def upstreams(request: Request, **_: Any) -> Any:
        assert await request.body() == b"{}"
        request_sent.put_nowait({"type": "http.disconnect"})
        seen.append(await request.is_disconnected())
        job.is_taken.set()
        request_sent.put_nowait({"type": "http.disconnect"})
        detached = Request(request.scope, request.receive)
        seen.append(await detached.is_disconnected())
        return {"object": "response", "status": "completed"}

    request = request_of()
    request_sent = request.state.sent
    await answer_early(job, upstreams, given(request))  # without a store: when all is done
    assert seen == [True, False]
    assert job.finished == [({"object": "response", "status": "completed"}, None)]


def sse(*events: dict[str, Any]) -> StreamingResponse:
    return StreamingResponse(stream(*(f"data: {json.dumps(event)}\n\n" for event in events)))


DONE = {"type": "response.completed", "response": {"object": "response", "status": "completed"}}
FAILED = {"type": "response.failed", "response": {"error": {"code": 429, "message": "slow down"}}}
ENDS = {
    "whole": ([{"type": "response.created"}, {"type": "response.in_progress"}, DONE], DONE["response"], None),
    "failed": ([FAILED], None, {"code": "rate_limit_exceeded", "message": "slow down"}),
    "error": ([{"type": "error", "message": "no"}], None, {"code": "server_error", "message": "no"}),
    "litellm's": ([{"error": {"code": "500", "message": "no"}}], None, {"code": "server_error", "message": "no"}),
    "cut": (
        [{"type": "response.in_progress"}],
        None,
        {"code": "server_error", "message": "The model's stream ended early."},
    ),
}


@pytest.mark.parametrize("name", ENDS)
async def test_a_stream_ends_as_its_last_event_says(name):
    events, answer, failure = ENDS[name]
    job = NotedJob()
    assert await _consume(job, sse(*events)) == (answer, failure)
    assert job.noted == [event["type"] for event in events if event.get("type") == "response.in_progress"]


async def test_an_error_reply_is_a_failure():
    reply = JSONResponse({"error": {"message": "on fire"}}, 500)
    assert await _consume(NotedJob(), reply) == (None, {"code": "server_error", "message": "on fire"})
    answer = SimpleNamespace(model_dump=lambda mode: {"object": "response", "output": [], "error": None})
    assert await _consume(NotedJob(), answer) == ({"object": "response", "output": [], "error": None}, None)
