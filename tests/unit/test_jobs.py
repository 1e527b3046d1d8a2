"""Responses in the background on a real Redis: one end only, a lease, a bounded log, nobody else's."""

from __future__ import annotations

from secrets import token_hex
from typing import Any

import pytest
from redis import Redis

from lab.monitor import monitored
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.jobs import Event, JobStore, Page
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.runtime import Runtime
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.store import events_key
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.ids import (
    Place,
    new_conversation,
    new_turn,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.results import Miss, NotStored
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.turns import NO_TURNS, Chain, Turn

from .support.erasures import erase_all_of
from .support.runtimes import counted, runtime_on
from .support.stores import ALICE, BOB, PREFIX, TTL_SECONDS, keys_of

SHOWN = {"shown": {"output": []}, "input": '"hello"', "streamed": True}
TURN = Turn("hello", ({"role": "assistant", "content": "Hi."},), by=(ALICE.tag,), reply={"object": "response"})


@pytest.fixture
def jobs(runtime: Runtime) -> JobStore:
    return runtime.jobs


@pytest.fixture
async def place(jobs: JobStore) -> Place:
    """Of a response of hers that runs."""
    place = Place(new_conversation(), new_turn())
    assert await jobs.begin(place, ALICE, SHOWN) == "queued"
    assert await jobs.keep(place, ALICE, "in_progress") == "in_progress"
    return place


def events(*numbers: int, end: bool = False) -> list[Event]:
    return [Event(number, f"event {number}", end and number == numbers[-1]) for number in numbers]


def let_the_lease_end(client: Redis, place: Place) -> None:
    turns, field = keys_of(place)[0], f"j{place.turn}"
    client.hset(turns, field, b"in_progress 5")


async def status_of(jobs: JobStore, place: Place) -> Any:
    found = await jobs.read(place, ALICE)
    return found if found is None or isinstance(found, Miss) else found.status


async def test_one_that_runs_is_no_turn_and_its_owners_alone(runtime: Runtime, jobs: JobStore, place: Place):
    assert await runtime.store.read(place, ALICE) is Miss.UNFINISHED
    record = await jobs.read(place, ALICE)
    assert (record.status, record.shown) == ("in_progress", SHOWN)
    for asked in (runtime.store.read(place, BOB), jobs.read(place, BOB), jobs.events(place, BOB, -1)):
        assert await asked is Miss.DENIED
    assert await runtime.store.delete(place, BOB) is Miss.DENIED
    assert await jobs.read(place, BOB, is_to_cancel=True) is Miss.DENIED
    assert await status_of(jobs, place) == "in_progress"


async def test_when_it_is_stored_it_is_a_turn_like_others(
    runtime: Runtime, jobs: JobStore, place: Place, redis_client: Redis
):
    await runtime.store.append(place, [TURN], NO_TURNS, ALICE)
    assert isinstance(await runtime.store.read(place, ALICE), Chain)
    assert await status_of(jobs, place) is None
    assert await jobs.read(place, ALICE, is_to_cancel=True) is None
    assert await jobs.keep(place, ALICE, "in_progress", SHOWN) == "found"
    turns, _, lives = keys_of(place)
    assert not [field for field in redis_client.hkeys(turns) if field.startswith((b"j", b"k"))]
    assert redis_client.zrange(lives, 0, -1) == [place.turn.encode()]


@pytest.mark.parametrize("end", ["cancelled", "lost", "failed", "deleted", "erased"])
async def test_one_that_has_ended_is_never_stored(
    end: str, runtime: Runtime, jobs: JobStore, place: Place, redis_client: Redis
):
    if end == "cancelled":
        assert await jobs.read(place, ALICE, is_to_cancel=True)
    elif end == "lost":
        let_the_lease_end(redis_client, place)
        assert await jobs.read(place, ALICE)
    elif end == "failed":
        assert await jobs.keep(place, ALICE, "failed", SHOWN) == "failed"
    elif end == "deleted":
        assert await runtime.store.delete(place, ALICE) is None
    else:
        await erase_all_of(redis_client, "team", "red")
    told = "deleted" if end == "erased" else end
    for _ in range(2):
        assert await jobs.keep(place, ALICE, "in_progress", SHOWN) == told
        with pytest.raises(NotStored):
            await runtime.store.append(place, [TURN], NO_TURNS, ALICE)
    if told == end != "deleted":
        assert await status_of(jobs, place) == end
        assert (await jobs.read(place, ALICE, is_to_cancel=True)).status == end
    else:
        assert await runtime.store.read(place, ALICE) is Miss.DELETED


async def test_a_lease_that_ended_unseen_is_renewed(jobs: JobStore, place: Place, redis_client: Redis):
    let_the_lease_end(redis_client, place)
    assert await jobs.keep(place, ALICE, "in_progress") == "in_progress"
    assert await status_of(jobs, place) == "in_progress"


async def test_what_redis_forgot_is_noted_again(jobs: JobStore, place: Place, redis_client: Redis):
    redis_client.flushall()
    assert await jobs.keep(place, ALICE, "in_progress") == "unknown"
    assert await jobs.keep(place, ALICE, "in_progress", SHOWN) == "in_progress"
    assert (await jobs.read(place, ALICE)).shown == SHOWN


async def test_events_are_given_after_any_number_and_once(jobs: JobStore, place: Place):
    nothing = await jobs.events(place, ALICE, -1)
    assert nothing == Page("in_progress", None, None, False, ())
    for _ in range(2):  # as after a lost reply
        assert await jobs.log(place, ALICE, events(0, 1), 0) == "in_progress"
    await jobs.log(place, ALICE, events(0, 1, 2, end=True), 0)
    for number in range(-1, 4):
        page = await jobs.events(place, ALICE, number)
        assert page.events == tuple(events(0, 1, 2, end=True)[number + 1 :])
        assert (page.first, page.last, page.is_ended) == (0, 2, True)


async def test_of_a_long_stream_the_newest_events_are_kept(jobs: JobStore, place: Place):
    await jobs.log(place, ALICE, events(*range(10)), 0)
    await jobs.log(place, ALICE, events(10), 8)
    page = await jobs.events(place, ALICE, 3)
    assert (page.first, page.last, page.events) == (8, 10, ())
    assert [event.number for event in (await jobs.events(place, ALICE, 7)).events] == [8, 9, 10]


async def test_after_a_gap_the_events_before_it_are_not_kept_any_more(jobs: JobStore, place: Place):
    await jobs.log(place, ALICE, events(*range(10)), 0)
    await jobs.log(place, ALICE, events(*range(50, 60), end=True), 50)
    page = await jobs.events(place, ALICE, 54)
    assert (page.first, page.last, page.is_ended) == (50, 59, True)
    assert [event.number for event in page.events] == [55, 56, 57, 58, 59]


@pytest.mark.parametrize("asks", ["read", "events"])
async def test_a_loss_is_counted_once_whoever_finds_it(
    asks: str, runtime: Runtime, jobs: JobStore, place: Place, redis_client: Redis
):
    let_the_lease_end(redis_client, place)
    before = counted(runtime).get("jobs lost", 0)
    await (jobs.read(place, ALICE) if asks == "read" else jobs.events(place, ALICE, -1))
    assert await status_of(jobs, place) == "lost"
    assert (await jobs.events(place, ALICE, -1)).status == "lost"
    assert counted(runtime)["jobs lost"] == before + 1


async def test_to_renew_a_lease_does_not_copy_what_was_said(jobs: JobStore, redis_client: Redis, redis_server: Any):
    place, said = Place(new_conversation(), new_turn()), {**SHOWN, "input": token_hex(100_000)}
    await jobs.begin(place, ALICE, said)
    with monitored(redis_server.host, redis_server.port) as seen:
        await jobs.keep(place, ALICE, "in_progress")
        await jobs.log(place, ALICE, events(0), 0)
        await jobs.events(place, ALICE, -1)
    assert seen.commands
    assert not [command for command in seen.commands if f"k{place.turn}" in command and command[0].upper() == "HGET"]
    assert (await jobs.read(place, ALICE)).shown == said


@pytest.mark.parametrize("way", ["delete", "erase"])
async def test_with_the_response_its_events_go(
    way: str, runtime: Runtime, jobs: JobStore, place: Place, redis_client: Redis
):
    await jobs.log(place, ALICE, events(0), 0)
    assert redis_client.exists(events_key(PREFIX, place))
    if way == "delete":
        await runtime.store.delete(place, ALICE)
    else:
        await erase_all_of(redis_client, "team", "red")
    assert not redis_client.exists(events_key(PREFIX, place))
    assert await jobs.log(place, ALICE, events(1), 0) == "deleted"
    assert not redis_client.exists(events_key(PREFIX, place))


async def test_an_owner_has_so_many_at_once(redis_client: Redis):
    jobs = runtime_on(redis_client, max_owner_jobs=2).jobs
    places = [Place(new_conversation(), new_turn()) for _ in range(3)]
    assert [await jobs.begin(each, ALICE, SHOWN) for each in places] == ["queued", "queued", None]
    assert await jobs.begin(places[2], BOB, SHOWN) == "queued"
    await jobs.keep(places[0], ALICE, "failed", SHOWN)
    assert await jobs.begin(Place(new_conversation(), new_turn()), ALICE, SHOWN) == "queued"


async def test_every_key_has_an_end_and_a_record_lives_from_its_end_on(
    jobs: JobStore, place: Place, redis_client: Redis
):
    await jobs.log(place, ALICE, events(0), 0)
    await jobs.read(place, ALICE, is_to_cancel=True)
    assert all(redis_client.ttl(key) > 0 for key in redis_client.keys("*"))
    assert redis_client.zscore(keys_of(place)[2], f"j{place.turn}") - redis_client.time()[0] >= TTL_SECONDS - 5
    redis_client.zadd(keys_of(place)[2], {f"j{place.turn}": 1})  # Its life is over; something else is used.
    assert await jobs.read(place, ALICE) is Miss.UNKNOWN
    other = Place(place.conversation, new_turn())
    await jobs.begin(other, ALICE, SHOWN)


async def test_what_is_noted_is_sealed_where_there_are_keys(redis_client: Redis):
    jobs = runtime_on(redis_client, encryption_keys=(b"k" * 32,)).jobs
    place = Place(new_conversation(), new_turn())
    await jobs.begin(place, ALICE, SHOWN)
    await jobs.log(place, ALICE, events(0), 0)
    assert (await jobs.read(place, ALICE)).shown == SHOWN
    assert (await jobs.events(place, ALICE, -1)).events == tuple(events(0))
    stored = redis_client.hget(keys_of(place)[0], f"k{place.turn}") + redis_client.lindex(events_key(PREFIX, place), 0)
    assert b"event 0" not in stored
    other = runtime_on(redis_client, encryption_keys=(b"o" * 32,)).jobs
    assert await other.read(place, ALICE) is Miss.UNREADABLE
    assert await other.events(place, ALICE, -1) is Miss.UNREADABLE


async def test_whose_an_id_of_litellms_own_is(jobs: JobStore):
    await jobs.note_owner("litellm_poll_1", ALICE)
    assert await jobs.owner_of("litellm_poll_1") == ALICE.identity
    assert await jobs.owner_of("litellm_poll_2") is None
