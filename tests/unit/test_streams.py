"""Storing a streamed answer. On the real Redis: reservations are its scripts."""

from __future__ import annotations

import asyncio
from enum import Enum
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import ClientConnectionError, ClientPayloadError

import litellm
from litellm.responses.litellm_completion_transformation.redis_session_patch.bridge import note_provider_reply
from litellm.responses.litellm_completion_transformation.redis_session_patch.response_id import inner_id
from litellm.responses.litellm_completion_transformation.redis_session_patch.streams import next_event_of

from .support.bridge import Stream, all_events, answer_of, event, next_event, request_of, runtime_on, wrapped
from .support.clients import no_redis
from .support.stores import SESSION, chain_of, inputs_of, load, say, store_on

TERMINAL = ["completed", "incomplete"]


@pytest.fixture(autouse=True)
def message_logging_is_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(litellm, "turn_off_message_logging", False)


@pytest.fixture
def store(redis_client):
    return store_on(redis_client)


@pytest.fixture
def runtime(redis_client):
    return runtime_on(redis_client)


def events_of(response_id: str, terminal: str = "completed") -> list[Any]:
    texts = [event("output_text.delta"), event("output_text.delta")]
    return [event("created", response_id), event("in_progress", response_id), *texts, event(terminal, response_id)]


def ids_of(events: list[Any]) -> list[str]:
    return [each.response.id for each in events if each.response]


async def kind_of(client: Any, response_id: str) -> str:
    """What stands under an id: nothing, a reservation, or a record."""
    value = await client.get(SESSION + response_id)
    return "nothing" if value is None else "reservation" if value[:1] == b"R" else "record"


@pytest.mark.parametrize("terminal", TERMINAL)
async def test_a_stream_can_be_continued_by_the_id_in_each_of_its_events(runtime, store, terminal):
    events = await all_events(runtime, request_of("a"), Stream(events_of(wrapped("x"), terminal), answer_of("Hi.")))
    assert len(events) == 5 and ids_of(events) == [wrapped("x")] * 3
    chain = await chain_of(store, "x")
    assert [turn.input for turn in chain.turns] == ["a"]
    assert chain.turns[0].answer == ({"role": "assistant", "content": "Hi."},)
    assert runtime.events == {"written": 1}


async def test_the_id_is_reserved_before_it_is_out_and_stored_before_the_end_is(runtime, redis_client):
    stream, request, kinds = Stream(events_of(wrapped("x"))), request_of(), []
    for _ in range(5):
        await next_event(runtime, request, stream)
        kinds.append(await kind_of(redis_client, "x"))
    assert kinds == ["reservation"] * 4 + ["record"]


@pytest.mark.parametrize("terminal", TERMINAL)
async def test_a_repeated_id_is_replaced_alike_in_all_events(runtime, store, terminal):
    await say(store, "mine", as_id="x")
    ids = ids_of(await all_events(runtime, request_of("b"), Stream(events_of(wrapped("x"), terminal))))
    own = inner_id(ids[0])
    assert own != "x" and ids == [wrapped(own)] * 3
    assert await inputs_of(store, own) == ["b"]
    assert await inputs_of(store, "x") == ["mine"]


async def test_simultaneous_streams_with_one_id_get_their_own(runtime, store):
    streams = [(request_of(text), Stream(events_of(wrapped("x")))) for text in "abcde"]
    outcomes = await asyncio.gather(*(all_events(runtime, request, stream) for request, stream in streams))
    ids = [inner_id(ids_of(events)[-1]) for events in outcomes]
    assert len(set(ids)) == 5
    assert [await inputs_of(store, each) for each in ids] == [[text] for text in "abcde"]


async def test_an_unwrapped_id_works_too(runtime, store):
    await say(store, "mine", as_id="chatcmpl-1")
    ids = ids_of(await all_events(runtime, request_of("b"), Stream(events_of("chatcmpl-1"))))
    assert len(set(ids)) == 1 and ids[0] != "chatcmpl-1"
    assert await inputs_of(store, ids[0]) == ["b"]


