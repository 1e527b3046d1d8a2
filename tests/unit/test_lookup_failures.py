"""A lookup that does not give what it should: counted, logged rarely, and never the request's failure."""

from __future__ import annotations

from typing import Any

import pytest

import litellm
from litellm.responses.litellm_completion_transformation.redis_session_patch.doors import bridge
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis import defects
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.guard import FAILURES_TO_OPEN
from litellm.responses.litellm_completion_transformation.redis_session_patch.request import lookup as module
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.exchange import Source
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.saving import store_reply
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.turns import Turn

from .support.bridge import (
    BOB,
    answered,
    call_in,
    client_id,
    exchange_of,
    inputs_at,
    no_redis,
    reply_of,
    stored,
    wrapped,
)
from .support.inside import turns_in_all
from .support.lookups import FROM_DATABASE, NOTHING, Upstream, contents, look_up
from .support.messages import user
from .support.runtimes import counted, runtime_on

UNKNOWN = wrapped("chatcmpl-unknown")

every_answer = pytest.mark.parametrize("given", [NOTHING, FROM_DATABASE], ids=["nothing", "rows"])


@pytest.fixture(autouse=True)
def message_logging_is_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(litellm, "turn_off_message_logging", False)


def spoil(client: Any, how: str) -> None:
    (turns,) = client.keys("*:turns")
    if how == "incomplete":
        first = min(
            (field for field in client.hkeys(turns) if field.isdigit()), key=lambda each: client.hget(turns, each)
        )
        client.hdel(turns, first)
    elif how == "unreadable":
        for field in client.hkeys(turns):
            if field.isdigit():
                head, _, _ = client.hget(turns, field).partition(b"\n")
                client.hset(turns, field, head + b"\ngarbage")
    elif how == "of another type":
        (tree,) = client.keys("*:tree")
        client.set(tree, b"a private text")


@every_answer
@pytest.mark.parametrize(
    "how, result", [("incomplete", "incomplete"), ("unreadable", "unreadable"), ("of another type", "unreadable")]
)
async def test_a_conversation_that_is_not_whole_is_left_to_upstream(redis_client, runtime, how, result, given):
    exchange, upstream = exchange_of(after=await stored(runtime, "a", "b")), Upstream(given)
    spoil(redis_client, how)
    assert contents(await look_up(runtime, call_in(exchange), upstream)) == contents(given)
    assert upstream.asked == 1 and counted(runtime) == {f"lookups {result}": 1}
    assert exchange.history.source is (Source.DATABASE if given["messages"] else Source.NONE)
    assert not runtime.reads.is_open


async def test_a_conversation_over_this_proxy_s_limits_is_left_to_upstream(redis_client, runtime, log_lines):
    last, small = await stored(runtime, "a", "b", "c"), runtime_on(redis_client, max_turns=2)
    assert contents(await look_up(small, call_in(exchange_of(after=last)))) == []
    assert counted(small) == {"lookups too_large": 1}
    (line,) = log_lines
    assert "larger than this proxy's limits" in line


@every_answer
async def test_while_redis_is_down_upstream_answers_and_what_it_gave_is_stored_afterwards(runtime, given):
    broken, upstream, exchange = runtime_on(no_redis()), Upstream(given), exchange_of("now", after=UNKNOWN)
    assert contents(await look_up(broken, call_in(exchange), upstream)) == contents(given)
    assert upstream.asked == 1 and counted(broken) == {"lookups failed": 1}
    assert exchange.history.source is (Source.DATABASE if given["messages"] else Source.UNAVAILABLE)
    answered(exchange)
    await store_reply(runtime, exchange, reply_of(exchange))
    assert len(await inputs_at(runtime, client_id(exchange.place))) == (2 if given["messages"] else 1)


async def test_an_id_found_nowhere_is_openai_s_400_where_the_operator_chose_so(redis_client):
    runtime = runtime_on(redis_client, on_miss="error")
    with pytest.raises(litellm.BadRequestError) as caught:
        await look_up(runtime, call_in(exchange_of(after=UNKNOWN)))
    error = caught.value
    assert (error.status_code, error.code, error.param, error.type) == (
        400,
        "previous_response_not_found",
        "previous_response_id",
        "invalid_request_error",
    )
    assert "chatcmpl-unknown" not in str(error) and counted(runtime) == {"lookups unknown": 1}


@pytest.mark.parametrize("given", ["unknown", "denied", "failed"])
async def test_a_fallback_of_the_router_is_refused_too(redis_client, runtime, given):
    """Else a fallback would answer without the history, as if nothing had happened."""
    last = await stored(runtime, "a secret") if given == "denied" else UNKNOWN
    chosen = runtime_on(no_redis() if given == "failed" else redis_client, on_miss="error")
    exchange = exchange_of(caller=BOB, after=last)
    for _ in range(2):
        with pytest.raises(litellm.BadRequestError):
            await look_up(chosen, call_in(exchange))
    assert counted(chosen) == {f"lookups {given}": 1}


@every_answer
async def test_a_fallback_of_the_router_gets_what_the_first_model_got_and_is_no_lookup_of_its_own(runtime, given):
    exchange, upstream = exchange_of(after=UNKNOWN), Upstream(given)
    sent = [contents(await look_up(runtime, call_in(exchange), upstream)) for _ in range(2)]
    assert sent == [contents(given)] * 2
    assert exchange.history.source is (Source.DATABASE if given["messages"] else Source.NONE)
    assert "lookups found" not in counted(runtime)


