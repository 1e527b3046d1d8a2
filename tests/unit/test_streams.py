"""A streamed answer of the bridge: one id in all events, and the answer is kept where it is whole."""

from __future__ import annotations

from enum import Enum
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import ClientConnectionError, ClientPayloadError
from litellm.responses.utils import ResponsesAPIRequestUtils

import litellm
from litellm.responses.litellm_completion_transformation.redis_session_patch.doors.bridge import note_provider_reply
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis import defects
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.call import CALL, Call
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.saving import store_reply
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.streams import ATTRIBUTE
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.ids import place_of

from .support.bridge import (
    Stream,
    all_events,
    call_in,
    call_item,
    client_id,
    completion_of,
    event,
    events_of,
    exchange_of,
    ids_of,
    inputs_at,
    kept,
    message_item,
    result_item,
    running,
    text_event,
    wrapped,
)
from .support.runtimes import counted

INVENTED = "resp_7f9c2ba4-e88f-4b0c-9d5e-2a1b3c4d5e6f"
OWN_IDS = [wrapped("chatcmpl-1"), "chatcmpl-1", INVENTED]


@pytest.fixture(autouse=True)
def message_logging_is_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(litellm, "turn_off_message_logging", False)


def new_call(**completion: Any) -> Call:
    return call_in(exchange_of("a"), **completion)


def answer_in(call: Call) -> list[Any]:
    return [message["content"] for message in call.answer]


def inner_id_by_upstream(response_id: str) -> str:
    """As a proxy without the fork, a native provider and the database's lookup get it."""
    return ResponsesAPIRequestUtils.decode_previous_response_id_to_original_previous_response_id(response_id)


@pytest.mark.parametrize("terminal", ["completed", "incomplete"])
@pytest.mark.parametrize("own_id", OWN_IDS, ids=["wrapped", "bare", "invented"])
async def test_all_events_have_one_id_with_the_turn_s_place_and_the_provider_s_id(runtime, own_id, terminal):
    call = new_call()
    events = await all_events(runtime, call, events_of(own_id, terminal))
    (response_id,) = set(ids_of(events))
    assert len(events) == len(events_of(own_id, terminal)) and len(ids_of(events)) == 3
    assert place_of(response_id) == call.exchange.place
    assert inner_id_by_upstream(response_id) == inner_id_by_upstream(own_id)


async def test_a_wrapper_that_upstream_did_not_make_names_provider_and_deployment(runtime):
    """Else LiteLLM does not keep a follow-up on its deployment."""
    call = call_in(exchange_of(), kwargs={"litellm_metadata": {"model_info": {"id": "deployment-1"}}})
    ids = ids_of(await all_events(runtime, call, events_of("chatcmpl-1")))
    decoded = ResponsesAPIRequestUtils._decode_responses_api_response_id(ids[0])
    assert (decoded["custom_llm_provider"], decoded["model_id"]) == ("groq", "deployment-1")


async def test_a_stream_whose_id_comes_only_at_its_end_has_the_same_place(runtime):
    call = new_call()
    (response_id,) = ids_of(await all_events(runtime, call, [text_event("Hi."), event("completed", "chatcmpl-1")]))
    assert place_of(response_id) == call.exchange.place and answer_in(call) == ["Hi."]


async def test_what_is_followed_is_named_in_all_events_as_the_client_named_it(runtime):
    call = call_in(exchange_of(after="resp_as_sent"))
    events = await all_events(runtime, call, events_of("chatcmpl-1"))
    assert {each.response.previous_response_id for each in events if each.response} == {"resp_as_sent"}


async def test_the_stream_of_a_fallback_goes_on_under_the_id_that_its_client_has_seen(runtime):
    exchange = exchange_of("a")
    first = kept(runtime, call_in(exchange), events_of(wrapped("chatcmpl-1"), text="The capital of"))
    seen = [await anext(first) for _ in range(2 + len("The capital of"))]
    words = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "The capital of"}]
    second = call_in(exchange, words)
    rest = events_of(wrapped("chatcmpl-2"), text=" France.")
    seen += await all_events(runtime, second, rest, completion_of(" France."))
    assert set(ids_of(seen)) == {client_id(exchange.place)}
    assert exchange.streamed_before == "The capital of" and exchange.answered is second


