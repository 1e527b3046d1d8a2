"""The id of a stream, which goes out before its turn is stored: its own, or reserved where a database needs it."""

from __future__ import annotations

import asyncio
import gc
import sys
from typing import Any

import pytest
from redis.asyncio import Redis

import litellm
from litellm.responses.litellm_completion_transformation.redis_session_patch.owner import NOBODY
from litellm.responses.litellm_completion_transformation.redis_session_patch.response_id import inner_id

from .support.bridge import all_events, counted, event, events_of, ids_of, kept, request_of, runtime_on, wrapped
from .support.clients import RoundTrips, no_redis
from .support.stores import SESSION, inputs_of, load, reserve, say
from .support.waiting import until

INVENTED = "resp_7f9c2ba4-e88f-4b0c-9d5e-2a1b3c4d5e6f"
TERMINAL = ["completed", "incomplete"]


@pytest.fixture(autouse=True)
def message_logging_is_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(litellm, "turn_off_message_logging", False)


async def kind_of(client: Any, response_id: str) -> str:
    """What stands under an id: nothing, a reservation, or a record."""
    value = await client.get(SESSION + response_id)
    return "nothing" if value is None else "reservation" if value[:1] == b"R" else "record"


@pytest.mark.parametrize("terminal", TERMINAL)
async def test_without_a_database_a_stream_has_an_id_of_its_own_in_each_of_its_events(
    redis_client, store, without_database, terminal
):
    trips = RoundTrips(redis_client)
    ids = ids_of(await all_events(runtime_on(trips), request_of("a"), events_of(wrapped("x"), terminal)))
    own = inner_id(ids[0])
    assert own.startswith("x-") and ids == [wrapped(own)] * 3
    assert trips.names == ["append"]  # Nothing had to be asked for it.
    assert await inputs_of(store, own) == ["a"]


@pytest.mark.parametrize("terminal", TERMINAL)
async def test_with_a_database_a_stream_keeps_the_provider_s_id_by_a_reservation(
    redis_client, store, with_database, terminal
):
    trips = RoundTrips(redis_client)
    stream, kinds = kept(runtime_on(trips), request_of("a"), events_of(wrapped("x"), terminal)), []
    ids = []
    async for each in stream:
        kinds.append(await kind_of(redis_client, "x"))
        ids += ids_of([each])
    assert kinds == ["reservation"] * 4 + ["record"] and ids == [wrapped("x")] * 3
    assert trips.names == ["commit", "append"]
    assert await inputs_of(store, "x") == ["a"]


@pytest.mark.parametrize("holder", ["a response", "a reservation"])
async def test_with_a_database_an_id_that_is_taken_is_replaced_alike_in_all_events(
    store, runtime, with_database, holder
):
    await (say(store, "mine", as_id="x") if holder == "a response" else reserve(store, "x"))
    ids = ids_of(await all_events(runtime, request_of("b"), events_of(wrapped("x"))))
    own = inner_id(ids[0])
    assert own != "x" and ids == [wrapped(own)] * 3
    assert await inputs_of(store, own) == ["b"]


@pytest.mark.parametrize("database", ["with_database", "without_database"])
async def test_simultaneous_streams_with_one_id_get_their_own(store, runtime, request, database):
    request.getfixturevalue(database)
    outcomes = await asyncio.gather(
        *(all_events(runtime, request_of(each), events_of(wrapped("x"))) for each in "abcde")
    )
    ids = [inner_id(ids_of(events)[-1]) for events in outcomes]
    assert len(set(ids)) == 5
    assert [await inputs_of(store, each) for each in ids] == [[text] for text in "abcde"]


async def test_an_unwrapped_id_works_too(store, runtime, with_database):
    await say(store, "mine", as_id="chatcmpl-1")
    ids = ids_of(await all_events(runtime, request_of("b"), events_of("chatcmpl-1")))
    assert len(set(ids)) == 1 and ids[0] != "chatcmpl-1"
    assert await inputs_of(store, ids[0]) == ["b"]


@pytest.mark.parametrize("database", ["with_database", "without_database"])
async def test_a_stream_whose_id_comes_only_at_its_end_is_stored_then(store, runtime, request, database):
    request.getfixturevalue(database)
    await say(store, "mine", as_id="x")
    (given,) = ids_of(await all_events(runtime, request_of("b"), [event("output_text.delta"), event("completed", "x")]))
    assert given != "x" and await inputs_of(store, given) == ["b"]


