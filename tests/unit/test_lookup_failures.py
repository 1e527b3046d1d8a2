"""A lookup that does not give what it should: counted once, logged rarely, and never the request's failure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import litellm
from litellm.responses.litellm_completion_transformation.redis_session_patch.breaker import FAILURES_TO_OPEN
from litellm.responses.litellm_completion_transformation.redis_session_patch.conversation import Turn
from litellm.responses.litellm_completion_transformation.redis_session_patch.lookup import read_session
from litellm.responses.litellm_completion_transformation.redis_session_patch.request import Source
from litellm.responses.litellm_completion_transformation.redis_session_patch.saving import store_answer

from .support.bridge import answer_of, counted, request_of, runtime_on
from .support.clients import no_redis
from .support.lookups import FROM_DATABASE, MEMORY, NOTHING, Upstream, contents, stored
from .support.stores import BOB, SESSION, chain_of, inputs_of, say, store_on

every_answer = pytest.mark.parametrize("given", [NOTHING, FROM_DATABASE], ids=["nothing", "rows"])


async def spoil(client: Any, how: str) -> None:
    if how == "incomplete":
        await client.delete(*await client.keys("*:turns"))
    elif how == "unreadable":
        for key in await client.keys(f"{SESSION}*"):
            await client.set(key, b"garbage")
    elif how == "wrong type":
        for key in await client.keys("*:tree"):
            await client.set(key, b"a private text")


@every_answer
@pytest.mark.parametrize(
    "how, result", [("incomplete", "incomplete"), ("unreadable", "unreadable"), ("wrong type", "unreadable")]
)
async def test_a_conversation_that_is_not_whole_is_left_to_upstream(redis_client, runtime, how, result, given):
    last, upstream, request = await stored(redis_client, "a", "b"), Upstream(given), request_of()
    await spoil(redis_client, how)
    assert await read_session(runtime, request, last, upstream) == given
    assert upstream.asked == 1 and counted(runtime) == {f"lookups {result}": 1}
    assert request.history.source is (Source.DATABASE if given["messages"] else Source.NONE)
    assert not runtime.reads.breaker.is_open


async def test_a_conversation_over_this_proxy_s_limits_is_left_to_upstream(redis_client, log_lines):
    last, runtime = await stored(redis_client, "a", "b", "c"), runtime_on(redis_client, max_turns=2)
    assert await read_session(runtime, request_of(), last, Upstream()) == NOTHING
    assert counted(runtime) == {"lookups too_large": 1}
    assert len(log_lines) == 1 and "larger than this proxy's limits" in log_lines[0]


@every_answer
async def test_while_redis_is_down_upstream_answers_and_what_it_gave_is_stored_afterwards(redis_client, given):
    async with no_redis() as client:
        runtime, request, upstream = runtime_on(client), request_of("now"), Upstream(given)
        assert await read_session(runtime, request, "x", upstream) == given
    assert upstream.asked == 1 and counted(runtime) == {"lookups failed": 1}
    assert request.history.source is (Source.DATABASE if given["messages"] else Source.UNAVAILABLE)
    response_id = await store_answer(runtime_on(redis_client), request, "y", answer_of())
    assert len((await chain_of(store_on(redis_client), response_id)).turns) == (2 if given["messages"] else 1)


async def test_an_id_found_nowhere_is_openai_s_400_where_the_operator_chose_so(redis_client):
    runtime = runtime_on(redis_client, on_miss="error")
    with pytest.raises(litellm.BadRequestError) as caught:
        await read_session(runtime, request_of(), "chatcmpl-unknown", Upstream())
    error = caught.value
    assert (error.status_code, error.code, error.param, error.type) == (
        400,
        "previous_response_not_found",
        "previous_response_id",
        "invalid_request_error",
    )
    assert "chatcmpl-unknown" not in str(error) and counted(runtime) == {"lookups unknown": 1}


async def test_an_id_that_cannot_be_asked_for_is_another_error_where_the_operator_chose_so():
    """The client gets a 503; to LiteLLM's router it is a bad request, and no fault of the model's deployment."""
    async with no_redis() as client:
        runtime = runtime_on(client, on_miss="error")
        for _ in range(FAILURES_TO_OPEN + 1):  # The breaker's own answer is no other.
            with pytest.raises(litellm.BadRequestError) as caught:
                await read_session(runtime, request_of(), "x", Upstream())
            error = caught.value
            assert (error.code, error.type) == ("previous_response_unavailable", "server_error")
            assert error.param == "previous_response_id" and "Try again" in error.message
    assert counted(runtime) == {"lookups failed": FAILURES_TO_OPEN + 1}


@pytest.mark.parametrize("how", ["incomplete", "unreadable", "denied", "too large"])
async def test_every_other_miss_is_400_too_where_the_operator_chose_so(redis_client, how):
    last = await stored(redis_client, "a", "b", "c")
    await spoil(redis_client, how)
    runtime = runtime_on(redis_client, on_miss="error", max_turns=2 if how == "too large" else 10)
    with pytest.raises(litellm.BadRequestError):
        await read_session(runtime, request_of(owner=BOB) if how == "denied" else request_of(), last, Upstream())


@pytest.mark.parametrize("is_down", [False, True])
@pytest.mark.parametrize("memory, given", [(MEMORY, NOTHING), ((), FROM_DATABASE)])
async def test_whoever_has_a_history_is_not_refused(redis_client, is_down, memory, given):
    async with no_redis() as broken:
        runtime = runtime_on(broken if is_down else redis_client, on_miss="error")
        session = await read_session(runtime, request_of(connection_turns=memory), "unknown", Upstream(given))
    assert len(session["messages"]) == 2


# What passes for a turn, but not with upstream's transformation of it.
ODD_ITEMS = [{"role": "user", "content": 7}]


async def odd(store: Any, *answers: dict[str, Any]) -> str:
    return await say(store, Turn(ODD_ITEMS, answers or ({"role": "assistant", "content": "Hi."},)))


@pytest.fixture
def broken_transformation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Upstream's, of the items that stand for what no client sent."""
    config = pytest.importorskip(
        "litellm.responses.litellm_completion_transformation.transformation"
    ).LiteLLMCompletionResponsesConfig
    own = config.transform_responses_api_input_to_messages

    def transform(input: Any, responses_api_request: Any, replay_reasoning: bool = False) -> list[Any]:
        if input == ODD_ITEMS:
            raise KeyError("a private text")
        return own(input=input, responses_api_request=responses_api_request)

    monkeypatch.setattr(config, "transform_responses_api_input_to_messages", transform)


