"""Small stand-ins for what LiteLLM's bridge hands over: requests, answers, streams, a proxy."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from litellm.responses.utils import ResponsesAPIRequestUtils

from litellm.responses.litellm_completion_transformation.redis_session_patch.bridge import store_stream_in_redis
from litellm.responses.litellm_completion_transformation.redis_session_patch.caller import CALLER
from litellm.responses.litellm_completion_transformation.redis_session_patch.owner import Owner
from litellm.responses.litellm_completion_transformation.redis_session_patch.request import Request
from litellm.responses.litellm_completion_transformation.redis_session_patch.runtime import Runtime
from litellm.responses.litellm_completion_transformation.redis_session_patch.settings import Settings
from litellm.responses.litellm_completion_transformation.redis_session_patch.streams import StreamKeeper

from .stores import ALICE, TTL_SECONDS

PROXY_MODULE = "litellm.proxy.proxy_server"


def runtime_on(client: Any, **settings: Any) -> Runtime:
    """A runtime that gives a request ten seconds; ``settings`` replace that and the others."""
    return Runtime(Settings(**{"timeout_seconds": 10.0, "ttl_seconds": TTL_SECONDS, **settings}), lambda: client)


def counted(runtime: Runtime) -> dict[str, int]:
    """What the runtime has counted, lookups and turns, as far as there is any."""
    return {
        f"{kind} {result}": number
        for kind, results in runtime.metrics.counts().items()
        for result, number in results.items()
        if number
    }


@contextmanager
def asked_by(caller: Owner | None) -> Iterator[None]:
    """Within a request that came by one of the proxy's own routes; ``None``: by none of them."""
    before = CALLER.set(caller)
    try:
        yield
    finally:
        CALLER.reset(before)


def request_of(text: Any = "hello", *, owner: Owner = ALICE, params: dict | None = None, **fields: Any) -> Request:
    completion = {"model": "m", "custom_llm_provider": "groq", "messages": [], "litellm_trace_id": "trace"}
    request = Request(
        **{"owner": owner, "input": None, "params": params or {}, "completion": completion, "call": {}, **fields}
    )
    request.take_input(text)
    return request


def answer_of(text: str | None = "Hi.") -> Any:
    return SimpleNamespace(choices=[SimpleNamespace(message={"role": "assistant", "content": text})])


def wrapped(response_id: str) -> str:
    """The id as LiteLLM hands it out."""
    return ResponsesAPIRequestUtils._build_responses_api_response_id("groq", "m", response_id)


class Response(SimpleNamespace):
    def model_dump(self, **_: Any) -> dict[str, Any]:
        return dict(vars(self))


def event(kind: str, response_id: str | None = None) -> Any:
    response = None if response_id is None else Response(id=response_id)
    return SimpleNamespace(type=f"response.{kind}", response=response)


def events_of(response_id: str, terminal: str = "completed") -> list[Any]:
    texts = [event("output_text.delta"), event("output_text.delta")]
    return [event("created", response_id), event("in_progress", response_id), *texts, event(terminal, response_id)]


def ids_of(events: Iterable[Any]) -> list[str]:
    return [each.response.id for each in events if each.response]


class Stream:
    """An iterator of the bridge, with the patch's line in it. An event that is an exception is raised instead."""

    def __init__(self, events: Iterable[Any], answer: Any = None):
        self.litellm_model_response = answer or answer_of()
        self._events = iter(events)

    def __aiter__(self) -> Stream:
        return self

    @store_stream_in_redis
    async def __anext__(self) -> Any:
        following = next(self._events, StopAsyncIteration())
        if isinstance(following, BaseException):
            raise following
        return following


def kept(runtime: Runtime, request: Request, events: Iterable[Any], answer: Any = None) -> Stream:
    """A stream whose turn the patch stores."""
    stream = Stream(events, answer)
    StreamKeeper(runtime, request).attach(stream)
    return stream


async def all_events(runtime: Runtime, request: Request, events: Iterable[Any], answer: Any = None) -> list[Any]:
    return [each async for each in kept(runtime, request, events, answer)]


def pretend_a_proxy_runs(monkeypatch: pytest.MonkeyPatch, **attributes: Any) -> None:
    """`attributes` are those of the proxy's module, such as its Redis cache or its database."""
    monkeypatch.setitem(sys.modules, PROXY_MODULE, SimpleNamespace(**attributes))
