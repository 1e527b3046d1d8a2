"""Storing an answer before its reply: what is stored, what is not, and that the reply goes out in every case."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

import litellm
from litellm.responses.litellm_completion_transformation.redis_session_patch.breaker import FAILURES_TO_OPEN
from litellm.responses.litellm_completion_transformation.redis_session_patch.conversation import NO_TURNS, Chain, Turn
from litellm.responses.litellm_completion_transformation.redis_session_patch.outgoing import Outgoing
from litellm.responses.litellm_completion_transformation.redis_session_patch.owner import ANYBODY, NOBODY, Owner
from litellm.responses.litellm_completion_transformation.redis_session_patch.request import History, Source
from litellm.responses.litellm_completion_transformation.redis_session_patch.saving import store_answer

from .support.bridge import answer_of, counted, request_of, runtime_on
from .support.clients import Interposed, no_redis
from .support.stores import ALICE, BOB, SESSION, chain_of, inputs_of, load, say, store_on
from .support.waiting import until


@pytest.fixture(autouse=True)
def message_logging_is_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(litellm, "turn_off_message_logging", False)


async def test_the_whole_turn_is_stored_under_the_id_that_the_client_gets(store, runtime):
    request = request_of([{"role": "user", "content": "hello"}], params={"instructions": "be kind"})
    assert await store_answer(runtime, request, "x", answer_of("Hi.")) == "x"
    answer = ({"role": "assistant", "content": "Hi."},)
    expected = Turn([{"role": "user", "content": "hello"}], answer, "be kind", "groq", "trace", by=(ALICE.tag,))
    assert (await chain_of(store, "x")).turns == (expected,)
    assert (await load(store, "x", BOB)).value == "denied"
    assert counted(runtime) == {"turns stored": 1}


async def test_what_providers_change_in_the_input_later_is_not_stored(store, runtime):
    sent = [{"role": "user", "content": "hello"}]
    request = request_of(sent)
    sent[0]["content"] = "changed"
    await store_answer(runtime, request, "x", answer_of())
    assert await inputs_of(store, "x") == [[{"role": "user", "content": "hello"}]]


async def test_a_follow_up_is_stored_after_what_it_follows(store, runtime):
    chain = await chain_of(store, await say(store, "a"))
    await store_answer(runtime, request_of("b", history=History(Source.REDIS, chain)), "x", answer_of())
    found = await chain_of(store, "x")
    assert [turn.input for turn in found.turns] == ["a", "b"]
    assert found.record.conversation == chain.record.conversation


@pytest.mark.parametrize("follows", [False, True])
async def test_a_reply_that_leaves_as_another_one_is_stored_as_that(store, runtime, follows):
    chain = await chain_of(store, await say(store, "a")) if follows else NO_TURNS
    outgoing = Outgoing(lambda client_id: client_id)
    request = request_of("b", history=History(Source.REDIS, chain), outgoing=outgoing)
    assert await store_answer(runtime, request, "x", answer_of("A secret."), lambda: {"output": []}) == "x"
    await outgoing.look_at({"id": "x", "output": [{"type": "message"}]})
    found = await chain_of(store, "x")
    assert found.turns[-1].reply == {"output": [{"type": "message"}]}
    assert (found.turns[-1].answer, found.turns[:-1]) == (({"role": "assistant", "content": "A secret."},), chain.turns)
    assert counted(runtime) == {"turns stored": 1}


async def test_a_response_that_is_gone_does_not_come_back_with_a_changed_reply(store, runtime, redis_client):
    outgoing = Outgoing(lambda client_id: client_id)
    await store_answer(runtime, request_of("b", outgoing=outgoing), "x", answer_of(), lambda: {"output": []})
    await store.delete("x", lambda _: True)
    await outgoing.look_at({"id": "x", "output": [{"type": "message"}]})
    assert (await load(store, "x")).value == "deleted"


async def test_a_reply_that_is_over_takes_its_turn_out(store, runtime):
    outgoing = Outgoing(lambda client_id: client_id)
    await store_answer(runtime, request_of("b", outgoing=outgoing), "x", answer_of(), lambda: {"output": []})
    assert await inputs_of(store, "x") == ["b"]
    await outgoing.end()
    assert (await load(store, "x")).value == "deleted"
    assert counted(runtime) == {"turns stored": 1, "turns refused": 1}


async def test_a_reply_without_a_form_that_could_be_stored_may_be_refused_too(store, runtime):
    outgoing = Outgoing(lambda client_id: client_id)
    await store_answer(runtime, request_of("b", outgoing=outgoing), "x", answer_of())
    await outgoing.look_at_reply({"error": {}})
    assert (await load(store, "x")).value == "deleted"


async def test_what_a_refused_reply_followed_stays(store, runtime):
    first = await say(store, "a")
    outgoing = Outgoing(lambda client_id: client_id)
    request = request_of("b", history=History(Source.REDIS, await chain_of(store, first)), outgoing=outgoing)
    await store_answer(runtime, request, "x", answer_of())
    await outgoing.end()
    assert await inputs_of(store, first) == ["a"] and (await load(store, "x")).value == "deleted"


async def test_a_model_that_answers_after_its_reply_was_refused_has_nothing_stored(redis_client, runtime):
    """A guardrail may run beside the model, and be faster."""
    outgoing = Outgoing(lambda client_id: client_id)
    await outgoing.end()
    assert await store_answer(runtime, request_of("b", outgoing=outgoing), "x", answer_of())
    assert await redis_client.keys("*") == [] and counted(runtime) == {"turns refused": 1}


async def test_a_reply_that_is_over_while_it_is_stored_is_taken_out(redis_client, store):
    outgoing = Outgoing(lambda client_id: client_id)

    async def refuse(name: str) -> None:
        if name == "append":
            await outgoing.end()

    runtime = runtime_on(Interposed(redis_client, after=refuse))
    assert await store_answer(runtime, request_of("b", outgoing=outgoing), "x", answer_of()) == "x"
    assert (await load(store, "x")).value == "deleted"
    assert counted(runtime) == {"turns stored": 1, "turns refused": 1}


@pytest.mark.parametrize("source", [Source.DATABASE, Source.CONNECTION])
async def test_a_history_that_is_not_in_redis_is_stored_with_the_turn(store, runtime, source):
    given = Turn([], ({"role": "user", "content": "before"}, {"role": "assistant", "content": "Yes."}))
    await store_answer(runtime, request_of("b", history=History(source, Chain((given,)))), "x", answer_of())
    assert (await chain_of(store, "x")).turns[0] == given


@pytest.mark.parametrize("history", [None, History(Source.NONE), History(Source.UNAVAILABLE)])
async def test_a_call_that_upstream_put_back_is_stored_before_its_result(store, runtime, history):
    call = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
    result = [{"type": "function_call_output", "call_id": "c1", "output": "42"}]
    await store_answer(runtime, request_of(result, history=history, put_back=(call,)), "x", answer_of())
    assert await inputs_of(store, "x") == [[call], result]


async def test_a_call_that_the_history_has_is_not_stored_again(store, runtime):
    chain = await chain_of(store, await say(store, "a"))
    request = request_of("b", history=History(Source.REDIS, chain), put_back=({"type": "function_call"},))
    await store_answer(runtime, request, "x", answer_of())
    assert await inputs_of(store, "x") == ["a", "b"]


@pytest.mark.parametrize("source", [Source.NONE, Source.UNAVAILABLE])
async def test_a_turn_that_was_answered_without_a_history_is_stored_as_it_was(store, runtime, with_database, source):
    await store_answer(runtime, request_of("b", history=History(source)), "x", answer_of())
    assert await inputs_of(store, "x") == ["b"]


async def test_an_id_that_the_provider_repeats_is_replaced(store, runtime):
    first = await store_answer(runtime, request_of("a"), "x", answer_of())
    second = await store_answer(runtime, request_of("b", owner=BOB), "x", answer_of())
    assert first == "x" != second
    assert await inputs_of(store, "x") == ["a"]
    assert [turn.input for turn in (await load(store, second, BOB)).turns] == ["b"]


async def test_a_provider_that_repeats_its_ids_to_many_at_once_gives_each_one_of_its_own(store, runtime):
    requests = [request_of(str(number)) for number in range(20)]
    ids = await asyncio.gather(*(store_answer(runtime, request, "x", answer_of()) for request in requests))
    assert len(set(ids)) == 20
    assert [await inputs_of(store, each) for each in ids] == [[str(number)] for number in range(20)]


@pytest.mark.parametrize("asked", [None, True])
async def test_unless_the_client_says_no_it_is_stored(redis_client, runtime, asked):
    await store_answer(runtime, request_of(params={"store": asked}), "x", answer_of())
    assert await redis_client.exists(SESSION + "x")


async def test_what_the_client_wants_not_stored_leaves_nothing_behind(redis_client, runtime):
    await store_answer(runtime, request_of(params={"store": False}), "x", answer_of())
    assert await redis_client.keys("*") == [] and counted(runtime) == {"turns store_false": 1}


@pytest.mark.parametrize("owner", [NOBODY, Owner(claimed_end_user="eve")])
async def test_what_nobody_owns_is_not_stored(redis_client, runtime, owner):
    await store_answer(runtime, request_of(owner=owner), "x", answer_of())
    assert await redis_client.keys("*") == [] and counted(runtime) == {"turns unidentified": 1}


OWNERS = [Owner("u"), Owner(None, "t"), Owner(key="k"), Owner(end_user="e"), Owner(organization="o"), ANYBODY]


@pytest.mark.parametrize("owner", OWNERS, ids=str)
async def test_what_is_stored_is_its_owner_s_alone(store, runtime, owner):
    await store_answer(runtime, request_of(owner=owner), "x", answer_of())
    for reader in (*OWNERS, NOBODY, Owner(claimed_end_user="e")):
        found = await load(store, "x", reader)
        assert isinstance(found, Chain) if reader is owner else found.value == "denied"


async def test_a_turn_whose_history_nobody_knows_is_not_stored_as_a_first_one(redis_client, runtime):
    await store_answer(runtime, request_of(history_unknown=True), "x", answer_of())
    assert await redis_client.keys("*") == [] and counted(runtime) == {"turns skipped": 1}


def logging_off(**details: Any) -> dict[str, Any]:
    """The handler's arguments for a request or key that turned message logging off."""
    return {"litellm_logging_obj": SimpleNamespace(model_call_details=details)}