@every_answer
async def test_a_turn_that_upstream_cannot_transform_is_an_unreadable_miss(
    store, log_lines, redis_client, broken_transformation, given
):
    runtime, upstream, request = runtime_on(redis_client), Upstream(given), request_of("now")
    messages = request.completion["messages"] = [{"role": "user", "content": "now"}]
    assert await read_session(runtime, request, await odd(store), upstream) == given
    assert request.completion["messages"] is messages and upstream.asked == 1
    assert request.history.source is (Source.DATABASE if given["messages"] else Source.NONE)
    assert counted(runtime) == {"lookups unreadable": 1}
    assert len(log_lines) == 1 and "private" not in log_lines[0]


async def test_of_a_turn_that_upstream_cannot_transform_no_more_than_was_sent_is_kept_after_it(
    store, runtime, broken_transformation
):
    """The input says the last turn over again: as it was served without a history, all of it was sent."""
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    asking = Turn("look", ({"role": "assistant", "content": None, "tool_calls": [call]},))
    chain = replace(await chain_of(store, await odd(store)))
    again = [
        {"role": "user", "content": "look"},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "42"},
    ]
    request = request_of(again)
    await read_session(runtime, request, await say(store, asking, chain), Upstream())
    assert request.input == again
    response_id = await store_answer(runtime, request, "x", answer_of())
    assert await inputs_of(store, response_id) == [again]


async def test_in_a_connection_the_memory_helps_where_a_stored_turn_cannot_be_transformed(
    store, runtime, broken_transformation
):
    request = request_of("now", connection_turns=MEMORY)
    session = await read_session(runtime, request, await odd(store), Upstream())
    assert contents(session)[:1] == [("user", "over this connection")]
    assert counted(runtime) == {"lookups unreadable": 1}


async def test_many_misses_of_a_kind_are_logged_once_a_minute(redis_client, log_lines):
    runtime, last = runtime_on(redis_client), await stored(redis_client, "a secret")
    for _ in range(20):
        await read_session(runtime, request_of(owner=BOB), last, Upstream())
        await read_session(runtime, request_of(), "unknown", Upstream())
    (line,) = log_lines
    assert "not its owner" in line and "secret" not in line and last not in line
    assert counted(runtime) == {"lookups denied": 20, "lookups unknown": 20}