async def test_streams_of_several_requests_never_share_an_id(runtime):
    ids = {ids_of(await all_events(runtime, new_call(), events_of(wrapped("x"))))[0] for _ in range(20)}
    assert len(ids) == 20


@pytest.mark.parametrize("terminal", ["completed", "incomplete"])
async def test_the_answer_is_kept_when_the_terminal_event_comes_and_not_before(runtime, terminal):
    call = new_call()
    answers = []
    async for _ in kept(runtime, call, events_of(INVENTED, terminal), completion_of("Hello.")):
        answers.append(answer_in(call))
    assert answers[:-1] == [[]] * (len(answers) - 1) and answers[-1] == ["Hello."]
    assert call.streamed == "Hi."


async def test_nothing_is_stored_at_the_bridge(redis_client, runtime):
    call = new_call()
    await all_events(runtime, call, events_of(INVENTED))
    assert redis_client.keys("*") == [] and counted(runtime) == {}
    await store_reply(runtime, call.exchange, {"id": call.exchange.shown_id, "output": [message_item("Hi.")]})
    assert await inputs_at(runtime, call.exchange.shown_id) == ["a"]


async def test_the_kind_of_an_event_may_be_an_enum(runtime):
    kinds = Enum("Kinds", {"TEXT": "response.output_text.delta", "DONE": "response.completed"}, type=str)
    text, done, call = text_event("Hi."), event("completed", INVENTED), new_call()
    text.type, done.type = kinds.TEXT, kinds.DONE
    await all_events(runtime, call, [text, done])
    assert answer_in(call) == ["Hi."] and call.streamed == "Hi."


@pytest.mark.parametrize("ending", [[], ["failed"], ["error"]])
async def test_of_a_stream_that_ends_otherwise_no_answer_is_kept(runtime, ending):
    call = new_call()
    events = events_of(INVENTED)[:-1] + [event(kind, INVENTED) for kind in ending]
    assert len(set(ids_of(await all_events(runtime, call, events)))) == 1
    assert call.answer == () and call.exchange.answered is None and counted(runtime) == {}


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
async def test_an_error_of_the_stream_is_upstream_s(runtime, error):
    call = new_call()
    with pytest.raises(error):
        await all_events(runtime, call, [*events_of(INVENTED)[:3], error()])
    assert call.answer == () and CALL.get() is None and defects.counted() == 0


async def test_while_the_provider_is_asked_its_call_is_known(runtime):
    """Some are asked for an answer only when its first event is, or, on 1.85.7 Gemini, when a later one is."""
    call, seen = new_call(), []
    stream = kept(runtime, call, (seen.append(CALL.get()) or each for each in events_of(INVENTED)))
    await anext(stream)
    await anext(stream)
    assert seen == [call, call] and CALL.get() is None


async def test_a_stream_that_nobody_keeps_is_as_it_was():
    events = events_of(wrapped("x"))
    assert [each async for each in Stream(events)] == events and ids_of(events) == [wrapped("x")] * 3


def wrapper_of(received: str | None, held_back: str | None) -> SimpleNamespace:
    """LiteLLM's stream of chunks, as far as it says how the provider ended."""
    return SimpleNamespace(received_finish_reason=received, intermittent_finish_reason=held_back)


async def finish(runtime: Any, call: Call, wrapper: Any = None) -> None:
    stream = kept(runtime, call, events_of(INVENTED))
    if wrapper is not None:
        stream.litellm_custom_stream_wrapper = wrapper
    assert len(set(ids_of([each async for each in stream]))) == 1


async def test_half_an_answer_that_upstream_ends_as_if_it_were_whole_is_not_kept(runtime):
    call = new_call()
    await finish(runtime, call, wrapper_of(None, None))
    assert call.exchange.answered is None and counted(runtime) == {"turns stream_cut": 1}


async def test_half_an_answer_of_a_later_round_of_mcp_tools_leaves_nothing_to_be_stored(runtime):
    """The answer of the round before is a call, and no reply."""
    question = [{"role": "user", "content": "look"}]
    exchange = exchange_of(question)
    call_in(exchange).take_answer(completion_of(None, "c1"))
    await finish(runtime, call_in(exchange, [*question, call_item("c1"), result_item("c1")]), wrapper_of(None, None))
    assert exchange.answered is None