async def test_a_stream_whose_id_comes_only_at_its_end_is_stored_then(runtime, store):
    await say(store, "mine", as_id="x")
    events = [event("output_text.delta"), event("completed", "x")]
    (given,) = ids_of(await all_events(runtime, request_of("b"), Stream(events)))
    assert given != "x" and await inputs_of(store, given) == ["b"]


async def test_an_id_that_litellm_invented_is_stored_as_it_is_without_a_reservation(runtime, store, redis_client):
    invented = "resp_7f9c2ba4-e88f-4b0c-9d5e-2a1b3c4d5e6f"
    stream, request = Stream(events_of(invented)), request_of("a")
    await next_event(runtime, request, stream)
    assert await kind_of(redis_client, invented) == "nothing"
    await all_events(runtime, request, stream)
    assert await inputs_of(store, invented) == ["a"]


async def test_the_kind_of_an_event_may_be_an_enum(runtime, store):
    kinds = Enum("Kinds", {"DONE": "response.completed"})
    done = event("completed", wrapped("x"))
    done.type = kinds.DONE
    await all_events(runtime, request_of("a"), Stream([done]))
    assert await inputs_of(store, "x") == ["a"]


@pytest.mark.parametrize("broken_by", [ZeroDivisionError(), asyncio.CancelledError(), StopAsyncIteration()], ids=repr)
@pytest.mark.parametrize("after", [1, 3])
async def test_a_stream_that_breaks_off_stores_nothing_and_frees_its_id(runtime, redis_client, broken_by, after):
    stream, request = Stream([*events_of(wrapped("x"))[:after], broken_by]), request_of()
    for _ in range(after):
        await next_event(runtime, request, stream)
    with pytest.raises(type(broken_by)):
        await next_event(runtime, request, stream)
    assert await redis_client.keys("*") == [] and runtime.events == {}


async def test_a_stream_that_fails_stores_nothing_and_frees_its_id(runtime, redis_client):
    events = await all_events(runtime, request_of(), Stream(events_of(wrapped("x"), terminal="failed")))
    assert ids_of(events) == [wrapped("x")] * 3
    assert await redis_client.keys("*") == []


def wrapper_of(received: str | None, held_back: str | None) -> SimpleNamespace:
    """LiteLLM's stream of chunks, as far as it says how the provider ended."""
    return SimpleNamespace(received_finish_reason=received, intermittent_finish_reason=held_back)


async def test_half_an_answer_that_upstream_ends_as_if_it_were_whole_is_not_kept(runtime, redis_client):
    stream = Stream(events_of(wrapped("x")))
    stream.litellm_custom_stream_wrapper = wrapper_of(None, None)
    assert ids_of(await all_events(runtime, request_of(), stream)) == [wrapped("x")] * 3
    assert await redis_client.keys("*") == [] and runtime.events == {"stream_cut": 1}


def reply_of(content_type: str, broken: Exception | None) -> SimpleNamespace:
    """An `aiohttp.ClientResponse`, as far as it says how it ended."""
    return SimpleNamespace(content_type=content_type, content=SimpleNamespace(exception=lambda: broken))


async def test_half_an_answer_whose_connection_broke_is_not_kept(runtime, redis_client):
    stream, request = Stream(events_of(wrapped("x"))), request_of()
    stream.litellm_custom_stream_wrapper = wrapper_of("stop", None)

    async def read_on() -> Any:
        if request.provider_stream is None:  # Some providers are asked when the first event is.
            note_provider_reply(reply_of("text/event-stream", ClientPayloadError()))
            note_provider_reply(reply_of("application/json", None))  # A logger's.
        return await stream.own_next()

    while (given := await next_event_of(runtime, request, stream, read_on)).type != "response.completed":
        pass
    assert given.response.id == wrapped("x")
    assert await redis_client.keys("*") == [] and runtime.events == {"stream_cut": 1}


@pytest.mark.parametrize("error", [None, ClientConnectionError("closed by us, after the last event")])
async def test_a_connection_that_did_not_break_is_no_cut(runtime, store, error):
    request = request_of("a", provider_stream=reply_of("text/event-stream", error))
    await all_events(runtime, request, Stream(events_of(wrapped("x"))))
    assert await inputs_of(store, "x") == ["a"]


