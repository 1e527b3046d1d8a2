"""Serving a follow-up: from Redis where it is there, else as upstream, else as the operator chose."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import litellm
from litellm.responses.litellm_completion_transformation.redis_session_patch import misses
from litellm.responses.litellm_completion_transformation.redis_session_patch.reading import read_session

from .support.bridge import pretend_a_proxy_runs, request_of, runtime_on
from .support.clients import no_redis
from .support.stores import ALICE, BOB, SESSION, TURNS, say, store_on, talk, turn_of

NOTHING = {"messages": [], "litellm_session_id": None}
FROM_DATABASE = {"messages": [{"role": "user", "content": "from the database"}], "litellm_session_id": "s"}


class Upstream:
    """Upstream's own lookup; `asked` counts."""

    def __init__(self, session: dict[str, Any] = NOTHING):
        self.session, self.asked = session, 0

    async def __call__(self) -> dict[str, Any]:
        self.asked += 1
        return self.session


def contents(session: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(message["role"], message["content"]) for message in session["messages"]]


async def stored(client: Any, *inputs: str) -> str:
    return (await talk(store_on(client), inputs))[-1]


@pytest.fixture
def no_database(undecided: pytest.MonkeyPatch) -> None:
    pretend_a_proxy_runs(undecided, prisma_client=None)


async def test_a_stored_conversation_is_served_without_asking_upstream(any_client):
    runtime, request, upstream = runtime_on(any_client), request_of("c"), Upstream()
    session = await read_session(runtime, request, await stored(any_client, "a", "b"), upstream)
    assert contents(session) == [
        ("user", "a"),
        ("assistant", "You said: a"),
        ("user", "b"),
        ("assistant", "You said: b"),
    ]
    assert session["litellm_session_id"] == "trace"
    assert request.history_is_whole and request.may_store and len(request.parent.turns) == 2
    assert upstream.asked == 0 and runtime.events == {"read_found": 1}


async def test_of_an_input_that_restates_the_last_turn_only_what_is_new_goes_on(any_client):
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    thought = {"type": "thinking", "thinking": "hm", "signature": "s"}
    answer = {"role": "assistant", "content": None, "tool_calls": [call], "thinking_blocks": [thought]}
    asking = replace(turn_of("look"), answer=(answer,), maker=request_of().maker)
    first = await store_on(any_client).save("x", asking, parent=None, owner=ALICE, session_id=None)
    result = {"type": "function_call_output", "call_id": "c1", "output": "42"}
    again = [
        {"role": "user", "content": "look"},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        result,
    ]
    request = request_of(again)
    session = await read_session(runtime_on(any_client), request, first, Upstream())
    assert [message["role"] for message in session["messages"]] == ["user", "assistant"]
    assert session["messages"][-1]["thinking_blocks"] == [thought]
    assert request.input == [result] and request.may_store
    assert [message["role"] for message in request.completion["messages"]] == ["tool"]


@pytest.mark.parametrize("on_miss", ["continue", "error"])
@pytest.mark.parametrize("session", [NOTHING, FROM_DATABASE])
async def test_for_somebody_else_upstream_is_not_asked(any_client, no_database, on_miss, session):
    runtime, upstream = runtime_on(any_client, on_miss=on_miss), Upstream(session)
    request, theirs = request_of(owner=BOB), await stored(any_client, "a secret")
    if on_miss == "error":
        with pytest.raises(litellm.BadRequestError):
            await read_session(runtime, request, theirs, upstream)
    else:
        assert await read_session(runtime, request, theirs, upstream) == NOTHING
    assert upstream.asked == 0 and request.parent is None and runtime.events == {"read_denied": 1}


async def test_somebody_else_gets_exactly_what_an_unknown_id_gets(any_client, no_database):
    theirs, outcomes = await stored(any_client, "a secret"), []
    for response_id in (theirs, "unknown"):
        request = request_of(owner=BOB)
        session = await read_session(runtime_on(any_client), request, response_id, Upstream())
        outcomes.append((session, request.may_store, request.earlier, request.history_is_whole))
        with pytest.raises(litellm.BadRequestError) as caught:
            await read_session(runtime_on(any_client, on_miss="error"), request_of(owner=BOB), response_id, Upstream())
        outcomes.append((caught.value.message, caught.value.code, caught.value.status_code))
    assert outcomes[:2] == outcomes[2:]


