"""Of which calls LiteLLM's response cache must not keep whole responses: those of models that it bridges."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.redis import defects
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis import runtime as runtimes
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.exchange import (
    CONNECTION,
    ClientConnection,
    Exchange,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.response_cache import (
    is_cached_as_chat,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.owner import NOBODY


@pytest.fixture(autouse=True)
def is_used(runtime) -> Iterator[None]:
    runtimes.use(runtime)
    yield
    runtimes.use(None)


async def aresponses() -> None: ...


def responses() -> None: ...


async def acompletion() -> None: ...


def handler_of(**call: Any) -> Any:
    return SimpleNamespace(request_kwargs=call)


BRIDGED, NATIVE = handler_of(model="deepseek/deepseek-chat"), handler_of(model="openai/gpt-4o")


@pytest.mark.parametrize("function", [aresponses, responses])
def test_a_response_of_a_bridged_model_is_not_cached_whole(function):
    assert is_cached_as_chat(BRIDGED, function)
    assert is_cached_as_chat(handler_of(model="deepseek-chat", custom_llm_provider="deepseek"), function)
    assert is_cached_as_chat(handler_of(model="openai/gpt-4o", use_chat_completions_api=True), function)


@pytest.mark.parametrize("handler", [NATIVE, handler_of(model="of nobody"), handler_of()])
def test_a_model_with_a_responses_endpoint_and_one_that_nobody_knows_are_upstream_s(handler):
    assert not is_cached_as_chat(handler, aresponses)


@pytest.mark.parametrize(("native", "exchange"), [(True, Exchange(NOBODY)), (True, None), (False, Exchange(NOBODY))])
def test_a_native_model_s_is_cached_but_where_its_turn_is_stored(runtime, monkeypatch, native, exchange):
    monkeypatch.setattr(runtime, "settings", replace(runtime.settings, native=native))
    before = CONNECTION.set(ClientConnection(exchange))
    try:
        assert is_cached_as_chat(NATIVE, aresponses) is (native and exchange is not None)
    finally:
        CONNECTION.reset(before)


def test_other_calls_are_upstream_s():
    assert not is_cached_as_chat(BRIDGED, acompletion)


def test_without_redis_all_is_upstream_s():
    runtimes.use(None)
    assert not is_cached_as_chat(BRIDGED, aresponses)


def test_a_handler_of_tomorrow_is_upstream_s_and_a_counted_defect():
    assert not is_cached_as_chat(SimpleNamespace(request=BRIDGED.request_kwargs), aresponses)
    assert not is_cached_as_chat(BRIDGED, SimpleNamespace())
    assert defects.counted() == 2
