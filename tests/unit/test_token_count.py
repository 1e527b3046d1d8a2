"""Counting a follow-up's tokens looks for its history where the follow-up itself would, for the same owner."""

from __future__ import annotations

from typing import Any

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.doors.token_count import count_with_redis
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis import defects
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.call import CALL
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.exchange import Exchange
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.ids import inner_id
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.owner import NOBODY, Owner

from .support.bridge import ALICE, BOB, entered, stored, using
from .support.lookups import contents, session_handler
from .support.messages import user
from .support.runtimes import counted as counts

QUESTION = ("user", "How long?")
HISTORY = [("user", "mine"), ("assistant", "You said: mine")]


@count_with_redis
async def counted(model: str, custom_llm_provider: str, api_base: None, responses_request: dict, policy: None = None):
    """In upstream's place: the messages that it counts."""
    request = {"model": model, "custom_llm_provider": custom_llm_provider, "messages": [user("How long?")]}
    if previous := responses_request.get("previous_response_id"):
        request = await session_handler()(previous_response_id=previous, litellm_completion_request=request)
    return contents(request)


async def count(runtime: Any, caller: Owner | None, *followed: str, previous_response_id: str | None = None) -> Any:
    """``followed``: previous response ids in the request's body."""
    params = {"input": "How long?", "previous_response_id": previous_response_id or next(iter(followed), None)}
    exchange = None if caller is None else Exchange(caller, followed=followed)
    with using(runtime), entered(exchange):
        return await counted("m", custom_llm_provider="groq", api_base=None, responses_request=params)


@pytest.mark.parametrize(
    "caller, history, result", [(ALICE, HISTORY, "found"), (BOB, [], "denied"), (NOBODY, [], "denied")]
)
async def test_the_history_is_looked_for_as_the_caller(runtime, caller, history, result):
    assert await count(runtime, caller, await stored(runtime, "mine")) == [*history, QUESTION]
    assert CALL.get() is None and defects.counted() == 0
    assert counts(runtime) == {f"lookups {result}": 1}


async def test_the_place_is_in_the_client_s_word_where_litellm_has_taken_it_off(runtime):
    last = await stored(runtime, "mine")
    assert await count(runtime, ALICE, last, previous_response_id=inner_id(last)) == [*HISTORY, QUESTION]


async def test_an_id_that_the_client_only_mentions_is_not_the_one_that_it_follows(runtime):
    other, last = await stored(runtime, "another"), await stored(runtime, "mine")
    exchange = Exchange(ALICE, followed=(other, last))
    seen = []

    @count_with_redis
    async def look(model: str, custom_llm_provider: str, responses_request: dict) -> None:
        seen.extend(turn.items for turn in CALL.get().exchange.chain.turns)

    with using(runtime), entered(exchange):
        await look("m", custom_llm_provider="groq", responses_request={"previous_response_id": last})
    assert seen == ["mine"]


async def test_without_a_caller_upstream_counts_alone(runtime):
    assert await count(runtime, None, await stored(runtime, "mine")) == [QUESTION] and defects.counted() == 0


async def test_what_follows_nothing_has_no_history(runtime):
    runtime.store.read = None  # It is not asked.
    assert await count(runtime, ALICE) == [QUESTION] and defects.counted() == 0


async def test_without_redis_no_history_is_known(runtime):
    last = await stored(runtime, "mine")
    assert await count(None, ALICE, last) == [QUESTION] and defects.counted() == 0


async def test_a_step_whose_parameters_have_other_names_counts_alone(runtime):
    @count_with_redis
    async def renamed(model: str, request: dict[str, Any]) -> Any:
        return model, request, CALL.get()

    request = {"input": "How long?", "previous_response_id": await stored(runtime, "mine")}
    with using(runtime), entered(Exchange(ALICE)):
        assert await renamed("m", request=request) == ("m", request, None)
        with pytest.raises(TypeError, match="model"):
            await renamed()
    assert defects.counted() == 2