def provider_reply(content_type: str, broken: Exception | None) -> SimpleNamespace:
    """An `aiohttp.ClientResponse`, as far as it says how it ended."""
    return SimpleNamespace(content_type=content_type, content=SimpleNamespace(exception=lambda: broken))


async def test_half_an_answer_whose_connection_broke_is_not_kept(runtime):
    call = new_call()
    with running(call):
        note_provider_reply(provider_reply("text/event-stream", ClientPayloadError()))
        note_provider_reply(provider_reply("application/json", None))  # A logger's.
    await finish(runtime, call, wrapper_of("stop", None))
    assert call.answer == () and counted(runtime) == {"turns stream_cut": 1}


@pytest.mark.parametrize("error", [None, ClientConnectionError("closed by us, after the last event")])
async def test_a_connection_that_did_not_break_is_no_cut(runtime, error):
    call = new_call()
    call.provider_stream = provider_reply("text/event-stream", error)
    await finish(runtime, call)
    assert answer_in(call) == ["Hi."]


def test_a_reply_to_nobody_in_particular_is_not_noted():
    note_provider_reply(provider_reply("text/event-stream", None))
    assert defects.counted() == 0


def test_a_provider_s_reply_of_another_form_is_litellm_s():
    with running(new_call()):
        note_provider_reply(SimpleNamespace())
    assert defects.counted() == 1


async def test_gemini_s_answer_is_kept_although_no_end_of_it_is_known(runtime):
    call = new_call(model="gemini-2.5-pro")
    await finish(runtime, call, wrapper_of(None, None))
    assert answer_in(call) == ["Hi."]


@pytest.mark.parametrize("ended", [("stop", None), (None, "length")])
async def test_an_answer_that_its_provider_ended_is_kept(runtime, ended):
    call = new_call()
    await finish(runtime, call, wrapper_of(*ended))
    assert answer_in(call) == ["Hi."]


async def test_an_iterator_that_keeps_only_its_chunks_has_its_answer_made_of_them(runtime, monkeypatch):
    call = new_call()
    stream = kept(runtime, call, events_of(INVENTED))
    stream.litellm_model_response, stream.collected_chat_completion_chunks = None, ["chunks"]
    monkeypatch.setattr(litellm, "stream_chunk_builder", lambda chunks: completion_of(f"of {chunks}"))
    async for _ in stream:
        pass
    assert answer_in(call) == ["of ['chunks']"]


async def test_where_keeping_an_answer_fails_all_events_leave_under_one_id(runtime, log_lines):
    call = new_call()
    stream = kept(runtime, call, events_of(INVENTED, text="a private text"))
    stream.answer_of_tomorrow = stream.__dict__.pop("litellm_model_response")
    events = [each async for each in stream]
    assert [each.type for each in events] == [each.type for each in events_of(INVENTED, text="a private text")]
    assert len(set(ids_of(events))) == 1 and call.exchange.answered is None
    (line,) = log_lines
    assert defects.counted() == 1 and "private" not in line


async def test_an_event_of_another_form_leaves_as_it_is(runtime):
    call = new_call()
    events = ["an event of tomorrow", *events_of(INVENTED), 7]
    assert await all_events(runtime, call, events) == events
    assert answer_in(call) == ["Hi."] and defects.counted() == 2


async def test_a_response_that_takes_no_id_leaves_as_it_is(runtime):
    class Unchangeable:
        id = INVENTED
        __slots__ = ()

    call, events = new_call(), [event("created"), *events_of(INVENTED)[1:-1], event("completed")]
    events[0].response = events[-1].response = Unchangeable()
    assert await all_events(runtime, call, events) == events
    assert call.exchange.answered is None and defects.counted() == 2


async def test_a_keeper_s_step_passes_on_what_it_is_given(runtime):
    async def anext_(*args: Any, **options: Any) -> Any:
        return event(f"{args[1:]} {options}")

    stream = kept(runtime, new_call(), [])
    keeper = getattr(stream, ATTRIBUTE)
    assert (await keeper.next_event(anext_, stream, 1, more=2)).type == "response.(1,) {'more': 2}"
