"""Storing a streamed answer: before its terminal event leaves, and only where it is whole."""

from __future__ import annotations

import gc
from enum import Enum
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import ClientConnectionError, ClientPayloadError

import litellm
from litellm.responses.litellm_completion_transformation.redis_session_patch import defects
from litellm.responses.litellm_completion_transformation.redis_session_patch.bridge import note_provider_reply
from litellm.responses.litellm_completion_transformation.redis_session_patch.request import CURRENT
from litellm.responses.litellm_completion_transformation.redis_session_patch.response_id import inner_id
from litellm.responses.litellm_completion_transformation.redis_session_patch.runtime import Runtime
from litellm.responses.litellm_completion_transformation.redis_session_patch.settings import Settings
from litellm.responses.litellm_completion_transformation.redis_session_patch.streams import StreamKeeper

from .support.bridge import (
    Stream,
    all_events,
    answer_of,
    counted,
    event,
    events_of,
    ids_of,
    kept,
    request_of,
    wrapped,
)
from .support.clients import no_redis
from .support.stores import chain_of, inputs_of, load
from .support.waiting import until

INVENTED = "resp_7f9c2ba4-e88f-4b0c-9d5e-2a1b3c4d5e6f"


@pytest.fixture(autouse=True)
def message_logging_is_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(litellm, "turn_off_message_logging", False)


@pytest.mark.parametrize("terminal", ["completed", "incomplete"])
async def test_a_stream_can_be_continued_by_its_id(store, runtime, terminal):
    events = await all_events(runtime, request_of("a"), events_of(wrapped("x"), terminal), answer_of("Hi."))
    assert len(events) == 5
    chain = await chain_of(store, inner_id(ids_of(events)[0]))
    assert [turn.input for turn in chain.turns] == ["a"]
    assert chain.turns[0].answer == ({"role": "assistant", "content": "Hi."},)
    assert counted(runtime) == {"turns stored": 1}


async def test_it_is_stored_when_the_terminal_event_leaves_and_not_before(store, runtime):
    found = []
    async for each in kept(runtime, request_of("a"), events_of(INVENTED)):
        found.append((each.type, (await load(store, INVENTED) is None) or await load(store, INVENTED)))
    assert [getattr(what, "value", "found") for _, what in found] == ["unknown"] * 4 + ["found"]


async def test_the_kind_of_an_event_may_be_an_enum(store, runtime):
    done = event("completed", INVENTED)
    done.type = Enum("Kinds", {"DONE": "response.completed"}).DONE
    await all_events(runtime, request_of("a"), [done])
    assert await inputs_of(store, INVENTED) == ["a"]


@pytest.mark.parametrize("ending", [[], ["failed"], ["error"]])
async def test_a_stream_that_ends_otherwise_stores_nothing(redis_client, runtime, ending):
    events = events_of(INVENTED)[:4] + [event(kind, INVENTED) for kind in ending]
    assert ids_of(await all_events(runtime, request_of(), events)) == [INVENTED] * (2 + len(ending))
    assert await redis_client.keys("*") == [] and counted(runtime) == {}


async def test_a_stream_that_is_abandoned_has_stored_nothing(redis_client, store, runtime):
    stream = kept(runtime, request_of(), events_of(INVENTED))
    for _ in range(4):
        await anext(stream)
    assert (await load(store, INVENTED)).value == "unknown" and await redis_client.keys("*") == []


async def test_a_redis_that_comes_back_during_the_stream_still_stores_it(store, redis_client, with_database):
    broken = no_redis()
    clients = [redis_client, broken, broken]  # A broken one is replaced, and the next one is broken too.
    runtime = Runtime(Settings(timeout_seconds=10), clients.pop)
    async with broken:
        stream = kept(runtime, request_of("a"), events_of(wrapped("x")))
        ids = ids_of([await anext(stream)])
    ids += ids_of([each async for each in stream])
    assert set(ids) == {wrapped("x")} and await inputs_of(store, "x") == ["a"]


async def test_while_the_provider_is_asked_its_request_is_known(runtime):
    """Some are asked for an answer only when its first event is, or, on 1.85.7 Gemini, when a later one is."""
    request, seen = request_of(), []

    events = (seen.append(CURRENT.get()) or each for each in events_of(INVENTED))
    stream = kept(runtime, request, events)
    await anext(stream)
    await anext(stream)
    assert seen == [request, request] and CURRENT.get() is None


async def test_a_stream_that_nobody_keeps_is_as_it_was(redis_client):
    events = events_of(wrapped("x"))
    assert [each async for each in Stream(events)] == events
    assert await redis_client.keys("*") == []


def wrapper_of(received: str | None, held_back: str | None) -> SimpleNamespace:
    """LiteLLM's stream of chunks, as far as it says how the provider ended."""
    return SimpleNamespace(received_finish_reason=received, intermittent_finish_reason=held_back)


async def finish(runtime: Any, request: Any, wrapper: Any = None) -> None:
    stream = kept(runtime, request, events_of(INVENTED))
    if wrapper is not None:
        stream.litellm_custom_stream_wrapper = wrapper
    assert ids_of([each async for each in stream]) == [INVENTED] * 3


async def test_half_an_answer_that_upstream_ends_as_if_it_were_whole_is_not_kept(redis_client, runtime):
    await finish(runtime, request_of(), wrapper_of(None, None))
    assert await redis_client.keys("*") == [] and counted(runtime) == {"turns stream_cut": 1}