@pytest.mark.parametrize("database", ["with_database", "without_database"])
async def test_an_id_that_litellm_invented_is_stored_as_it_is_without_asking(redis_client, store, request, database):
    request.getfixturevalue(database)
    trips = RoundTrips(redis_client)
    ids = ids_of(await all_events(runtime_on(trips), request_of("a"), events_of(INVENTED)))
    assert ids == [INVENTED] * 3 and trips.names == ["append"]
    assert await inputs_of(store, INVENTED) == ["a"]


async def is_empty(client: Any) -> bool:
    return not await client.keys("*")


@pytest.mark.parametrize("after", [1, 3])
async def test_a_reservation_is_given_up_when_the_iterator_is_gone(redis_client, runtime, with_database, after):
    """As it is when the client has left: nobody closes it."""
    stream = kept(runtime, request_of(), events_of(wrapped("x")))
    for _ in range(after):
        await anext(stream)
    assert await kind_of(redis_client, "x") == "reservation"
    del stream
    await until(lambda: is_empty(redis_client))
    assert counted(runtime) == {}


@pytest.mark.parametrize("broken_by", [ZeroDivisionError, asyncio.CancelledError])
async def test_a_stream_that_breaks_off_stores_nothing_and_frees_its_id(
    redis_client, runtime, with_database, broken_by
):
    async def play() -> None:
        with pytest.raises(broken_by):
            await all_events(runtime, request_of(), [*events_of(wrapped("x"))[:3], broken_by()])

    await play()
    gc.collect()
    await until(lambda: is_empty(redis_client))
    assert counted(runtime) == {}


async def test_the_iterator_of_a_stored_stream_takes_nothing_along(redis_client, store, runtime, with_database):
    await all_events(runtime, request_of("a"), events_of(wrapped("x")))
    await asyncio.sleep(0)  # What it left to be done would be under way now, and first in its place.
    await runtime.write(lambda store, _: store.ping())
    assert await inputs_of(store, "x") == ["a"]


def test_an_iterator_that_outlives_its_event_loop_does_no_harm(redis_server, with_database, monkeypatch):
    streams, unraisable = [], []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: unraisable.append(args.exc_value))

    async def begin() -> None:
        async with Redis.from_url(redis_server.url) as client:
            await client.flushall()
            streams.append(kept(runtime_on(client), request_of(), events_of(wrapped("x"))))
            await anext(streams[0])

    asyncio.run(begin())
    streams.clear()
    assert unraisable == []


NOT_STORED = [{"params": {"store": False}}, {"call": {"turn_off_message_logging": "true"}}, {"owner": NOBODY}]


@pytest.mark.parametrize("fields", NOT_STORED)
@pytest.mark.parametrize("is_taken", [False, True])
async def test_a_stream_that_is_not_stored_reserves_nothing_and_has_no_stored_response_s_id(
    redis_client, store, with_database, fields, is_taken
):
    if is_taken:
        await say(store, "mine", as_id="x")
    trips = RoundTrips(redis_client)
    ids = ids_of(await all_events(runtime_on(trips), request_of(**fields), events_of(wrapped("x"))))
    assert len(set(ids)) == 1 and (ids[0] == wrapped("x")) is not is_taken
    assert trips.names == ["exists"]
    assert (await load(store, inner_id(ids[0]))).value == "unknown"


@pytest.mark.parametrize("fields", NOT_STORED)
async def test_without_a_database_a_stream_that_is_not_stored_costs_nothing(redis_client, without_database, fields):
    trips = RoundTrips(redis_client)
    ids = ids_of(await all_events(runtime_on(trips), request_of(**fields), events_of(wrapped("x"))))
    assert len(set(ids)) == 1 and ids[0] != wrapped("x") and trips.names == []


@pytest.mark.parametrize("database, keeps", [("with_database", True), ("without_database", False)])
async def test_while_redis_is_down_every_event_still_goes_out(request, database, keeps):
    request.getfixturevalue(database)
    async with no_redis() as client:
        runtime = runtime_on(client)
        events = await all_events(runtime, request_of(), events_of(wrapped("x")))
    assert len(events) == 5 and len(set(ids_of(events))) == 1
    assert (ids_of(events)[0] == wrapped("x")) is keeps and counted(runtime) == {"turns failed": 1}


async def test_a_stream_whose_id_was_taken_meanwhile_is_not_stored_over_it(
    redis_client, store, runtime, with_database, log_lines
):
    stream = kept(runtime, request_of("b"), events_of(wrapped("x")))
    await anext(stream)
    await redis_client.delete(SESSION + "x")  # The reservation expired or was evicted.
    await say(store, "mine", as_id="x")
    assert set(ids_of([each async for each in stream])) == {wrapped("x")}
    assert await inputs_of(store, "x") == ["mine"] and counted(runtime) == {"turns skipped": 1}