async def test_an_id_that_cannot_be_asked_for_is_another_error_where_the_operator_chose_so():
    """The client gets a 503; to LiteLLM's router it is a bad request, and no fault of the model's deployment."""
    runtime = runtime_on(no_redis(), on_miss="error")
    for _ in range(FAILURES_TO_OPEN + 1):  # The breaker's own answer is no other.
        with pytest.raises(litellm.BadRequestError) as caught:
            await look_up(runtime, call_in(exchange_of(after=UNKNOWN)))
        error = caught.value
        assert (error.code, error.type) == ("previous_response_unavailable", "server_error")
        assert error.param == "previous_response_id" and "Try again" in error.message
    assert counted(runtime) == {"lookups failed": FAILURES_TO_OPEN + 1}


@pytest.mark.parametrize("how", ["incomplete", "unreadable", "denied", "too large"])
async def test_every_other_miss_is_400_too_where_the_operator_chose_so(redis_client, runtime, how):
    last = await stored(runtime, "a", "b", "c")
    spoil(redis_client, how)
    chosen = runtime_on(redis_client, on_miss="error", max_turns=2 if how == "too large" else 10)
    exchange = exchange_of(after=last, **({"caller": BOB} if how == "denied" else {}))
    with pytest.raises(litellm.BadRequestError):
        await look_up(chosen, call_in(exchange))


@pytest.mark.parametrize("is_down", [False, True])
async def test_whoever_has_a_history_is_not_refused(redis_client, is_down):
    runtime = runtime_on(no_redis() if is_down else redis_client, on_miss="error")
    sent = await look_up(runtime, call_in(exchange_of(after=UNKNOWN)), Upstream(FROM_DATABASE))
    assert contents(sent) == contents(FROM_DATABASE)


# What passes for a turn, but not with upstream's transformation of it.
ODD_ITEMS = [{"role": "user", "content": 7}]
ODD = Turn(ODD_ITEMS, ({"role": "assistant", "content": "Hi."},))


@pytest.fixture
def broken_transformation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Upstream's, of the items that stand for what no client sent."""
    from litellm.responses.litellm_completion_transformation.transformation import LiteLLMCompletionResponsesConfig

    own = LiteLLMCompletionResponsesConfig.transform_responses_api_input_to_messages

    def transform(input: Any, responses_api_request: Any, replay_reasoning: bool = False) -> list[Any]:
        if input == ODD_ITEMS:
            raise KeyError("a private text")
        return own(input=input, responses_api_request=responses_api_request)

    monkeypatch.setattr(LiteLLMCompletionResponsesConfig, "transform_responses_api_input_to_messages", transform)


@every_answer
async def test_a_turn_that_upstream_cannot_transform_is_an_unreadable_miss(
    log_lines, redis_client, broken_transformation, given
):
    runtime, upstream = runtime_on(redis_client), Upstream(given)
    exchange = exchange_of("now", after=await stored(runtime, ODD))
    call = call_in(exchange, messages=[user("now")])
    assert contents(await look_up(runtime, call, upstream)) == [*contents(given), ("user", "now")]
    assert upstream.asked == 1 and not call.is_served
    assert exchange.history.source is (Source.DATABASE if given["messages"] else Source.NONE)
    assert counted(runtime) == {"lookups unreadable": 1}
    (line,) = log_lines
    assert "private" not in line


async def test_many_misses_of_a_kind_are_logged_once_a_minute(redis_client, log_lines):
    runtime = runtime_on(redis_client)
    last = await stored(runtime, "a secret")
    for _ in range(20):
        await look_up(runtime, call_in(exchange_of(caller=BOB, after=last)))
        await look_up(runtime, call_in(exchange_of(after=UNKNOWN)))
    (line,) = log_lines
    assert "not its owner" in line and "secret" not in line and last not in line
    assert counted(runtime) == {"lookups denied": 20, "lookups unknown": 20}


def broken(*args: Any, **options: Any) -> Any:
    raise ZeroDivisionError("a private text")


@every_answer
@pytest.mark.parametrize("is_found", [False, True], ids=["asked here", "asked at the outer door"])
@pytest.mark.parametrize("name", ["find", "count", "completion_after", "serve"])
async def test_after_a_defect_upstream_answers_and_what_followed_is_not_stored_as_a_first_turn(
    redis_client, runtime, monkeypatch, log_lines, name, is_found, given
):
    """The model has not seen what Redis has."""
    exchange, upstream = exchange_of("b", after=await stored(runtime, "a")), Upstream(given)
    if is_found and name != "find":
        await module.find(runtime, exchange)
    monkeypatch.setattr(bridge if name == "serve" else module, name, broken)
    call = call_in(exchange, messages=[user("b")])
    sent = contents(await look_up(runtime, call, upstream))
    assert sent == [*contents(given), ("user", "b")]
    assert upstream.asked == 1 and defects.counted() >= 1 and "private" not in log_lines[0]
    monkeypatch.undo()
    answered(exchange)
    await store_reply(runtime, exchange, reply_of(exchange))
    assert turns_in_all(redis_client) == 1 and counted(runtime).get("turns stored") is None
