"""Storing an answer before its reply: what is stored, what is not, and that the reply goes out in every case."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

import litellm
from litellm.responses.litellm_completion_transformation.redis_session_patch.breaker import FAILURES_TO_OPEN
from litellm.responses.litellm_completion_transformation.redis_session_patch.writing import store_answer

from .support.bridge import answer_of, request_of, runtime_on
from .support.clients import no_redis
from .support.stores import ALICE, BOB, SESSION, chain_of, inputs_of, load, say, store_on


@pytest.fixture(autouse=True)
def message_logging_is_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(litellm, "turn_off_message_logging", False)


async def stored_keys(client: Any) -> list[bytes]:
    return await client.keys("*")


async def test_the_whole_turn_is_stored_under_the_id_that_the_client_gets(redis_client):
    runtime = runtime_on(redis_client)
    request = request_of([{"role": "user", "content": "hello"}], params={"instructions": "be kind"})
    assert await store_answer(runtime, request, "x", answer_of("Hi.")) == "x"
    chain = await chain_of(store_on(redis_client), "x")
    (turn,) = chain.turns
    assert (turn.input, turn.instructions) == ([{"role": "user", "content": "hello"}], "be kind")
    assert turn.answer == ({"role": "assistant", "content": "Hi."},)
    assert turn.maker == "groq" and turn.parent is None and turn.created > 1_700_000_000
    assert (chain.record.owner, chain.record.session_id) == (ALICE, "trace")
    assert runtime.events == {"written": 1}


async def test_a_follow_up_is_stored_after_what_it_follows(redis_client):
    runtime, store = runtime_on(redis_client), store_on(redis_client)
    parent = await chain_of(store, await say(store, "a"))
    await store_answer(runtime, request_of("b", parent=parent), "x", answer_of())
    assert await inputs_of(store, "x") == ["a", "b"]


async def test_messages_that_came_from_the_database_are_stored_before_the_first_turn(redis_client):
    earlier = ({"role": "user", "content": "before"},)
    await store_answer(runtime_on(redis_client), request_of(earlier=earlier), "x", answer_of())
    assert (await chain_of(store_on(redis_client), "x")).turns[0].earlier == earlier


async def test_an_id_that_the_provider_repeats_is_replaced(redis_client):
    runtime = runtime_on(redis_client)
    first = await store_answer(runtime, request_of("a"), "x", answer_of())
    second = await store_answer(runtime, request_of("b", owner=BOB), "x", answer_of())
    assert first == "x" != second
    assert await inputs_of(store_on(redis_client), "x") == ["a"]
    assert [turn.input for turn in (await load(store_on(redis_client), second, BOB)).turns] == ["b"]


NOT_STORED = [
    ({"params": {"store": False}}, "store_false"),
    ({"may_store": False}, "history_unsure"),
]


@pytest.mark.parametrize("fields, event", NOT_STORED)
async def test_what_must_not_be_stored_leaves_nothing_behind(redis_client, fields, event):
    runtime = runtime_on(redis_client)
    assert await store_answer(runtime, request_of(**fields), "x", answer_of()) == "x"
    assert await stored_keys(redis_client) == []
    assert runtime.events == {event: 1}


@pytest.mark.parametrize("fields, event", NOT_STORED)
async def test_what_is_not_stored_never_gets_the_id_of_a_stored_response(redis_client, fields, event):
    runtime, store = runtime_on(redis_client), store_on(redis_client)
    await say(store, "mine", as_id="x")
    given = await store_answer(runtime, request_of(**fields), "x", answer_of())
    assert given != "x"
    assert (await load(store, given)).value == "unknown"


@pytest.mark.parametrize("asked", [None, True])
async def test_unless_the_client_says_no_it_is_stored(redis_client, asked):
    await store_answer(runtime_on(redis_client), request_of(params={"store": asked}), "x", answer_of())
    assert await redis_client.exists(SESSION + "x")


def logging_off(**details: Any) -> dict[str, Any]:
    """The handler's arguments for a request or key that turned message logging off."""
    return {"litellm_logging_obj": SimpleNamespace(model_call_details=details)}


