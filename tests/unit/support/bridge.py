"""Small stand-ins for what LiteLLM's bridge hands over: requests, answers, streams, a proxy."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from litellm.responses.utils import ResponsesAPIRequestUtils

from litellm.responses.litellm_completion_transformation.redis_session_patch.owner import Owner
from litellm.responses.litellm_completion_transformation.redis_session_patch.request import Request
from litellm.responses.litellm_completion_transformation.redis_session_patch.runtime import Runtime
from litellm.responses.litellm_completion_transformation.redis_session_patch.settings import Settings
from litellm.responses.litellm_completion_transformation.redis_session_patch.streams import next_event_of

from .stores import ALICE

PROXY_MODULE = "litellm.proxy.proxy_server"


def runtime_on(client: Any, **settings: Any) -> Runtime:
    return Runtime(Settings(**{"timeout_seconds": 10.0, **settings}), lambda: client)


def request_of(text: Any = "hello", *, owner: Owner = ALICE, params: dict | None = None, **fields: Any) -> Request:
    completion = {"model": "m", "custom_llm_provider": "groq", "messages": [], "litellm_trace_id": "trace"}
    defaults = {"owner": owner, "input": text, "params": params or {}, "completion": completion, "call": {}}
    return Request(**{**defaults, **fields})


def answer_of(text: str | None = "Hi.") -> Any:
    return SimpleNamespace(choices=[SimpleNamespace(message={"role": "assistant", "content": text})])


def wrapped(response_id: str) -> str:
    """The id as LiteLLM hands it out."""
    return ResponsesAPIRequestUtils._build_responses_api_response_id("groq", "m", response_id)


def event(kind: str, response_id: str | None = None) -> Any:
    response = None if response_id is None else SimpleNamespace(id=response_id)
    return SimpleNamespace(type=f"response.{kind}", response=response)


class Stream:
    """An iterator of the bridge. An event that is an exception is raised instead."""

    def __init__(self, events: Iterable[Any], answer: Any = None):
        self.litellm_model_response = answer or answer_of()
        self._events = iter(events)

    async def own_next(self) -> Any:
        following = next(self._events, StopAsyncIteration())
        if isinstance(following, BaseException):
            raise following
        return following


async def next_event(runtime: Runtime, request: Request, stream: Stream) -> Any:
    return await next_event_of(runtime, request, stream, stream.own_next)


async def all_events(runtime: Runtime, request: Request, stream: Stream) -> list[Any]:
    events = []
    while True:
        try:
            events.append(await next_event(runtime, request, stream))
        except StopAsyncIteration:
            return events


def pretend_a_proxy_runs(monkeypatch: pytest.MonkeyPatch, **attributes: Any) -> None:
    """`attributes` are those of the proxy's module, such as its Redis cache or its database."""
    monkeypatch.setitem(sys.modules, PROXY_MODULE, SimpleNamespace(**attributes))
