"""Serving a follow-up: from Redis, else as upstream; and stored as it was sent."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest

import litellm
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.exchange import Source
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.lookup import (
    find,
    note_connections,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.saving import store_reply
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.ids import place_of
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.owner import NOBODY, Owner
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.turns import NO_TURNS, Turn

from .support.bridge import (
    BOB,
    call_in,
    call_item,
    client_id,
    completion_of,
    exchange_of,
    inputs_at,
    reply_of,
    result_item,
    stored,
    tool_call,
    wrapped,
)
from .support.lookups import FROM_DATABASE, MEMORY, NOTHING, Upstream, contents, look_up
from .support.runtimes import counted, runtime_on

UNKNOWN = wrapped("chatcmpl-unknown")
CALLING = {"role": "assistant", "content": None, "tool_calls": [tool_call("c1")]}


@pytest.fixture(autouse=True)
def message_logging_is_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(litellm, "turn_off_message_logging", False)


async def answer(runtime: Any, call: Any, text: str = "Hi.") -> str:
    """The id of the stored response."""
    call.take_answer(completion_of(text))
    await store_reply(runtime, call.exchange, reply_of(call.exchange, text))
    return client_id(call.exchange.place)


async def test_a_stored_conversation_is_served_without_asking_upstream(runtime):
    exchange, upstream = exchange_of("c", after=await stored(runtime, "a", "b")), Upstream()
    session = await look_up(runtime, call_in(exchange), upstream)
    assert contents(session) == [
        ("user", "a"),
        ("assistant", "You said: a"),
        ("user", "b"),
        ("assistant", "You said: b"),
    ]
    assert exchange.history.source is Source.REDIS and len(exchange.history.chain.turns) == 2
    assert upstream.asked == 0 and counted(runtime) == {"lookups found": 1}


async def test_the_session_of_the_spend_logs_goes_on(runtime):
    last = await stored(runtime, Turn("a", session_id="s"), Turn("b"))
    assert (await look_up(runtime, call_in(exchange_of(after=last))))["litellm_session_id"] == "s"


async def test_what_a_client_sent_as_items_is_served_as_upstream_would_have_sent_it(runtime):
    first = Turn([{"role": "user", "content": "look"}], (CALLING,), "be kind", "groq")
    last = await stored(runtime, first, Turn([result_item("c1")], ({"role": "assistant", "content": "42."},)))
    session = await look_up(runtime, call_in(exchange_of("and?", after=last)))
    roles = [message["role"] for message in session["messages"]]
    assert roles == ["user", "assistant", "tool", "assistant"]
    assert session["messages"][1]["tool_calls"] == [tool_call("c1")]
    assert session.get("instructions", "be kind") == "be kind"


@pytest.mark.parametrize("source", [Source.REDIS, Source.DATABASE])
async def test_a_history_is_as_old_as_the_question_for_it(runtime, source):
    """Who was erased while it was on its way is in it."""
    asked: list[float] = []
    read = runtime.store.read

    async def noted(*args: Any) -> Any:
        asked.append(time.monotonic())
        return await read(*args)

    last = await stored(runtime, "a") if source is Source.REDIS else UNKNOWN
    exchange = exchange_of("b", after=last)
    runtime.store.read = noted
    before = time.monotonic()
    await look_up(runtime, call_in(exchange), Upstream(FROM_DATABASE))
    assert exchange.history.source is source
    asked_at = exchange.history.chain.asked_at
    if source is Source.DATABASE:
        assert before <= asked_at <= asked[0]
    else:
        assert asked[0] <= asked_at < time.monotonic()


@pytest.mark.parametrize("source", ["redis", "database", "none"])
async def test_a_follow_up_of_a_follow_up_has_all_that_the_provider_was_sent(runtime, source):
    exchange = exchange_of("b", after=await stored(runtime, "a") if source == "redis" else UNKNOWN)
    call = call_in(exchange)
    sent = contents(await look_up(runtime, call, Upstream(FROM_DATABASE if source == "database" else NOTHING)))
    assert exchange.history.source.value == source
    second = await answer(runtime, call, "Second.")
    later = contents(await look_up(runtime, call_in(exchange_of("c", after=second))))
    assert later == [*sent, ("user", "b"), ("assistant", "Second.")]


async def test_what_only_the_database_knows_is_served_as_upstream_does(runtime):
    exchange, upstream = exchange_of(after=UNKNOWN), Upstream(FROM_DATABASE)
    assert await look_up(runtime, call_in(exchange), upstream) is FROM_DATABASE
    assert not exchange.history.is_ours and upstream.asked == 1
    assert counted(runtime) == {"lookups database": 1}


async def test_rows_of_the_database_without_messages_are_no_history(runtime):
    exchange = exchange_of(after=UNKNOWN)
    await look_up(runtime, call_in(exchange), Upstream({"messages": [], "litellm_session_id": "s"}))
    assert (exchange.history.source, exchange.history.chain) == (Source.NONE, NO_TURNS)
    assert counted(runtime) == {"lookups unknown": 1}


async def test_for_somebody_else_a_response_is_unknown_and_the_database_is_not_asked(runtime):
    exchange, upstream = exchange_of(caller=BOB, after=await stored(runtime, "a secret")), Upstream(FROM_DATABASE)
    assert await look_up(runtime, call_in(exchange), upstream) == NOTHING
    assert upstream.asked == 0 and exchange.history.source is Source.NONE
    assert counted(runtime) == {"lookups denied": 1}


@pytest.mark.parametrize("on_miss", ["continue", "error"])
async def test_a_deleted_response_is_not_continued_from_anywhere_else(redis_client, on_miss):
    runtime = runtime_on(redis_client, on_miss=on_miss)
    last = await stored(runtime, "a")
    exchange = exchange_of(after=last)
    await runtime.store.delete(place_of(last), exchange.caller)
    upstream = Upstream(FROM_DATABASE)
    for _ in range(2):  # The router may try another model.
        with pytest.raises(litellm.BadRequestError) as caught:
            await look_up(runtime, call_in(exchange), upstream)
        assert caught.value.code == "previous_response_not_found"
    assert upstream.asked == 0 and counted(runtime) == {"lookups deleted": 1}


async def test_somebody_else_gets_exactly_what_an_unknown_id_gets(redis_client):
    outcomes: list[Any] = []
    last = await stored(runtime_on(redis_client), "a secret")
    for after in (last, UNKNOWN):
        call = call_in(exchange_of(caller=BOB, after=after))
        session = await look_up(runtime_on(redis_client), call)
        outcomes.append((session, call.exchange.history, call.completion))
        with pytest.raises(litellm.BadRequestError) as caught:
            await look_up(runtime_on(redis_client, on_miss="error"), call_in(exchange_of(caller=BOB, after=after)))
        outcomes.append((caught.value.message, caught.value.code, caught.value.status_code))
    assert outcomes[:2] == outcomes[2:]


async def test_what_follows_a_connection_s_memory_has_all_of_it(runtime):
    """The memory may be older than any erasure."""
    exchange = exchange_of("now")
    note_connections(exchange, MEMORY)
    assert (exchange.history.source, exchange.history.chain.asked_at) == (Source.CONNECTION, -math.inf)
    assert await inputs_at(runtime, await answer(runtime, call_in(exchange))) == [list(MEMORY), "now"]


async def test_a_further_round_of_mcp_tools_sees_the_rounds_before_it_from_the_request_itself(runtime):
    """Nothing of them is in Redis yet."""
    question = [{"role": "user", "content": "look"}]
    exchange = exchange_of(question, after=await stored(runtime, "before"))
    first = call_in(exchange)
    await look_up(runtime, first)
    first.take_answer(completion_of(None, "c1"))
    second = call_in(exchange, [*question, call_item("c1"), result_item("c1")])
    upstream = Upstream(FROM_DATABASE)
    session = await look_up(runtime, second, upstream, after="chatcmpl-of-the-first-round")
    roles = [message["role"] for message in session["messages"]]
    assert roles == ["user", "assistant", "user", "assistant"] and upstream.asked == 0
    assert session["messages"][-1]["tool_calls"] == [tool_call("c1")]
    assert [message["role"] for message in second.completion["messages"]] == ["tool"]
    assert counted(runtime) == {"lookups found": 1}


async def test_what_was_found_at_the_outer_door_is_served_and_counted_here(runtime):
    exchange = exchange_of(after=await stored(runtime, "a"))
    await find(runtime, exchange)
    assert exchange.history.source is Source.REDIS and counted(runtime) == {}
    runtime.store.read = None  # It is not asked again.
    assert contents(await look_up(runtime, call_in(exchange)))[0] == ("user", "a")
    assert counted(runtime) == {"lookups found": 1}


async def test_an_error_of_upstream_s_lookup_is_upstream_s(runtime):
    exchange, upstream = exchange_of(after=UNKNOWN), Upstream(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await look_up(runtime, call_in(exchange), upstream)
    assert upstream.asked == 1 and exchange.history is None


@pytest.mark.parametrize("given", [NOTHING, FROM_DATABASE], ids=["nothing", "rows"])
async def test_a_lookup_of_something_that_the_client_does_not_follow_is_upstream_s_and_no_history(redis_client, given):
    runtime, upstream, exchange = runtime_on(redis_client, on_miss="error"), Upstream(given), exchange_of()
    found = await look_up(runtime, call_in(exchange), upstream, after=await stored(runtime, "a"))
    assert found is given and upstream.asked == 1
    assert exchange.history is None and counted(runtime) == {}


@pytest.mark.parametrize("owner", [NOBODY, Owner(claimed_end_user="eve")])
@pytest.mark.parametrize("given", [NOTHING, FROM_DATABASE], ids=["nothing", "rows"])
async def test_for_one_of_whom_nothing_is_known_no_response_is_anywhere(runtime, owner, given):
    """The database shows what nobody owns to everybody."""
    exchange, upstream = exchange_of(caller=owner, after=await stored(runtime, "a")), Upstream(given)
    runtime.store.read = None  # It is not asked.
    assert await look_up(runtime, call_in(exchange), upstream) == NOTHING
    assert (upstream.asked, counted(runtime)) == (0, {"lookups denied": 1})


async def test_an_id_without_a_place_costs_what_one_with_a_place_costs(runtime):
    """So the time of the answer does not say whether it is one of ours."""
    asked: list[Any] = []
    read = runtime.store.read

    async def noted(*args: Any) -> Any:
        asked.append(args)
        return await read(*args)

    runtime.store.read = noted
    await look_up(runtime, call_in(exchange_of(after="chatcmpl-of-another-proxy")))
    assert len(asked) == 1 and counted(runtime) == {"lookups unknown": 1}