UNLOGGED = {
    "for all": {},
    "for this request": logging_off(standard_callback_dynamic_params={"turn_off_message_logging": True}),
    "by a header": logging_off(
        litellm_params={"metadata": {"headers": {"x-litellm-enable-message-redaction": "true"}}}
    ),
}


@pytest.mark.parametrize("where", UNLOGGED)
@pytest.mark.parametrize("opted_in", [False, True])
async def test_where_message_logging_is_off_only_the_operator_can_have_it_stored(
    redis_client, monkeypatch, where, opted_in
):
    monkeypatch.setattr(litellm, "turn_off_message_logging", where == "for all")
    runtime = runtime_on(redis_client, store_unlogged=opted_in)
    await store_answer(runtime, request_of(call=UNLOGGED[where]), "x", answer_of())
    assert await redis_client.exists(SESSION + "x") == opted_in
    assert runtime.events == ({"written": 1} if opted_in else {"unlogged": 1})


async def test_a_redis_that_fails_costs_nothing_but_the_memory(log_lines):
    async with no_redis() as client:
        runtime = runtime_on(client)
        for _ in range(FAILURES_TO_OPEN + 2):
            assert await store_answer(runtime, request_of("a private text"), "x", answer_of()) == "x"
    assert runtime.events == {"write_failed": FAILURES_TO_OPEN + 2}
    assert len(log_lines) == 1 and "private" not in log_lines[0]


@pytest.mark.parametrize("fields", [{}, {"params": {"store": False}}])
async def test_an_id_that_is_out_stays_whatever_happens(fields):
    async with no_redis() as client:
        runtime = runtime_on(client)
        assert await store_answer(runtime, request_of(**fields), "x", answer_of(), id_is_out=True) == "x"


async def test_a_turn_over_a_limit_is_skipped_counted_and_logged_without_its_text(redis_client, log_lines):
    runtime = runtime_on(redis_client, max_turn_bytes=100)
    assert await store_answer(runtime, request_of("a private text" * 20), "x", answer_of()) == "x"
    assert await stored_keys(redis_client) == []
    assert runtime.events == {"write_skipped": 1}
    (line,) = log_lines
    assert "REDIS_SESSION_PATCH_MAX_TURN_BYTES" in line and "private" not in line


async def test_a_skipped_turn_never_gets_the_id_of_a_stored_response(redis_client):
    await say(store_on(redis_client), "mine", as_id="x")
    runtime = runtime_on(redis_client, max_turn_bytes=100)
    assert await store_answer(runtime, request_of("long" * 100), "x", answer_of()) != "x"


@pytest.mark.parametrize("completion", [None, SimpleNamespace(choices=[]), SimpleNamespace(choices=None)])
async def test_half_a_turn_is_not_stored(redis_client, completion):
    runtime = runtime_on(redis_client)
    assert await store_answer(runtime, request_of(), "x", completion) == "x"
    assert await stored_keys(redis_client) == []
    assert runtime.events == {"write_skipped": 1}


async def test_an_empty_answer_is_an_answer(redis_client):
    await store_answer(runtime_on(redis_client), request_of(), "x", answer_of(""))
    assert (await chain_of(store_on(redis_client), "x")).turns[0].answer[0]["content"] == ""


def deeply_nested() -> Any:
    value: Any = "core"
    for _ in range(5_000):
        value = [value]
    return value


@pytest.mark.parametrize("unstorable", [{1, 2}, deeply_nested()], ids=["a set", "deeply nested"])
async def test_an_input_that_cannot_be_stored_does_not_break_the_reply(redis_client, unstorable):
    runtime = runtime_on(redis_client)
    assert await store_answer(runtime, request_of(unstorable), "x", answer_of()) == "x"
    assert await stored_keys(redis_client) == []
    assert runtime.events["written"] == 0 and sum(runtime.events.values()) == 1
