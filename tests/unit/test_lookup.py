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
from .support.messages import system, user
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
    call = call_in(exchange, messages=[user("c")])
    assert contents(await look_up(runtime, call, upstream)) == [
        ("user", "a"),
        ("assistant", "You said: a"),
        ("user", "b"),
        ("assistant", "You said: b"),
        ("user", "c"),
    ]
    assert call.is_served
    assert exchange.history.source is Source.REDIS and len(exchange.history.chain.turns) == 2
    assert upstream.asked == 0 and counted(runtime) == {"lookups found": 1}


async def test_the_session_of_the_spend_logs_goes_on(runtime):
    last = await stored(runtime, Turn("a", session_id="s"), Turn("b"))
    assert (await look_up(runtime, call_in(exchange_of(after=last))))["litellm_trace_id"] == "s"


async def test_what_a_client_sent_as_items_is_served_as_upstream_would_have_sent_it(runtime):
    first = Turn([{"role": "user", "content": "look"}], (CALLING,), "be kind", "groq")
    last = await stored(runtime, first, Turn([result_item("c1")], ({"role": "assistant", "content": "42."},)))
    messages = (await look_up(runtime, call_in(exchange_of("and?", after=last))))["messages"]
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "tool", "assistant"]
    assert messages[2]["tool_calls"] == [tool_call("c1")]


@pytest.mark.parametrize("instructions, leading", [(None, "be kind"), ("be brief", "be brief")])
async def test_the_last_instructions_stand_first_once_where_the_request_has_none(runtime, instructions, leading):
    last = await stored(runtime, Turn("a", instructions="be careful"), Turn("b", instructions="be kind"), Turn("c"))
    own = [*([system(instructions)] if instructions else []), user("d")]
    call = call_in(exchange_of("d", after=last, instructions=instructions), messages=own)
    assert contents(await look_up(runtime, call)) == [("system", leading), *(("user", text) for text in "abcd")]


async def test_a_follow_up_is_sent_as_its_own_model_takes_it(runtime):
    first = Turn("look", ({**CALLING, "reasoning_content": "hm"},), maker="gemini")
    last = await stored(runtime, first, Turn([result_item("c1")], ({"role": "assistant", "content": ""},)))
    exchange = exchange_of("now", after=last)
    for provider, between in (("mistral", [("assistant", "OK.")]), ("groq", [])):  # As the router may try both.
        call = call_in(exchange, messages=[user("now")], custom_llm_provider=provider)
        sent = contents(await look_up(runtime, call))
        assert sent == [("user", "look"), ("assistant", None), ("tool", "42"), *between, ("user", "now")]
        assert ("reasoning_content" in call.completion["messages"][1]) is False


async def test_a_call_that_litellm_puts_back_from_its_memory_is_sent_once(runtime):
    """Its memory gives the calls of a stored history too."""
    last = await stored(runtime, Turn("look", (CALLING,)))
    own = [CALLING, {"role": "tool", "tool_call_id": "c1", "content": "42"}, user("now")]
    sent = (await look_up(runtime, call_in(exchange_of([result_item("c1")], after=last), messages=own)))["messages"]
    assert sent == [user("look"), *own]


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
    call = call_in(exchange, messages=[user("now")])
    assert contents(await look_up(runtime, call, upstream)) == [*contents(FROM_DATABASE), ("user", "now")]
    assert not exchange.history.is_ours and not call.is_served and upstream.asked == 1
    assert counted(runtime) == {"lookups database": 1}


async def test_rows_of_the_database_without_messages_are_no_history(runtime):
    exchange = exchange_of(after=UNKNOWN)
    await look_up(runtime, call_in(exchange), Upstream({"messages": [], "litellm_session_id": "s"}))
    assert (exchange.history.source, exchange.history.chain) == (Source.NONE, NO_TURNS)
    assert counted(runtime) == {"lookups unknown": 1}


async def test_for_somebody_else_a_response_is_unknown(runtime):
    """The database is asked as for an unknown id; of its rows each caller sees its own."""
    exchange, upstream = exchange_of(caller=BOB, after=await stored(runtime, "a secret")), Upstream()
    assert contents(await look_up(runtime, call_in(exchange), upstream)) == []
    assert upstream.asked == 1 and exchange.history.source is Source.NONE
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
        call, upstream = call_in(exchange_of(caller=BOB, after=after)), Upstream()
        completion = await look_up(runtime_on(redis_client), call, upstream)
        outcomes.append((completion, upstream.asked, call.exchange.history, call.is_served))
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
    messages = (await look_up(runtime, second, upstream, after="chatcmpl-of-the-first-round"))["messages"]
    roles = [message["role"] for message in messages]
    assert roles == ["user", "assistant", "user", "assistant", "tool"] and upstream.asked == 0
    assert messages[3]["tool_calls"] == [tool_call("c1")] and second.is_served
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
    assert contents(found) == contents(given) and upstream.asked == 1
    assert exchange.history is None and counted(runtime) == {}


@pytest.mark.parametrize("is_stored", [True, False])
async def test_a_lookup_of_another_response_than_the_client_follows_is_upstream_s(redis_client, is_stored):
    runtime = runtime_on(redis_client, on_miss="error")
    exchange = exchange_of(after=await stored(runtime, "a") if is_stored else UNKNOWN)
    await find(runtime, exchange)
    found, call = exchange.history, call_in(exchange)
    assert contents(await look_up(runtime, call, after=wrapped("chatcmpl-another"))) == []
    assert exchange.history is found and not call.is_served and counted(runtime) == {}


@pytest.mark.parametrize("owner", [NOBODY, Owner(claimed_end_user="eve")])
async def test_for_one_of_whom_nothing_is_known_no_response_is_anywhere(runtime, owner):
    exchange = exchange_of(caller=owner, after=await stored(runtime, "a"))
    runtime.store.read = None  # It is not asked.
    assert contents(await look_up(runtime, call_in(exchange))) == []
    assert exchange.history.source is Source.NONE and counted(runtime) == {"lookups denied": 1}


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
