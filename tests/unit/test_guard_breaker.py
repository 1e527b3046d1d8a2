"""When Redis is left alone, and what ends that."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.redis import defects
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis import guard as guards
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.guard import (
    FAILURES_TO_OPEN,
    LARGE_BYTES,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.results import (
    NotStored,
    OddValue,
    StoreUnavailable,
)

from .support.guards import LITTLE, Case, failing_with, lanes_of, threads_that_ask, work
from .support.waiting import until

LARGE = LARGE_BYTES + 1


@pytest.fixture
def case():
    made = Case()
    made.answer = StoreUnavailable("still down")
    yield made
    made.let_go.set()
    made.guard.is_used = False


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread asks again at once, so to speak."""
    monkeypatch.setattr(guards, "ASK_AFTER_SECONDS", 0.001)


async def test_it_opens_at_the_third_failure_in_a_row(case):
    await case.fail(2)
    assert not case.guard.is_open and case.changes == []
    await case.fail(1)
    assert case.guard.is_open and case.changes == [(True, "failure 1")]
    assert case.guard.last_reason == "failure 1"


async def test_a_success_starts_the_count_anew(case):
    for _ in range(3):
        await case.fail(2)
        await case.run(work)
    assert not case.guard.is_open and case.changes == []


async def test_while_it_is_open_a_request_costs_nothing(case):
    await case.open()
    for size in (0, LARGE):
        with pytest.raises(StoreUnavailable, match="asked again soon"):
            await case.run(case.wait, size)
    assert case.begun == 0


async def test_what_waited_for_a_thread_when_it_opened_is_not_asked(case):
    holding = [case.begin(case.wait) for _ in range(13)]  # of fourteen threads
    await until(lambda: case.begun == 13)
    failing = [case.begin(failing_with(StoreUnavailable("down"))) for _ in range(3)]
    waiting = [case.begin(case.wait) for _ in range(5)]
    outcomes = await asyncio.gather(*failing, *waiting, return_exceptions=True)
    assert all(isinstance(each, StoreUnavailable) for each in outcomes) and case.begun == 13
    case.let_go.set()
    await asyncio.gather(*holding)


async def test_an_operation_that_is_not_answered_in_time_is_a_failure():
    case = Case(LITTLE)
    for _ in range(3):
        with pytest.raises(StoreUnavailable, match="no answer"):
            await case.run(case.wait)
    assert case.guard.is_open and case.guard.last_reason == "no answer within 0.04 s"
    case.guard.is_used = False
    case.let_go.set()


async def test_a_failure_after_its_request_has_given_up_is_not_counted_again():
    case = Case(LITTLE)

    def fail_late(client: object) -> None:
        case.wait(client)
        raise StoreUnavailable("late")

    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await case.run(fail_late)
    case.let_go.set()
    await asyncio.to_thread(case.guard._lanes.small.threads.shutdown)
    assert not case.guard.is_open and case.changes == []


async def test_operations_that_fail_together_open_it_once(case):
    """Fourteen, one in each thread."""
    together, before = threading.Barrier(14), threads_that_ask()

    def fail(client: object) -> None:
        together.wait(10)
        raise StoreUnavailable("down")

    await asyncio.gather(*(case.run(fail) for _ in range(14)), return_exceptions=True)
    assert case.changes == [(True, "down")] and len(threads_that_ask() - before) == 1


async def test_large_operations_never_open_it_whatever_becomes_of_them():
    """They say something about a value and the network."""
    lanes = lanes_of()
    lanes.large.threads = ThreadPoolExecutor(FAILURES_TO_OPEN)
    case = Case(LITTLE, lanes)
    await case.fail(FAILURES_TO_OPEN, LARGE)
    waiting = [case.begin(case.wait, LARGE) for _ in range(FAILURES_TO_OPEN)]
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert ["no answer" in str(each) for each in outcomes] == [True] * FAILURES_TO_OPEN
    assert case.changes == [] and await case.run(work) == "done"
    case.let_go.set()


@pytest.mark.parametrize("error", [NotStored("too long"), OddValue("a list")], ids=repr)
async def test_what_is_wrong_with_one_value_never_opens_it(case, error):
    for _ in range(10):
        with pytest.raises(type(error)):
            await case.run(failing_with(error))
    assert case.changes == []


async def test_a_thread_asks_until_redis_works_and_then_no_more(case, soon):
    await case.open()
    await until(lambda: case.asked >= 5)
    assert case.guard.is_open and case.guard.last_reason == "still down" and len(case.changes) == 1
    case.answer = None
    await until(lambda: not case.guard.is_open)
    assert case.changes == [(True, "failure 3"), (False, "")]
    asked = case.asked
    assert await case.run(work) == "done"
    assert len(case.observed) == 1  # No request waited for a question, and no question is a request.
    await asyncio.sleep(0.02)
    assert case.asked == asked


def test_it_closes_without_an_event_loop(case, soon):
    asyncio.run(case.open())
    case.answer = None
    asyncio.run(until(lambda: not case.guard.is_open))
    assert asyncio.run(case.run(work)) == "done"


async def test_it_opens_again_after_it_closed(case, soon):
    for _ in range(2):
        await case.open()
        case.answer = None
        await until(lambda: not case.guard.is_open)
        case.answer = StoreUnavailable("still down")
    assert [is_open for is_open, _ in case.changes] == [True, False] * 2


async def test_one_thread_asks_however_soon_it_opens_again(case, monkeypatch):
    monkeypatch.setattr(guards, "ASK_AFTER_SECONDS", 0.2)
    before = threads_that_ask()
    await case.open()
    case.answer = None
    await until(lambda: not case.guard.is_open)
    case.answer = StoreUnavailable("still down")
    await case.open()
    asked = case.asked
    await until(lambda: case.asked >= asked + 2)
    assert len(threads_that_ask() - before) == 1


async def test_a_question_that_fails_by_a_defect_of_ours_is_asked_again(case, soon):
    case.answer = KeyError("a private text")
    await case.open()
    await until(lambda: case.asked >= 3)
    assert defects.counted() >= 3
    case.answer = None
    await until(lambda: not case.guard.is_open)


async def test_a_guard_that_is_not_used_any_more_asks_no_more(case, soon):
    await case.open()
    await until(lambda: case.asked >= 2)
    case.guard.is_used = False
    await asyncio.sleep(0.02)
    asked = case.asked
    await asyncio.sleep(0.02)
    assert case.asked == asked and case.guard.is_open


async def test_it_closes_too_when_an_operation_from_before_succeeds(case):
    late = case.begin(case.wait)
    await until(lambda: case.begun == 1)
    await case.open()
    case.let_go.set()
    assert await late == "done"
    assert not case.guard.is_open


async def test_a_guard_that_is_used_again_asks_first_and_then_as_before(case, soon):
    await case.open()
    case.guard.set_used(False)
    case.guard.set_used(True)
    assert await case.run(work) == "done"
    await case.open()
    case.answer = None
    await until(lambda: not case.guard.is_open)
