"""What an operation may cost its request: a wait that has an end, whatever Redis and other requests do."""

from __future__ import annotations

import asyncio
import gc
import time

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.redis import defects
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.guard import (
    BYTES_PER_SECOND,
    FAILURES_TO_OPEN,
    LARGE_BYTES,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.results import StoreUnavailable

from .support.guards import LITTLE, Case, failing_with, lanes_of, work
from .support.waiting import until

LARGE = LARGE_BYTES + 1


@pytest.fixture
def case():
    made = Case()
    yield made
    made.let_go.set()


@pytest.fixture
def hurried():
    made = Case(LITTLE)
    yield made
    made.let_go.set()


async def test_the_result_of_an_operation_is_given_and_its_time_observed(case):
    assert await case.run(work) == "done"
    assert len(case.observed) == 1 and case.changes == []


async def test_a_request_waits_no_longer_than_twice_the_time_and_the_operation_goes_on(hurried):
    began = time.monotonic()
    with pytest.raises(StoreUnavailable, match=r"^no answer within 0.04 s$"):
        await hurried.run(hurried.wait)
    assert 2 * LITTLE <= time.monotonic() - began < 100 * LITTLE
    assert (hurried.begun, hurried.ended) == (1, 0)
    hurried.let_go.set()
    await until(lambda: hurried.ended == 1)


async def test_the_wait_grows_with_the_bytes_to_move(hurried):
    """By no more than they take."""
    with pytest.raises(StoreUnavailable, match=r"^no answer within 0.14 s$"):
        await hurried.run(hurried.wait, BYTES_PER_SECOND // 10)


async def test_waiting_for_a_thread_is_part_of_the_wait_and_what_has_none_is_given_up(hurried):
    # Not judged: on a busy machine the breaker might open before the others come.
    crowd = [hurried.begin(hurried.wait, is_judged=False) for _ in range(14)]
    await until(lambda: hurried.begun == 14)
    outcomes = await asyncio.gather(*(hurried.run(hurried.wait) for _ in range(20)), return_exceptions=True)
    assert {str(outcome) for outcome in outcomes} == {"no thread was free in time"}
    hurried.let_go.set()
    await asyncio.gather(*crowd, return_exceptions=True)
    await until(lambda: hurried.ended == 14)
    assert hurried.begun == 14  # What was given up was never asked.


async def test_a_crowd_says_nothing_about_redis(hurried):
    holders = [hurried.begin(hurried.wait, LARGE) for _ in range(2)]
    await until(lambda: hurried.begun == 2)
    for _ in range(FAILURES_TO_OPEN):
        with pytest.raises(StoreUnavailable, match="no thread"):
            await hurried.run(work, LARGE)
    assert not hurried.guard.is_open and await hurried.run(work) == "done"
    await asyncio.gather(*holders, return_exceptions=True)


@pytest.mark.parametrize("most, at_once", [(None, 16), (1_000, 16), (16, 16), (5, 5), (3, 3), (2, 2), (1, 1)])
async def test_no_more_operations_run_at_once_than_there_are_threads(most, at_once):
    case = Case(lanes=lanes_of(most))
    both = [case.begin(case.wait) for _ in range(20)] + [case.begin(case.wait, LARGE) for _ in range(5)]
    await until(lambda: case.begun >= at_once)
    case.let_go.set()
    assert await asyncio.gather(*both) == ["done"] * 25
    assert case.most_running == at_once


@pytest.mark.parametrize("size, other", [(0, LARGE), (LARGE, LARGE_BYTES)])
async def test_large_operations_and_others_take_no_thread_from_each_other(case, size, other):
    crowd = [case.begin(case.wait, size) for _ in range(20)]
    await until(lambda: case.begun == case.guard._lanes.large.threads._max_workers or case.begun == 14)
    assert await case.run(work, other) == "done"
    case.let_go.set()
    await asyncio.gather(*crowd)


async def test_a_busy_event_loop_is_not_taken_for_a_slow_redis(hurried):
    """Its answer is there long before the loop comes back to it."""
    asked = hurried.begin(work)
    await asyncio.sleep(0)
    time.sleep(10 * LITTLE)
    assert await asked == "done"


async def test_an_operation_goes_on_when_its_request_was_cancelled(case):
    request = case.begin(case.wait)
    await until(lambda: case.begun == 1)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    case.let_go.set()
    await until(lambda: case.ended == 1)
    await until(lambda: len(case.observed) == 1)


async def test_an_operation_that_has_no_thread_yet_is_done_when_its_request_was_cancelled(case):
    """The turn of a client who leaves is stored all the same."""
    crowd = [case.begin(case.wait) for _ in range(14)]
    await until(lambda: case.begun == 14)
    request = case.begin(case.wait)
    await asyncio.sleep(0)
    request.cancel()
    case.let_go.set()
    await asyncio.gather(*crowd)
    await until(lambda: case.ended == 15)


async def test_errors_that_nobody_waits_for_any_more_are_not_logged(hurried):
    def late(client: object) -> None:
        hurried.wait(client)
        raise StoreUnavailable("a private text")

    seen: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: seen.append(context))
    with pytest.raises(StoreUnavailable, match="no answer"):
        await hurried.run(late)
    hurried.let_go.set()
    await until(lambda: hurried.ended == 1)
    await asyncio.sleep(0)
    gc.collect()  # Which is when asyncio says that nobody asked for an exception.
    assert seen == []


def test_an_event_loop_that_ends_with_an_operation_at_work_is_no_trouble(case, caplog):
    async def ask() -> None:
        case.begin(case.wait)
        await until(lambda: case.begun == 1)

    asyncio.run(ask())
    case.let_go.set()
    case.guard._lanes.small.threads.shutdown()
    assert case.ended == 1 and caplog.records == []


async def test_a_defect_of_ours_is_reported_and_says_nothing_about_redis(case):
    for _ in range(2 * FAILURES_TO_OPEN):
        with pytest.raises(StoreUnavailable, match=r"^KeyError$"):  # without the text, which may be a message's
            await case.run(failing_with(KeyError("a private text")))
    assert case.changes == [] and defects.counted() == 2 * FAILURES_TO_OPEN