def test_a_reply_to_nobody_in_particular_is_not_noted():
    note_provider_reply(reply_of("text/event-stream", None))


async def test_gemini_s_answer_is_kept_although_no_end_of_it_is_known(runtime, store):
    stream, request = Stream(events_of(wrapped("x"))), request_of("a")
    request.completion["model"] = "gemini-2.5-pro"
    stream.litellm_custom_stream_wrapper = wrapper_of(None, None)
    await all_events(runtime, request, stream)
    assert await inputs_of(store, "x") == ["a"]


@pytest.mark.parametrize("ended", [("stop", None), (None, "length")])
async def test_an_answer_that_its_provider_ended_is_kept(runtime, store, ended):
    stream = Stream(events_of(wrapped("x")))
    stream.litellm_custom_stream_wrapper = wrapper_of(*ended)
    await all_events(runtime, request_of("a"), stream)
    assert await inputs_of(store, "x") == ["a"]


async def test_a_stream_that_is_abandoned_has_stored_nothing_that_can_be_read(runtime, store, redis_client):
    stream, request = Stream(events_of(wrapped("x"))), request_of()
    for _ in range(4):
        await next_event(runtime, request, stream)
    assert (await load(store, "x")).value == "unknown"
    assert await redis_client.keys("litellm_patch:turns:*") == []


async def test_after_its_end_a_stream_keeps_what_it_stored(runtime, store):
    stream, request = Stream(events_of(wrapped("x"))), request_of("a")
    await all_events(runtime, request, stream)
    with pytest.raises(StopAsyncIteration):
        await next_event(runtime, request, stream)
    assert await inputs_of(store, "x") == ["a"]


@pytest.mark.parametrize("fields", [{"params": {"store": False}}, {"may_store": False}])
async def test_a_stream_that_must_not_be_stored_is_not_readable_and_keeps_its_id(runtime, store, redis_client, fields):
    ids = ids_of(await all_events(runtime, request_of(**fields), Stream(events_of(wrapped("x")))))
    assert ids == [wrapped("x")] * 3
    assert (await load(store, "x")).value == "unknown"
    assert await redis_client.keys("litellm_patch:turns:*") == []


@pytest.mark.parametrize("fields", [{"params": {"store": False}}, {"may_store": False}])
async def test_a_stream_that_must_not_be_stored_never_gets_the_id_of_a_stored_response(runtime, store, fields):
    await say(store, "mine", as_id="x")
    ids = ids_of(await all_events(runtime, request_of(**fields), Stream(events_of(wrapped("x")))))
    assert len(set(ids)) == 1 and ids[0] != wrapped("x")
    assert (await load(store, inner_id(ids[0]))).value == "unknown"


async def test_while_redis_is_down_every_event_still_goes_out_as_it_is():
    async with no_redis() as client:
        runtime = runtime_on(client)
        events = await all_events(runtime, request_of(), Stream(events_of(wrapped("x"))))
    assert len(events) == 5 and ids_of(events) == [wrapped("x")] * 3
    assert runtime.events == {"write_failed": 1}


async def test_a_redis_that_comes_back_during_the_stream_still_stores_it(runtime, store, redis_client):
    stream, request = Stream(events_of(wrapped("x"))), request_of("a")
    async with no_redis() as client:
        await next_event(runtime_on(client), request, stream)
    ids = ids_of(await all_events(runtime, request, stream))
    assert set(ids) == {wrapped("x")}
    assert await inputs_of(store, "x") == ["a"]


async def test_a_stream_whose_id_was_taken_meanwhile_is_not_stored_over_it(runtime, store, redis_client):
    stream, request = Stream(events_of(wrapped("x"))), request_of("b")
    await next_event(runtime, request, stream)
    await redis_client.delete(SESSION + "x")  # The reservation expired or was evicted.
    await say(store, "mine", as_id="x")
    ids = ids_of(await all_events(runtime, request, stream))
    assert set(ids) == {wrapped("x")}
    assert await inputs_of(store, "x") == ["mine"]
    assert runtime.events == {"write_skipped": 1}
