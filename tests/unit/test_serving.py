"""The step that serves a history, and the one that takes what upstream found, each by itself."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import litellm
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.store import OFF_THE_LOOP_BYTES
from litellm.responses.litellm_completion_transformation.redis_session_patch.request import exchange as exchanges
from litellm.responses.litellm_completion_transformation.redis_session_patch.request import lookup
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.exchange import (
    History,
    Source,
    running_exchange,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.lookup import (
    find,
    note_upstreams,
    serve,
)

from .support.bridge import (
    ALICE,
    BOB,
    OF_ALICE,
    OF_BOB,
    call_in,
    call_item,
    chain_at,
    completion_of,
    entered,
    exchange_of,
    result_item,
    stored,
    wrapped,
)
from .support.lookups import FROM_DATABASE, contents
from .support.messages import user
from .support.runtimes import counted, runtime_on
from .support.stores import noise_of

UNKNOWN = wrapped("chatcmpl-unknown")
QUESTION = [user("look")]


def row_of(metadata: dict[str, str]) -> dict[str, str]:
    """Of the spend logs."""
    columns = {"user": "user_api_key_user_id", "team_id": "user_api_key_team_id", "api_key": "user_api_key_hash"}
    return {column: metadata[name] for column, name in columns.items()}


async def following(runtime: Any, *before: str, said: Any = "now") -> Any:
    """A call that is asked for what the client follows: the stored turns ``before``."""
    call = call_in(exchange_of(said, after=await stored(runtime, *before)), messages=[user("now")])
    call.after = call.exchange.previous_id
    return call


def round_after(call: Any) -> Any:
    """A further round of MCP tools; what it is asked for is no response of the client's."""
    call.take_answer(completion_of(None, "c1"))
    again = call_in(call.exchange, [*QUESTION, call_item("c1"), result_item("c1")], messages=[user("restated")])
    again.after = "chatcmpl-of-the-round-before"
    return again


def unable(*_: Any) -> Any:
    raise ValueError("Invalid content type")


async def test_what_cannot_be_transformed_is_no_history_and_a_fallback_does_not_try_it_again(runtime, monkeypatch):
    call = await following(runtime, "a")
    monkeypatch.setattr(lookup, "said_before", unable)
    assert await serve(runtime, call) is None
    assert (call.exchange.history, call.exchange.looked_up, call.is_served) == (None, "unreadable", False)
    monkeypatch.undo()
    assert await serve(runtime, call) is None
    assert call.completion["messages"] == [user("now")] and counted(runtime) == {}


async def test_where_a_round_of_mcp_tools_cannot_be_transformed_the_history_is_still_the_one_found(
    runtime, monkeypatch
):
    first = await following(runtime, "a", said=QUESTION)
    await serve(runtime, first)
    found, second = first.exchange.history, round_after(first)
    monkeypatch.setattr(lookup, "said_before", unable)
    monkeypatch.setattr(exchanges, "decrypted", lambda each: each)  # which imports the whole proxy
    assert await serve(runtime, second) is None
    note_upstreams(runtime, second)
    assert (first.exchange.history, first.exchange.looked_up) == (found, "found") and not second.is_served
    assert second.completion["messages"] == [user("restated")] and counted(runtime) == {"lookups found": 1}


async def test_rounds_of_mcp_tools_of_a_first_turn_are_no_lookup(runtime):
    second = round_after(call_in(exchange_of(QUESTION)))
    served = await serve(runtime, second)
    assert [role for role, _ in contents(served)] == ["user", "assistant", "tool"] and second.is_served
    assert counted(runtime) == {} and second.exchange.history is None


@pytest.mark.parametrize("source", [each for each in Source if not History(each).is_ours])
async def test_a_history_that_is_not_out_of_redis_is_upstream_s_to_serve(runtime, source):
    exchange = exchange_of(after=UNKNOWN, history=History(source), looked_up="unknown")
    call = call_in(exchange)
    call.after = UNKNOWN
    assert await serve(runtime, call) is None and not call.is_served


@pytest.mark.parametrize("characters", [1, OFF_THE_LOOP_BYTES])
async def test_a_large_history_is_transformed_in_a_thread_that_knows_whose_request_it_is(
    runtime, monkeypatch, characters
):
    """Upstream's memory of tool calls, which its transformation asks, is each caller's own."""
    seen: list[Any] = []

    def noted(step: Any) -> Any:
        def run(*args: Any) -> Any:
            seen.append((threading.current_thread() is threading.main_thread(), running_exchange()))
            return step(*args)

        return run

    for name in ("said_before", "completion_after"):
        monkeypatch.setattr(lookup, name, noted(getattr(lookup, name)))
    call = await following(runtime, noise_of(1, characters))
    with entered(call.exchange):
        assert await serve(runtime, call) is call.completion
    is_on_the_loop = characters == 1
    assert seen == [(is_on_the_loop, call.exchange)] * 2


async def test_what_upstream_found_is_nothing_of_ours_where_nobody_has_looked_into_redis(runtime):
    """After a defect before that: nobody knows the history then."""
    call = call_in(exchange_of(after=UNKNOWN))
    call.after, call.found = UNKNOWN, FROM_DATABASE
    note_upstreams(runtime, call)
    assert call.exchange.history is None and counted(runtime) == {} and not call.exchange.is_counted


async def missed(runtime: Any, **fields: Any) -> Any:
    """A call whose history upstream has been asked for, because Redis does not have it."""
    call = call_in(exchange_of(after=UNKNOWN), model="claude-4", custom_llm_provider="bedrock")
    call.after = UNKNOWN
    for name, value in fields.items():
        setattr(call, name, value)
    await find(runtime, call.exchange)
    return call


async def test_a_history_of_the_database_knows_whose_model_it_was_for_and_who_took_part(runtime):
    call = await missed(runtime, found=FROM_DATABASE, rows=[row_of(OF_BOB), row_of(OF_ALICE)])
    note_upstreams(runtime, call)
    (turn,) = call.exchange.history.chain.turns
    assert (turn.maker, set(turn.by)) == ("claude", {ALICE.tag, BOB.tag})


async def test_where_upstream_has_not_looked_there_is_no_history(runtime):
    call = await missed(runtime)
    note_upstreams(runtime, call)
    assert call.exchange.history.source is Source.NONE and counted(runtime) == {"lookups unknown": 1}


async def test_what_was_found_and_not_served_is_no_history(runtime):
    last = await stored(runtime, "a")
    exchange = exchange_of(after=last, history=History(Source.REDIS, await chain_at(runtime, last)), looked_up="found")
    call = call_in(exchange)
    call.after, call.found = last, FROM_DATABASE
    note_upstreams(runtime, call)
    assert exchange.history is None and counted(runtime) == {}


async def test_a_refusal_names_the_model_that_was_asked_and_its_provider(redis_client):
    runtime = runtime_on(redis_client, on_miss="error")
    with pytest.raises(litellm.BadRequestError) as caught:
        note_upstreams(runtime, await missed(runtime))
    assert (caught.value.model, caught.value.llm_provider) == ("claude-4", "bedrock")