async def is_empty(client: Any) -> bool:
    return not await client.keys("*")


async def test_half_an_answer_frees_its_reserved_id_at_once(redis_client, runtime, with_database):
    stream = kept(runtime, request_of(), events_of(wrapped("x")))
    stream.litellm_custom_stream_wrapper = wrapper_of(None, None)
    async for _ in stream:
        pass
    await until(lambda: is_empty(redis_client))


def reply_of(content_type: str, broken: Exception | None) -> SimpleNamespace:
    """An `aiohttp.ClientResponse`, as far as it says how it ended."""
    return SimpleNamespace(content_type=content_type, content=SimpleNamespace(exception=lambda: broken))


async def test_half_an_answer_whose_connection_broke_is_not_kept(redis_client, runtime):
    request = request_of()
    before = CURRENT.set(request)
    note_provider_reply(reply_of("text/event-stream", ClientPayloadError()))
    note_provider_reply(reply_of("application/json", None))  # A logger's.
    CURRENT.reset(before)
    await finish(runtime, request, wrapper_of("stop", None))
    assert await redis_client.keys("*") == [] and counted(runtime) == {"turns stream_cut": 1}


@pytest.mark.parametrize("error", [None, ClientConnectionError("closed by us, after the last event")])
async def test_a_connection_that_did_not_break_is_no_cut(store, runtime, error):
    await finish(runtime, request_of("a", provider_stream=reply_of("text/event-stream", error)))
    assert await inputs_of(store, INVENTED) == ["a"]


def test_a_reply_to_nobody_in_particular_is_not_noted():
    note_provider_reply(reply_of("text/event-stream", None))


async def test_gemini_s_answer_is_kept_although_no_end_of_it_is_known(store, runtime):
    request = request_of("a")
    request.completion["model"] = "gemini-2.5-pro"
    await finish(runtime, request, wrapper_of(None, None))
    assert await inputs_of(store, INVENTED) == ["a"]


@pytest.mark.parametrize("ended", [("stop", None), (None, "length")])
async def test_an_answer_that_its_provider_ended_is_kept(store, runtime, ended):
    await finish(runtime, request_of("a"), wrapper_of(*ended))
    assert await inputs_of(store, INVENTED) == ["a"]


async def test_an_iterator_that_keeps_only_its_chunks_has_its_answer_made_of_them(store, runtime, monkeypatch):
    stream = kept(runtime, request_of("a"), events_of(INVENTED))
    stream.litellm_model_response, stream.collected_chat_completion_chunks = None, ["chunks"]
    monkeypatch.setattr(litellm, "stream_chunk_builder", lambda chunks: answer_of(f"of {chunks}"))
    async for _ in stream:
        pass
    assert (await chain_of(store, INVENTED)).turns[0].answer[0]["content"] == "of ['chunks']"


def without_an_answer(runtime: Any, response_id: str) -> Stream:
    """A stream that keeps its answer under a name of tomorrow, so that storing it fails."""
    stream = kept(runtime, request_of("a private text"), events_of(response_id))
    stream.answer_of_tomorrow = stream.__dict__.pop("litellm_model_response")
    return stream


async def test_where_keeping_a_stream_fails_all_its_events_leave_and_nothing_is_stored(
    redis_client, runtime, log_lines
):
    events = [each async for each in without_an_answer(runtime, INVENTED)]
    assert [each.type for each in events] == [each.type for each in events_of(INVENTED)]
    assert ids_of(events) == [INVENTED] * 3
    assert await redis_client.keys("*") == [] and counted(runtime) == {}
    (line,) = log_lines
    assert defects.counted() == 1 and "private" not in line


async def test_where_keeping_a_stream_fails_its_reserved_id_is_freed(redis_client, runtime, with_database):
    stream = without_an_answer(runtime, wrapped("x"))
    assert ids_of([each async for each in stream]) == [wrapped("x")] * 3
    del stream
    gc.collect()
    await until(lambda: is_empty(redis_client))


async def test_where_keeping_a_stream_fails_its_id_is_still_one_in_all_events(runtime, without_database):
    """The provider's own, which it may repeat, can be another response's."""
    first, *others = ids_of([each async for each in without_an_answer(runtime, wrapped("x"))])
    assert others == [first] * 2 and inner_id(first) != "x"


async def test_an_event_of_another_form_leaves_and_what_comes_after_it_is_not_kept(redis_client, runtime):
    events = ["an event of tomorrow", *events_of(INVENTED), 7]
    assert await all_events(runtime, request_of(), events) == events
    assert await redis_client.keys("*") == [] and defects.counted() == 2


async def test_after_a_first_failure_a_stream_is_passed_through(redis_client, runtime):
    """An event is not looked at again and again in vain, and half of a stream's ids are not changed."""

    class Unchangeable:
        id = INVENTED
        __slots__ = ()

    events = [event("created"), *events_of(INVENTED)[1:]]
    events[0].response = Unchangeable()
    assert await all_events(runtime, request_of(), events) == events
    assert await redis_client.keys("*") == [] and defects.counted() == 1


async def test_a_keeper_s_step_passes_on_what_it_is_given(runtime):
    async def anext_(*args: Any, **options: Any) -> Any:
        return event(f"{args[1:]} {options}")

    stream = kept(runtime, request_of(), [])
    keeper = StreamKeeper.of(stream)
    assert (await keeper.next_event(anext_, stream, 1, more=2)).type == "response.(1,) {'more': 2}"
