"""Counting a follow-up's tokens looks for its history where the follow-up itself would, for the same owner."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch import defects
from litellm.responses.litellm_completion_transformation.redis_session_patch import runtime as runtimes
from litellm.responses.litellm_completion_transformation.redis_session_patch.bridge import history_is_whole
from litellm.responses.litellm_completion_transformation.redis_session_patch.owner import NOBODY, Owner
from litellm.responses.litellm_completion_transformation.redis_session_patch.request import CURRENT
from litellm.responses.litellm_completion_transformation.redis_session_patch.token_count import count_with_redis

from .support.bridge import asked_by
from .support.bridge import counted as counts
from .support.stores import ALICE, BOB, say


@pytest.fixture(autouse=True)
def is_used(runtime) -> Iterator[None]:
    runtimes.use(runtime)
    yield
    runtimes.use(None)


@count_with_redis
async def counted(model: str, custom_llm_provider: str, api_base: None, responses_request: dict, policy: None = None):
    """In upstream's place: what its lookup and its cache of tool calls would be told."""
    request = CURRENT.get()
    return request and (request.owner, history_is_whole(), request.input, request.completion["model"])


async def count(caller: Owner | None, previous_response_id: str | None = "x") -> Any:
    params = {"input": "How long?", "previous_response_id": previous_response_id}
    with asked_by(caller):
        return await counted("m", custom_llm_provider="groq", api_base=None, responses_request=params)


@pytest.mark.parametrize("caller, is_whole", [(ALICE, True), (BOB, False), (NOBODY, False)])
async def test_the_history_is_looked_for_as_the_caller(store, runtime, caller, is_whole):
    await say(store, "mine", as_id="x")
    assert await count(caller) == (caller, is_whole, "How long?", "m")
    assert CURRENT.get() is None
    assert counts(runtime) == {}  # Upstream's own lookup, which follows, is what counts.


@pytest.mark.parametrize("caller, response_id", [(None, "x"), (ALICE, None)])
async def test_without_a_caller_or_a_history_upstream_counts_alone(store, caller, response_id):
    assert await count(caller, response_id) is None and defects.counted() == 0


async def test_without_redis_upstream_counts_alone(store):
    runtimes.use(None)
    assert await count(ALICE) is None


async def test_a_step_whose_parameters_have_other_names_counts_alone(store):
    @count_with_redis
    async def renamed(model: str, request: dict[str, Any]) -> Any:
        return model, request, CURRENT.get()

    await say(store, "mine", as_id="x")
    request = {"input": "How long?", "previous_response_id": "x"}
    with asked_by(ALICE):
        assert await renamed("m", request=request) == ("m", request, None)
        with pytest.raises(TypeError, match="model"):
            await renamed()
    assert defects.counted() == 2