UNLOGGED = {
    "for all": {},
    "for this key": {"turn_off_message_logging": "True"},
    "for this request": logging_off(standard_callback_dynamic_params={"turn_off_message_logging": True}),
    "by a header": logging_off(
        litellm_params={"metadata": {"headers": {"x-litellm-enable-message-redaction": "true"}}}
    ),
    "by no-log": {"no-log": True},
    "by no-log in what the client sent": {"proxy_server_request": {"body": {"no-log": True}}},
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
    assert counted(runtime) == {"turns stored" if opted_in else "turns unlogged": 1}


NO_LOG = [UNLOGGED[where] for where in UNLOGGED if "no-log" in where]
MAY_BE_LOGGED = [
    {"no-log": False},
    {"no-log": None},
    *({"proxy_server_request": request} for request in (None, {}, {"body": None}, {"body": "no-log"})),
    {"proxy_server_request": {"body": {"no-log": False, "input": "no-log"}}},
]


@pytest.mark.parametrize("call", NO_LOG)
async def test_an_operator_who_disables_no_log_has_the_turn_stored(redis_client, runtime, monkeypatch, call):
    monkeypatch.setattr(litellm, "global_disable_no_log_param", True)
    await store_answer(runtime, request_of(call=call), "x", answer_of())
    assert await redis_client.exists(SESSION + "x")


@pytest.mark.parametrize("call", MAY_BE_LOGGED, ids=str)
async def test_a_request_that_does_not_say_no_log_is_stored(redis_client, runtime, call):
    await store_answer(runtime, request_of(call=call), "x", answer_of())
    assert await redis_client.exists(SESSION + "x")


async def test_a_redis_that_fails_costs_nothing_but_the_memory(log_lines):
    async with no_redis() as client:
        runtime = runtime_on(client)
        for _ in range(FAILURES_TO_OPEN + 2):
            assert await store_answer(runtime, request_of("a private text"), "x", answer_of())
    assert counted(runtime) == {"turns failed": FAILURES_TO_OPEN + 2}
    assert len(log_lines) == 1 and "private" not in log_lines[0]


async def test_a_turn_over_a_limit_is_skipped_counted_and_logged_without_its_text(redis_client, log_lines):
    runtime = runtime_on(redis_client, max_turn_bytes=100)
    for _ in range(5):
        assert await store_answer(runtime, request_of("a private text" * 20), "x", answer_of())
    assert await redis_client.keys("*") == [] and counted(runtime) == {"turns skipped": 5}
    (line,) = log_lines  # Of many, one a minute.
    assert "REDIS_SESSION_PATCH_MAX_TURN_BYTES" in line and "private" not in line
    assert not runtime.writes.breaker.is_open


@pytest.mark.parametrize("completion", [None, SimpleNamespace(choices=[]), SimpleNamespace(choices=None)])
async def test_half_a_turn_is_not_stored(redis_client, runtime, completion):
    assert await store_answer(runtime, request_of(), "x", completion)
    assert await redis_client.keys("*") == [] and counted(runtime) == {"turns skipped": 1}


async def test_an_empty_answer_is_an_answer(store, runtime):
    await store_answer(runtime, request_of(), "x", answer_of(""))
    assert (await chain_of(store, "x")).turns[0].answer[0]["content"] == ""


def deeply_nested() -> Any:
    value: Any = "core"
    for _ in range(5_000):
        value = [value]
    return value


@pytest.mark.parametrize("unstorable", [{1, 2}, deeply_nested(), [object()]], ids=["a set", "deep", "an object"])
async def test_an_input_that_cannot_be_stored_does_not_break_the_reply(redis_client, runtime, unstorable):
    assert await store_answer(runtime, request_of(unstorable), "x", answer_of())
    assert await redis_client.keys("*") == [] and counted(runtime) == {"turns skipped": 1}


async def test_a_write_that_the_reply_did_not_wait_for_is_finished_all_the_same(redis_client, store):
    """The id is out by then; where Redis was only slow, its client can go on with it."""
    go_on = asyncio.Event()

    async def slow(name: str) -> None:
        if name == "append":
            await go_on.wait()

    runtime = runtime_on(Interposed(redis_client, slow), timeout_seconds=0.05)
    assert await store_answer(runtime, request_of("a"), "x", answer_of(), id_is_out=True) == "x"
    assert counted(runtime) == {"turns failed": 1} and (await load(store, "x", ALICE)).value == "unknown"
    go_on.set()
    await until(lambda: redis_client.exists(SESSION + "x"))
    assert await inputs_of(store_on(redis_client), "x") == ["a"]