@pytest.mark.parametrize("on_miss", ["continue", "error"])
async def test_what_only_the_database_knows_is_served_as_upstream_does(any_client, no_database, on_miss):
    runtime, request, upstream = runtime_on(any_client, on_miss=on_miss), request_of(), Upstream(FROM_DATABASE)
    assert await read_session(runtime, request, "unknown", upstream) == FROM_DATABASE
    assert request.earlier == tuple(FROM_DATABASE["messages"]) and request.may_store
    assert not request.history_is_whole and upstream.asked == 1


async def test_an_id_found_nowhere_is_treated_as_upstream_does(any_client, no_database):
    runtime, request = runtime_on(any_client), request_of()
    assert await read_session(runtime, request, "unknown", Upstream()) == NOTHING
    assert request.may_store and runtime.events == {"read_unknown": 1}


async def test_an_id_found_nowhere_is_openai_s_error_where_the_operator_chose_so(any_client, no_database):
    with pytest.raises(litellm.BadRequestError) as caught:
        await read_session(runtime_on(any_client, on_miss="error"), request_of(), "chatcmpl-unknown", Upstream())
    error = caught.value
    assert (error.status_code, error.code, error.param, error.type) == (
        400,
        "previous_response_not_found",
        "previous_response_id",
        "invalid_request_error",
    )
    assert "chatcmpl-unknown" not in str(error)


async def test_while_the_database_may_still_learn_of_it_a_turn_without_history_is_not_stored(any_client, undecided):
    pretend_a_proxy_runs(undecided, prisma_client=object())
    request = request_of()
    await read_session(runtime_on(any_client), request, "unknown", Upstream())
    assert not request.may_store


async def test_somebody_else_s_new_conversation_is_stored_even_with_a_database(any_client, undecided):
    pretend_a_proxy_runs(undecided, prisma_client=object())
    request = request_of(owner=BOB)
    await read_session(runtime_on(any_client), request, await stored(any_client, "a"), Upstream())
    assert request.may_store


@pytest.mark.parametrize("spoil, event", [("delete", "read_incomplete"), ("overwrite", "read_unreadable")])
async def test_a_conversation_that_is_not_whole_is_left_to_upstream(any_client, no_database, spoil, event):
    runtime, upstream, last = runtime_on(any_client), Upstream(FROM_DATABASE), await stored(any_client, "a", "b")
    for key in await any_client.keys((TURNS if spoil == "delete" else SESSION) + "*"):
        await (any_client.delete(key) if spoil == "delete" else any_client.set(key, b"garbage"))
    assert await read_session(runtime, request_of(), last, upstream) == FROM_DATABASE
    assert upstream.asked == 1 and runtime.events == {event: 1}


@pytest.mark.parametrize("on_miss", ["continue", "error"])
@pytest.mark.parametrize("session", [NOTHING, FROM_DATABASE])
async def test_while_redis_is_down_upstream_answers_and_nothing_is_stored_after_it(no_database, on_miss, session):
    async with no_redis() as client:
        runtime, request, upstream = runtime_on(client, on_miss=on_miss), request_of(), Upstream(session)
        assert await read_session(runtime, request, "x", upstream) == session
    assert upstream.asked == 1 and not request.may_store and runtime.events == {"read_failed": 1}


async def test_an_error_of_upstream_s_lookup_is_upstream_s(any_client):
    async def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await read_session(runtime_on(any_client), request_of(), "unknown", broken)


def test_the_error_s_body_is_openai_s():
    assert misses.error_body("Not found.") == {
        "error": {
            "message": "Not found.",
            "type": "invalid_request_error",
            "param": "previous_response_id",
            "code": "previous_response_not_found",
        }
    }


async def test_a_repeated_id_is_read_by_its_own_owner_only(any_client, no_database):
    store = store_on(any_client)
    first = await say(store, "mine", as_id="x")
    second = await say(store, "bob's", as_id="x", owner=BOB)
    runtime = runtime_on(any_client)
    assert contents(await read_session(runtime, request_of(), first, Upstream()))[0] == ("user", "mine")
    assert contents(await read_session(runtime, request_of(owner=BOB), second, Upstream()))[0] == ("user", "bob's")
    assert await read_session(runtime, request_of(), second, Upstream()) == NOTHING
