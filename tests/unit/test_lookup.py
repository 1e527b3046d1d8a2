"""Serving a follow-up: from Redis, else from its connection's memory, else as upstream; and stored as it was sent."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest

import litellm
from litellm.responses.litellm_completion_transformation.redis_session_patch.conversation import NO_TURNS, Turn
from litellm.responses.litellm_completion_transformation.redis_session_patch.lookup import look_ahead, read_session
from litellm.responses.litellm_completion_transformation.redis_session_patch.owner import NOBODY, Owner
from litellm.responses.litellm_completion_transformation.redis_session_patch.request import Source
from litellm.responses.litellm_completion_transformation.redis_session_patch.saving import store_answer

from .support.bridge import answer_of, counted, request_of, runtime_on, wrapped
from .support.clients import Interposed, RoundTrips, no_redis
from .support.lookups import FROM_DATABASE, MEMORY, NOTHING, Upstream, contents, stored
from .support.stores import ALICE, BOB, chain_of, inputs_of, say, store_on

CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
RESULT = {"type": "function_call_output", "call_id": "c1", "output": "42"}


async def test_a_stored_conversation_is_served_without_asking_upstream(redis_client, runtime):
    request, upstream = request_of("c"), Upstream()
    session = await read_session(runtime, request, await stored(redis_client, "a", "b"), upstream)
    assert contents(session) == [
        ("user", "a"),
        ("assistant", "You said: a"),
        ("user", "b"),
        ("assistant", "You said: b"),
    ]
    assert session["litellm_session_id"] == "trace"
    assert request.history.source is Source.REDIS and len(request.history.chain.turns) == 2
    assert upstream.asked == 0 and counted(runtime) == {"lookups found": 1}


async def test_an_id_that_is_wrapped_again_is_the_same_response(redis_client, runtime):
    """As upstream's MCP round trip hands it on."""
    session = await read_session(runtime, request_of(), wrapped(await stored(redis_client, "a")), Upstream())
    assert contents(session)[0] == ("user", "a")


async def test_what_a_client_sent_as_items_is_served_as_upstream_would_have_sent_it(redis_client, store, runtime):
    answer = {"role": "assistant", "content": None, "tool_calls": [CALL]}
    first = await say(store, Turn([{"role": "user", "content": "look"}], (answer,), "be kind", "groq"))
    second = await say(store, Turn([RESULT], ({"role": "assistant", "content": "42."},)), await chain_of(store, first))
    session = await read_session(runtime, request_of("and?"), second, Upstream())
    roles = [message["role"] for message in session["messages"]]
    assert roles == ["user", "assistant", "tool", "assistant"]
    assert session["messages"][1]["tool_calls"] == [CALL] and session.get("instructions", "be kind") == "be kind"


@pytest.mark.parametrize("source", [Source.REDIS, Source.DATABASE, Source.CONNECTION])
async def test_a_history_is_as_old_as_the_question_for_it(redis_client, source):
    """Who was erased while it was on its way is in it. What a connection remembers may be as old as the connection."""
    asked: list[float] = []

    async def note(name: str) -> None:
        asked.append(time.monotonic())

    previous = await stored(redis_client, "a") if source is Source.REDIS else "unknown"
    request = request_of("b", connection_turns=MEMORY if source is Source.CONNECTION else ())
    runtime = runtime_on(Interposed(redis_client, before=note))
    await read_session(runtime, request, previous, Upstream(FROM_DATABASE))
    assert request.history.source is source
    before = -math.inf if source is Source.CONNECTION else asked[0]
    assert request.history.chain.asked_at <= before


@pytest.mark.parametrize("source", ["redis", "database", "none"])
async def test_a_follow_up_of_a_follow_up_has_all_that_the_provider_was_sent(redis_client, runtime, source):
    previous = await stored(redis_client, "a") if source == "redis" else "unknown"
    request, upstream = request_of("b"), Upstream(FROM_DATABASE if source == "database" else NOTHING)
    sent = contents(await read_session(runtime, request, previous, upstream))
    assert request.history.source.value == source
    second = await store_answer(runtime, request, "x", answer_of("Second."))
    later = request_of("c")
    assert contents(await read_session(runtime, later, second, Upstream())) == [
        *sent,
        ("user", "b"),
        ("assistant", "Second."),
    ]


async def test_what_only_the_database_knows_is_served_as_upstream_does(redis_client, runtime):
    request, upstream = request_of(), Upstream(FROM_DATABASE)
    assert await read_session(runtime, request, "unknown", upstream) is FROM_DATABASE
    assert not request.history.is_ours and upstream.asked == 1
    assert counted(runtime) == {"lookups database": 1}


async def test_rows_of_the_database_without_messages_are_no_history(runtime):
    request = request_of()
    await read_session(runtime, request, "unknown", Upstream({"messages": [], "litellm_session_id": "s"}))
    assert (request.history.source, request.history.chain) == (Source.NONE, NO_TURNS)
    assert counted(runtime) == {"lookups unknown": 1}


async def test_for_somebody_else_a_response_is_unknown_and_the_database_is_not_asked(redis_client, runtime, log_lines):
    request, upstream = request_of(owner=BOB), Upstream(FROM_DATABASE)
    assert await read_session(runtime, request, await stored(redis_client, "a secret"), upstream) == NOTHING
    assert upstream.asked == 0 and request.history.source is Source.NONE
    assert counted(runtime) == {"lookups denied": 1}


