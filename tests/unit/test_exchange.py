"""What the patch knows of a client's request, from where it comes in to where its reply leaves."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.request import exchange as exchanges
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.call import Call
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.exchange import (
    Exchange,
    History,
    Source,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.ids import (
    Place,
    place_of,
    with_place,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.turns import Turn, dump_json

from .support.bridge import (
    ALICE,
    answered,
    call_in,
    call_item,
    chain_at,
    client_id,
    completion_of,
    exchange_of,
    result_item,
    stored,
    tool_call,
    wrapped,
)
from .support.runtimes import runtime_on

PLACE = Place("c0nversat10", "7")


async def taken(caller: Any = ALICE, followed: tuple[str, ...] = (), **data: Any) -> Exchange:
    exchange = Exchange(caller, followed=followed)
    await exchange.take(data)
    return exchange


async def test_it_knows_what_the_client_said():
    exchange = await taken(input="hello", instructions="be kind", store=False, previous_response_id="resp_x")
    assert (exchange.said.text, exchange.instructions, exchange.is_to_be_stored) == ('"hello"', "be kind", False)
    assert exchange.previous_id == "resp_x"


@pytest.mark.parametrize("store, is_to_be_stored", [(None, True), (True, True), (False, False)])
async def test_unless_the_client_says_no_it_is_to_be_stored(store, is_to_be_stored):
    assert (await taken(input="a", store=store)).is_to_be_stored is is_to_be_stored


async def test_what_litellm_changes_in_the_input_later_is_not_what_was_said():
    sent = [{"role": "user", "content": [{"type": "input_text", "text": "hello"}]}]
    exchange = await taken(input=sent)
    sent[0]["content"][0]["text"] = "changed"
    sent.append({"role": "user", "content": "of a prompt template"})
    (item,) = json.loads(exchange.said.text)
    assert item["content"][0]["text"] == "hello"
    assert answered(exchange, its_input=sent).turn.items == [item]


@pytest.mark.parametrize("said", [[{"role": "user", "content": "a"}, {"n": [1, None, "\ud800"]}], [], "a", {"a": []}])
async def test_what_was_said_is_taken_down_as_one_json(said):
    assert (await taken(input=said)).said.text == dump_json(said)


async def test_an_id_that_comes_as_the_client_sent_it_is_looked_at_alone(monkeypatch):
    asked = []
    monkeypatch.setattr(exchanges, "decrypted", lambda each: asked.append(each) or each)
    exchange = await taken(input="a", previous_response_id="resp_1", followed=("resp_2", "resp_1", "resp_3"))
    assert exchange.previous_as_sent == "resp_1" and asked == ["resp_1"]


MARK = {"cache_control": {"type": "ephemeral"}}


@pytest.mark.parametrize(
    "tools, marks",
    [
        (None, 0),
        ([], 0),
        ([{"type": "function", "function": {"name": "f"}}], 0),
        ([{"type": "function", "function": {"name": "f"}, **MARK}, {"function": {"name": "g", **MARK}}], 2),
        ([{"type": "web_search", **MARK}, {"function": None}, "a tool of tomorrow"], 1),
    ],
)
def test_cache_marks_of_tools_count_wherever_litellm_reads_them(tools, marks):
    assert call_in(exchange_of("a"), tools=tools).target_with(None).marks == marks


def test_a_cache_mark_on_the_request_itself_counts():
    assert call_in(exchange_of("a"), **MARK).target_with(None).marks == 1


@pytest.mark.parametrize("management, compacts", [(None, False), ([], False), ([{"type": "compaction"}], True)])
def test_a_model_that_is_to_manage_its_context_takes_its_summaries_back(management, compacts):
    target = call_in(exchange_of("a"), model="claude-4", context_management=management).target_with(None)
    assert (target.maker, target.provider, target.compacts) == ("claude", "groq", compacts)


def deeply_nested() -> Any:
    value: Any = "core"
    for _ in range(5_000):
        value = [value]
    return value


@pytest.mark.parametrize("unusual", [{1, 2}, deeply_nested(), [object()]], ids=["a set", "deeply nested", "an object"])
async def test_an_input_that_has_no_json_is_left_to_upstream(unusual):
    assert (await taken(input=unusual)).said is None


@pytest.mark.parametrize("odd", [None, "", 7, ["x"]])
async def test_what_is_no_id_of_a_response_is_followed_by_nobody(odd):
    exchange = await taken(input="a", previous_response_id=odd)
    assert (exchange.previous_id, exchange.previous_place, exchange.previous_as_sent) == (None, None, None)
    assert not exchange.follows("x")


@pytest.mark.parametrize("wrap", [lambda each: each, wrapped, lambda each: wrapped(wrapped(each))], ids=range(3))
async def test_the_response_that_it_follows_is_known_in_every_wrapper(wrap):
    exchange = await taken(input="a", previous_response_id=client_id(PLACE))
    assert exchange.previous_place == PLACE
    assert exchange.follows(wrap("chatcmpl-1")) and exchange.follows(wrap(with_place("chatcmpl-1", PLACE)))
    assert not exchange.follows(wrap("chatcmpl-2"))


async def test_the_response_that_it_follows_is_named_as_the_client_named_it():
    sent = client_id(PLACE)
    exchange = await taken(followed=("resp_of_metadata", sent), input="a", previous_response_id="chatcmpl-1")
    assert exchange.previous_as_sent == sent
    exchange = await taken(followed=("resp_of_metadata",), input="a", previous_response_id="chatcmpl-1")
    assert exchange.previous_as_sent == "chatcmpl-1"


async def test_of_responses_whose_provider_repeats_its_ids_the_place_says_which_one_it_follows():
    others, sent = client_id(Place(PLACE.conversation, "8")), client_id(PLACE)
    wanted = with_place("chatcmpl-1", PLACE)
    exchange = await taken(followed=(others, sent), input="a", previous_response_id=wanted)
    assert (exchange.previous_as_sent, exchange.previous_place) == (sent, PLACE)


async def test_a_first_turn_is_in_a_conversation_of_its_own(redis_client):
    places = [exchange_of().place for _ in range(100)]
    assert len({place.conversation for place in places}) == len({place.turn for place in places}) == 100
    assert all(place_of(client_id(place)) == place for place in places)


async def test_a_turn_has_one_place_from_the_first_time_that_somebody_asks():
    exchange = exchange_of()
    first = exchange.place
    exchange.history = History(Source.NONE)
    assert exchange.place is first


async def test_a_follow_up_has_its_place_behind_what_it_follows(runtime):
    last = await stored(runtime, "a")
    exchange = exchange_of(after=last, history=History(Source.REDIS, await chain_at(runtime, last)))
    assert exchange.place.conversation == place_of(last).conversation
    assert exchange.place.turn != place_of(last).turn


async def test_where_a_conversation_has_no_room_its_next_turn_begins_another_one(redis_client):
    runtime = runtime_on(redis_client, max_turns=2)
    last = await stored(runtime, "a", "b")
    exchange = exchange_of(history=History(Source.REDIS, await chain_at(runtime, last)))
    assert exchange.place.conversation != place_of(last).conversation


@pytest.mark.parametrize(
    "source, is_ours",
    [
        (Source.REDIS, True),
        (Source.CONNECTION, False),
        (Source.DATABASE, False),
        (Source.NONE, False),
        (Source.UNAVAILABLE, False),
    ],
)
def test_only_a_history_of_ours_holds_its_tool_calls_already(source, is_ours):
    assert History(source).is_ours is is_ours


LOGGING = SimpleNamespace(litellm_trace_id="its own")


def test_a_call_knows_whose_model_answers():
    call = call_in(exchange_of(), model="claude-4", custom_llm_provider="bedrock")
    assert (call.maker, call.provider) == ("claude", "bedrock")


@pytest.mark.parametrize(
    "kwargs, completion, session_id",
    [
        ({"litellm_session_id": "own", "litellm_trace_id": "trace"}, {}, "own"),
        ({"litellm_trace_id": "trace"}, {}, "trace"),
        ({"litellm_trace_id": "trace"}, {"litellm_trace_id": "conversation's"}, "conversation's"),
        ({"litellm_trace_id": "trace", "litellm_logging_obj": LOGGING}, {"litellm_trace_id": None}, "its own"),
        ({"litellm_metadata": {"session_id": "metadata"}, "litellm_logging_obj": LOGGING}, {}, "metadata"),
        ({"litellm_metadata": None}, {}, None),
    ],
)
def test_its_session_is_the_one_of_its_row_in_the_spend_logs(kwargs, completion, session_id):
    assert Call(exchange_of(), kwargs, completion).session_id == session_id


def test_the_whole_turn_is_known_once_the_model_has_answered():
    call = answered(exchange_of("a", instructions="be kind"))
    answer = ({"role": "assistant", "content": "Hi."},)
    (turn,) = call.new_turns
    assert (turn.items, turn.answer, turn.instructions) == ("a", answer, "be kind")
    assert (turn.maker, turn.session_id, turn.by) == ("groq", "trace", (ALICE.tag,))


def test_the_answer_is_that_of_the_last_call_that_has_one():
    exchange = exchange_of()
    assert exchange.answered is None
    call_in(exchange)
    last = answered(exchange, its_input="hello, and what another model had said")
    assert exchange.answered is last and last.turn.items == "hello"


QUESTION = {"role": "user", "content": "look"}


def round_after(exchange: Exchange, *items: Any) -> Any:
    """A further round of MCP tools, as LiteLLM asks for it: with all that was said and answered before."""
    return call_in(exchange, [QUESTION, *items])


def test_each_round_of_mcp_tools_follows_the_rounds_before_it_and_has_only_what_is_new():
    exchange = exchange_of([QUESTION])
    call_in(exchange).take_answer(completion_of(None, "c1"))
    second = round_after(exchange, call_item("c1"), result_item("c1"))
    assert [turn.items for turn in second.turns_before] == [[QUESTION]]
    assert second.turns_before[0].answer[0]["tool_calls"] == [tool_call("c1")]
    assert second.turn.items == [result_item("c1")]
    second.take_answer(completion_of(None, "c2"))
    third = round_after(exchange, call_item("c1"), result_item("c1"), call_item("c2"), result_item("c2", "43"))
    third.take_answer(completion_of("85."))
    assert exchange.answered is third
    assert [turn.items for turn in third.new_turns] == [[QUESTION], [result_item("c1")], [result_item("c2", "43")]]


def test_a_call_for_another_model_after_a_failure_follows_no_round():
    exchange = exchange_of([QUESTION])
    call_in(exchange)
    assert call_in(exchange).rounds == ()


PUT_BACK = [{"role": "assistant", "content": None, "tool_calls": [tool_call("c1")]}, {"role": "tool"}]


@pytest.mark.parametrize("history", [None, History(Source.NONE), History(Source.UNAVAILABLE)])
def test_a_call_that_upstream_put_back_is_kept_before_its_result(history):
    call = answered(exchange_of([result_item("c1")], history=history), messages=PUT_BACK)
    before, turn = call.new_turns
    assert (before.items, before.by) == ([call_item("c1")], (ALICE.tag,))
    assert turn.items == [result_item("c1")]


async def test_a_call_that_the_history_has_is_not_kept_again(runtime):
    chain = await chain_at(runtime, await stored(runtime, Turn("look", tuple(PUT_BACK[:1]))))
    exchange = exchange_of([result_item("c1")], history=History(Source.REDIS, chain))
    assert [turn.items for turn in answered(exchange, messages=PUT_BACK).new_turns] == [[result_item("c1")]]
