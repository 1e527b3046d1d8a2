"""Storing a turn where its reply leaves: what is stored, what is not, and that the reply leaves in every case."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

import litellm
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.guard import FAILURES_TO_OPEN
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.runtime import Runtime
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.exchange import (
    Exchange,
    History,
    Source,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.saving import store_reply
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.ids import place_of
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.owner import (
    ANYBODY,
    NOBODY,
    Owner,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.turns import Chain, Turn

from .support.bridge import (
    ALICE,
    BOB,
    answered,
    call_in,
    call_item,
    chain_at,
    client_id,
    completion_of,
    exchange_of,
    inputs_at,
    message_item,
    miss_at,
    no_redis,
    reply_of,
    result_item,
    stored,
    tool_call,
)
from .support.inside import turns_in_all
from .support.runtimes import counted, runtime_on
from .support.waiting import until


@pytest.fixture(autouse=True)
def message_logging_is_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(litellm, "turn_off_message_logging", False)


async def kept(runtime: Runtime, exchange: Exchange, text: str = "Hi.", reply: Any = None, **options: Any) -> str:
    """The id of the response that a model has answered with ``text``, and that leaves as ``reply``."""
    answered(exchange, text, **options)
    await store_reply(runtime, exchange, reply or reply_of(exchange, text))
    return client_id(exchange.place)


async def following(runtime: Runtime, text: Any, *before: Any) -> Exchange:
    """A request that follows a stored conversation."""
    last = await stored(runtime, *before)
    return exchange_of(text, after=last, history=History(Source.REDIS, await chain_at(runtime, last)))


async def test_the_whole_turn_is_stored_under_the_id_that_the_client_gets(runtime):
    exchange = exchange_of([{"role": "user", "content": "hello"}], instructions="be kind")
    response_id = await kept(runtime, exchange)
    (turn,) = (await chain_at(runtime, response_id)).turns
    assert replace(turn, reply=turn.shown) == Turn(
        [{"role": "user", "content": "hello"}],
        ({"role": "assistant", "content": "Hi."},),
        "be kind",
        "groq",
        "trace",
        {"status": "completed", "output": [message_item("Hi.")]},
        (ALICE.tag,),
    )
    assert await miss_at(runtime, response_id, BOB) == "denied"
    assert counted(runtime) == {"turns stored": 1}


async def test_a_follow_up_is_stored_after_what_it_follows(runtime):
    exchange = await following(runtime, "b", "a")
    response_id = await kept(runtime, exchange)
    assert await inputs_at(runtime, response_id) == ["a", "b"]
    assert place_of(response_id).conversation == place_of(exchange.previous_id).conversation


async def test_a_follow_up_whose_stored_history_the_model_was_not_sent_is_not_stored(runtime):
    exchange = await following(runtime, "b", "a")
    answered(exchange).is_served = False
    await store_reply(runtime, exchange, reply_of(exchange, "Hi."))
    assert counted(runtime) == {"turns skipped": 1}


async def test_a_turn_is_stored_in_one_append_with_the_rounds_of_mcp_tools_before_it(runtime):
    question = [{"role": "user", "content": "look"}]
    exchange = await following(runtime, question, "before")
    call_in(exchange).take_answer(completion_of(None, "c1"))
    appended = []
    append = runtime.store.append

    async def noted(place: Any, turns: Any, *rest: Any) -> None:
        appended.append([turn.items for turn in turns])
        await append(place, turns, *rest)

    runtime.store.append = noted
    response_id = await kept(runtime, exchange, "42.", its_input=[*question, call_item("c1"), result_item("c1")])
    assert appended == [[question, [result_item("c1")]]]
    first, second, third = (await chain_at(runtime, response_id)).turns
    assert (first.items, second.items, third.items) == ("before", question, [result_item("c1")])
    assert second.answer[0]["tool_calls"] == [tool_call("c1")] and second.reply is None
    assert third.answer[0]["content"] == "42." and third.shown["output"] == [message_item("42.")]
    assert counted(runtime) == {"turns stored": 1}


async def test_the_answer_is_what_the_client_got_whatever_a_guardrail_made_of_it(runtime):
    exchange = exchange_of()
    response_id = await kept(runtime, exchange, "My number is 123.", reply_of(exchange, "My number is ***."))
    (turn,) = (await chain_at(runtime, response_id)).turns
    assert turn.answer == ({"role": "assistant", "content": "My number is ***."},)
    assert turn.shown["output"] == [message_item("My number is ***.")]


async def test_what_an_answer_has_besides_its_text_stays_where_its_text_was_changed(runtime):
    exchange = exchange_of()
    call = call_in(exchange)
    call.take_answer(completion_of("My number is 123.", "c1"))
    await store_reply(runtime, exchange, reply_of(exchange, "My number is ***."))
    (turn,) = (await chain_at(runtime, client_id(exchange.place))).turns
    assert turn.answer == ({"role": "assistant", "content": "My number is ***.", "tool_calls": [tool_call("c1")]},)


async def test_several_choices_stay_what_they_were(runtime):
    exchange = exchange_of()
    call = call_in(exchange)
    call.take_answer(SimpleNamespace(choices=[*completion_of("one").choices, *completion_of("two").choices]))
    await store_reply(runtime, exchange, reply_of(exchange, "one"))
    (turn,) = (await chain_at(runtime, client_id(exchange.place))).turns
    assert [message["content"] for message in turn.answer] == ["one", "two"]


ROUTERS_WORDS = [
    {"role": "user", "content": "hello"},
    {"role": "system", "content": "Go on from where the other model broke off."},
    {"role": "assistant", "content": "The capital of"},
]


async def test_after_a_fallback_in_a_stream_the_whole_streamed_text_is_the_answer_and_the_router_s_words_are_not_there(
    runtime,
):
    exchange = exchange_of("hello")
    call_in(exchange).streamed = "The capital of"
    response_id = await kept(runtime, exchange, " France is Paris.", its_input=ROUTERS_WORDS)
    (turn,) = (await chain_at(runtime, response_id)).turns
    assert turn.items == "hello"
    assert turn.answer == ({"role": "assistant", "content": "The capital of France is Paris."},)
    assert turn.shown["output"] == [message_item("The capital of France is Paris.")]


async def test_where_the_reply_has_the_whole_streamed_text_it_is_not_said_twice(runtime):
    exchange = exchange_of("hello")
    call_in(exchange).streamed = "The capital of"
    whole = reply_of(exchange, "The capital of France is Paris.")
    response_id = await kept(runtime, exchange, " France is Paris.", whole, its_input=ROUTERS_WORDS)
    (turn,) = (await chain_at(runtime, response_id)).turns
    assert turn.answer[0]["content"] == "The capital of France is Paris."


@pytest.mark.parametrize("source", [Source.DATABASE, Source.CONNECTION])
async def test_a_history_that_is_not_in_redis_is_stored_with_the_turn(runtime, source):
    given = Turn([], ({"role": "user", "content": "before"}, {"role": "assistant", "content": "Yes."}), maker="groq")
    response_id = await kept(runtime, exchange_of("b", history=History(source, Chain((given,)))))
    assert (await chain_at(runtime, response_id)).turns[0] == given


@pytest.mark.parametrize("source", [Source.NONE, Source.UNAVAILABLE])
async def test_a_turn_that_was_answered_without_a_history_is_stored_as_it_was(runtime, source):
    assert await inputs_at(runtime, await kept(runtime, exchange_of("b", history=History(source)))) == ["b"]


async def test_a_call_that_upstream_put_back_is_stored_before_its_result(runtime):
    messages = [{"role": "assistant", "content": None, "tool_calls": [tool_call("c1")]}, {"role": "tool"}]
    response_id = await kept(runtime, exchange_of([result_item("c1")]), messages=messages)
    assert await inputs_at(runtime, response_id) == [[call_item("c1")], [result_item("c1")]]


async def test_a_provider_that_repeats_its_ids_to_many_at_once_gives_each_one_of_its_own(runtime):
    exchanges = [exchange_of(str(number)) for number in range(20)]
    ids = await asyncio.gather(*(kept(runtime, exchange) for exchange in exchanges))
    assert len(set(ids)) == 20
    assert [await inputs_at(runtime, each) for each in ids] == [[str(number)] for number in range(20)]


@pytest.mark.parametrize("number", [0, 1])
async def test_an_answer_of_no_call_is_nothing_to_be_stored(redis_client, runtime, number):
    exchange = exchange_of()
    for _ in range(number):
        call_in(exchange)
    await store_reply(runtime, exchange, reply_of(exchange))
    assert redis_client.keys("*") == [] and counted(runtime) == {}


async def test_what_the_client_wants_not_stored_leaves_nothing_behind(redis_client, runtime):
    await kept(runtime, exchange_of(is_to_be_stored=False))
    assert redis_client.keys("*") == [] and counted(runtime) == {"turns store_false": 1}


@pytest.mark.parametrize("owner", [NOBODY, Owner(claimed_end_user="eve")])
async def test_what_nobody_owns_is_not_stored(redis_client, runtime, owner):
    await kept(runtime, exchange_of(caller=owner))
    assert redis_client.keys("*") == [] and counted(runtime) == {"turns unidentified": 1}


OWNERS = [Owner("u"), Owner(None, "t"), Owner(key="k"), Owner(end_user="e"), Owner(organization="o"), ANYBODY]


@pytest.mark.parametrize("owner", OWNERS, ids=str)
async def test_what_is_stored_is_its_owner_s_alone(runtime, owner):
    response_id = await kept(runtime, exchange_of("a", owner))
    assert await inputs_at(runtime, response_id, owner) == ["a"]
    for reader in OWNERS:
        assert reader is owner or await miss_at(runtime, response_id, reader) == "denied"


async def test_a_turn_whose_history_nobody_knows_is_not_stored_as_a_first_one(redis_client, runtime):
    await kept(runtime, exchange_of(after="chatcmpl-1"))
    assert redis_client.keys("*") == [] and counted(runtime) == {"turns skipped": 1}


async def test_a_response_that_was_deleted_meanwhile_is_not_continued(log_lines, redis_client, runtime):
    exchange = await following(runtime, "b", "a")
    await runtime.store.delete(place_of(exchange.previous_id), ALICE)
    response_id = await kept(runtime, exchange)
    assert turns_in_all(redis_client) == 0 and counted(runtime) == {"turns skipped": 1}
    assert await miss_at(runtime, response_id) == "unknown"


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
    await kept(runtime, exchange_of(), kwargs=UNLOGGED[where])
    assert turns_in_all(redis_client) == opted_in
    assert counted(runtime) == {"turns stored" if opted_in else "turns unlogged": 1}


NO_LOG = [UNLOGGED[where] for where in UNLOGGED if "no-log" in where]
MAY_BE_LOGGED = [
    {"no-log": False},
    {"no-log": None},
    *({"proxy_server_request": request} for request in (None, {}, {"body": None}, {"body": "no-log"})),
    {"proxy_server_request": {"body": {"no-log": False, "input": "no-log"}}},
]


@pytest.mark.parametrize("kwargs", NO_LOG)
async def test_an_operator_who_disables_no_log_has_the_turn_stored(redis_client, runtime, monkeypatch, kwargs):
    monkeypatch.setattr(litellm, "global_disable_no_log_param", True)
    await kept(runtime, exchange_of(), kwargs=kwargs)
    assert turns_in_all(redis_client) == 1


@pytest.mark.parametrize("kwargs", MAY_BE_LOGGED, ids=str)
async def test_a_request_that_does_not_say_no_log_is_stored(redis_client, runtime, kwargs):
    await kept(runtime, exchange_of(), kwargs=kwargs)
    assert turns_in_all(redis_client) == 1


async def test_a_redis_that_fails_costs_nothing_but_the_memory(log_lines):
    runtime = runtime_on(no_redis())
    for _ in range(FAILURES_TO_OPEN + 2):
        await kept(runtime, exchange_of("a private text"))
    runtime.set_used(False)  # Nobody needs to ask that Redis again.
    assert counted(runtime) == {"turns failed": FAILURES_TO_OPEN + 2}
    assert len(log_lines) == 1 and "private" not in log_lines[0]


async def test_a_turn_over_a_limit_is_skipped_counted_and_logged_without_its_text(redis_client, log_lines):
    runtime = runtime_on(redis_client, max_turn_bytes=100)
    for _ in range(5):
        await kept(runtime, exchange_of("a private text" * 20))
    assert redis_client.keys("*") == [] and counted(runtime) == {"turns skipped": 5}
    (line,) = log_lines  # Of many, one a minute.
    assert "REDIS_SESSION_PATCH_MAX_TURN_BYTES" in line and "private" not in line
    assert not runtime.writes.is_open


async def test_a_key_of_another_type_is_a_skipped_turn_and_nothing_about_redis(log_lines, redis_client, runtime):
    exchange = await following(runtime, "b", "a")
    (tree,) = redis_client.keys("*:tree")
    redis_client.set(tree, "a private text")
    await kept(runtime, exchange)
    assert counted(runtime) == {"turns skipped": 1} and not runtime.writes.is_open
    (line,) = log_lines
    assert "private" not in line


async def test_an_empty_answer_is_an_answer(runtime):
    (turn,) = (await chain_at(runtime, await kept(runtime, exchange_of(), ""))).turns
    assert turn.answer == ({"role": "assistant", "content": ""},)


async def test_an_input_that_has_no_json_is_skipped(log_lines, redis_client, runtime):
    exchange = exchange_of()
    exchange.said = None
    await kept(runtime, exchange, its_input=[object()])
    assert redis_client.keys("*") == [] and counted(runtime) == {"turns skipped": 1}


async def test_a_write_that_the_reply_did_not_wait_for_is_finished_all_the_same(redis_client, runtime):
    """The id is out by then; where Redis was only slow, its client can go on with it."""
    redis_client.client_pause(400, all=False)  # writes alone
    response_id = await kept(runtime_on(redis_client, timeout_seconds=0.05), exchange_of("a"))

    async def is_stored() -> bool:
        return bool(redis_client.keys("*"))

    await until(is_stored)
    assert await inputs_at(runtime, response_id) == ["a"]