@pytest.mark.parametrize("on_miss", ["continue", "error"])
async def test_a_deleted_response_is_not_continued_from_anywhere_else(redis_client, on_miss):
    runtime = runtime_on(redis_client, on_miss=on_miss)
    first = await stored(redis_client, "a")
    await store_on(redis_client).delete(first, lambda _: True)
    request, upstream = request_of(connection_turns=MEMORY), Upstream(FROM_DATABASE)
    with pytest.raises(litellm.BadRequestError) as caught:
        await read_session(runtime, request, first, upstream)
    assert caught.value.code == "previous_response_not_found"
    assert upstream.asked == 0 and counted(runtime) == {"lookups deleted": 1}


async def test_somebody_else_gets_exactly_what_an_unknown_id_gets(redis_client):
    outcomes: list[Any] = []
    for response_id in (await stored(redis_client, "a secret"), "unknown"):
        request = request_of(owner=BOB)
        session = await read_session(runtime_on(redis_client), request, response_id, Upstream())
        outcomes.append((session, request.history, request.completion))
        with pytest.raises(litellm.BadRequestError) as caught:
            await read_session(
                runtime_on(redis_client, on_miss="error"), request_of(owner=BOB), response_id, Upstream()
            )
        outcomes.append((caught.value.message, caught.value.code, caught.value.status_code))
    assert outcomes[:2] == outcomes[2:]


async def test_a_repeated_id_is_read_by_its_own_owner_only(store, runtime):
    first = await say(store, "mine", as_id="x")
    second = await say(store, "bob's", as_id="x", owner=BOB)
    assert contents(await read_session(runtime, request_of(), first, Upstream()))[0] == ("user", "mine")
    assert contents(await read_session(runtime, request_of(owner=BOB), second, Upstream()))[0] == ("user", "bob's")
    assert await read_session(runtime, request_of(), second, Upstream()) == NOTHING


@pytest.mark.parametrize("previous", ["unknown", "redis is down"])
async def test_where_redis_does_not_have_it_the_connection_s_memory_is_the_history(redis_client, previous):
    async with no_redis() as broken:
        runtime = runtime_on(broken if previous == "redis is down" else redis_client)
        request, upstream = request_of("now", connection_turns=MEMORY), Upstream(FROM_DATABASE)
        session = await read_session(runtime, request, "x", upstream)
    assert contents(session)[0] == ("user", "over this connection") and len(session["messages"]) == 2
    assert request.history.source is Source.CONNECTION and request.history.is_ours and upstream.asked == 0
    response_id = await store_answer(runtime_on(redis_client), request, "y", answer_of())
    assert await inputs_of(store_on(redis_client), response_id) == [list(MEMORY), "now"]


async def test_where_redis_has_it_the_connection_s_memory_is_not_sent_too(redis_client, runtime):
    request = request_of("b", connection_turns=MEMORY)
    session = await read_session(runtime, request, await stored(redis_client, "a"), Upstream())
    assert contents(session) == [("user", "a"), ("assistant", "You said: a")]


async def test_a_tool_call_that_the_history_holds_is_not_sent_twice(store, runtime):
    answer = {"role": "assistant", "content": None, "tool_calls": [CALL]}
    first = await say(store, Turn("look", (answer,)))
    request = request_of([RESULT])
    result = {"role": "tool", "tool_call_id": "c1", "content": "42"}
    request.completion["messages"] = [answer, result]  # Upstream has put the call before it, from its cache.
    await read_session(runtime, request, first, Upstream())
    assert request.completion["messages"] == [result]


async def test_of_an_input_that_restates_the_last_turn_only_what_is_new_goes_on(store, runtime):
    thought = {"type": "thinking", "thinking": "hm", "signature": "s"}
    answer = {"role": "assistant", "content": None, "tool_calls": [CALL], "thinking_blocks": [thought]}
    first = await say(store, Turn("look", (answer,), None, request_of().maker))
    again = [
        {"role": "user", "content": "look"},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        RESULT,
    ]
    request = request_of(again)
    session = await read_session(runtime, request, first, Upstream())
    assert [message["role"] for message in session["messages"]] == ["user", "assistant"]
    assert session["messages"][-1]["thinking_blocks"] == [thought]
    assert [message["role"] for message in request.completion["messages"]] == ["tool"]
    second = await store_answer(runtime, request, "x", answer_of())
    assert await inputs_of(store, second) == ["look", [RESULT]]


async def test_a_lookup_ahead_finds_it_once_and_is_not_counted(redis_client):
    trips = RoundTrips(redis_client)
    runtime, request = runtime_on(trips), request_of(owner=ALICE)
    response_id = await stored(redis_client, "a")
    await look_ahead(runtime, request, response_id)
    assert request.history.source is Source.REDIS and counted(runtime) == {}
    session = await read_session(runtime, request, response_id, Upstream())
    assert contents(session)[0] == ("user", "a") and trips.names == ["get", "read"]
    assert counted(runtime) == {"lookups found": 1}


async def test_an_error_of_upstream_s_lookup_is_upstream_s(runtime):
    async def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await read_session(runtime, request_of(), "unknown", broken)


@pytest.mark.parametrize("owner", [NOBODY, Owner(claimed_end_user="eve")])
@pytest.mark.parametrize("given", [NOTHING, FROM_DATABASE], ids=["nothing", "rows"])
async def test_for_one_of_whom_nothing_is_known_no_response_is_anywhere(redis_client, owner, given):
    """The database shows what nobody owns to everybody."""
    last, trips, upstream = await stored(redis_client, "a"), RoundTrips(redis_client), Upstream(given)
    runtime = runtime_on(trips)
    assert await read_session(runtime, request_of(owner=owner), last, upstream) == NOTHING
    assert (trips.names, upstream.asked, counted(runtime)) == ([], 0, {"lookups denied": 1})
