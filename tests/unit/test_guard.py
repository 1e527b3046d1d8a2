"""What an operation may cost its request, and what closes the way to Redis for a while."""

from __future__ import annotations

import asyncio
import gc
import time
from typing import Any

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch import guard as guards
from litellm.responses.litellm_completion_transformation.redis_session_patch.breaker import FAILURES_TO_OPEN, Breaker
from litellm.responses.litellm_completion_transformation.redis_session_patch.guard import (
    BYTES_PER_SECOND,
    Budget,
    Guard,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.link import Link
from litellm.responses.litellm_completion_transformation.redis_session_patch.results import (
    NotStored,
    OddValue,
    StoreError,
    StoreUnavailable,
)

from .support.waiting import until

LITTLE, LONG = 0.02, 60.0  # Seconds of a budget: soon used up, and never in a test.


class Case:
    """A guard with an operation that waits until it is let go. ``reply`` is what its question does."""

    def __init__(self, places: int = 2) -> None:
        self.changes: list[bool] = []
        self.observed: list[float] = []
        self.defects: list[str] = []
        self.clients = 0
        self.questions = 0
        self.reply: Any = nothing
        breaker = Breaker(lambda is_open, _: self.changes.append(is_open))
        self.guard = Guard(breaker, LONG, self._ask, self.observed.append, self.defects.append)
        self.link = Link(self._open, places)
        self.let_go = asyncio.Event()
        self.begun = self.ended = 0

    def _open(self) -> object:
        self.clients += 1
        return object()

    async def _ask(self, _: Any) -> None:
        self.questions += 1
        await self.reply()

    async def run(self, operation: Any, seconds: float = LONG) -> Any:
        self.guard.seconds = seconds
        return await self.guard.run(self.link, None, operation)

    async def wait(self, _: Any, budget: Budget) -> str:
        self.begun += 1
        await self.let_go.wait()
        self.ended += 1
        return "done"

    async def wait_as_question(self) -> None:
        await self.let_go.wait()
        self.ended += 1

    async def fail(self, *_: Any) -> None:
        self.begun += 1
        raise StoreUnavailable("down")

    async def open(self) -> None:
        for _ in range(FAILURES_TO_OPEN):
            with pytest.raises(StoreUnavailable, match="down"):
                await self.run(self.fail)
        assert self.guard.breaker.is_open


async def nothing() -> None: ...


async def refuse() -> None:
    raise StoreUnavailable("still down")


async def work(*_: Any) -> str:
    return "done"


@pytest.fixture
async def case() -> Case:
    return Case()


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The timer asks at once, so to speak."""
    monkeypatch.setattr(guards, "ASK_AFTER_SECONDS", 0.001)


async def test_the_result_of_an_operation_is_given_and_its_time_observed(case):
    assert await case.run(work) == "done"
    assert len(case.observed) == 1 and case.changes == []


async def test_a_request_waits_no_longer_than_its_budget_and_the_operation_goes_on(case):
    with pytest.raises(StoreUnavailable, match=r"no answer within 0.02 s"):
        await case.run(case.wait, LITTLE)
    assert (case.begun, case.ended) == (1, 0)
    case.let_go.set()
    await until(lambda: case.ended == 1)


async def test_waiting_for_a_place_is_part_of_the_budget_and_what_has_none_is_given_up(case):
    holders = [asyncio.ensure_future(case.run(case.wait)) for _ in range(2)]
    await until(lambda: case.begun == 2)
    outcomes = await asyncio.gather(*(case.run(case.wait, LITTLE) for _ in range(50)), return_exceptions=True)
    assert {str(outcome) for outcome in outcomes} == {"no place was free in time"}
    case.let_go.set()
    assert await asyncio.gather(*holders) == ["done"] * 2
    assert case.begun == 2 and case.changes == []  # A crowd says nothing about Redis.
    assert await case.run(work) == "done"


async def test_all_steps_of_an_operation_share_one_budget(case):
    async def walk(_: Any, budget: Budget) -> None:
        while True:  # Each step alone is quick.
            case.begun += 1
            await asyncio.sleep(LITTLE / 10)
            if case.let_go.is_set():
                return

    with pytest.raises(StoreUnavailable, match="no answer within"):
        await case.run(walk, LITTLE)
    assert case.begun > 1
    case.let_go.set()


async def test_a_busy_event_loop_does_not_use_up_the_budget(case):
    """Redis has answered long ago where the loop comes back late."""

    async def crawl(*_: Any) -> str:
        for _ in range(5):
            time.sleep(LITTLE)
            await asyncio.sleep(0)
        return "done"

    assert await case.run(crawl, LITTLE) == "done"


async def test_while_the_loop_was_busy_nobody_has_waited_for_redis(case):
    """As where all requests of a new process make their connections by TLS: their replies come after that."""

    async def connect_and_ask(*_: Any) -> str:
        time.sleep(2 * LITTLE)
        await asyncio.sleep(LITTLE / 2)
        return "done"

    assert await asyncio.gather(*(case.run(connect_and_ask, LITTLE) for _ in range(2))) == ["done"] * 2


async def turns_waited(case: Case, seconds: float) -> int:
    """How many turns a loop makes, each longer than ``seconds``, before a request gives up what never answers."""
    loop, turns = asyncio.get_running_loop(), 0
    handle: asyncio.Handle

    def be_busy() -> None:
        nonlocal turns, handle
        turns += 1
        time.sleep(seconds)
        handle = loop.call_soon(be_busy)

    handle = loop.call_soon(be_busy)
    with pytest.raises(StoreUnavailable):
        await case.run(case.wait, seconds)
    handle.cancel()
    return turns


@pytest.mark.parametrize("places", [2, 0])
async def test_a_busy_event_loop_waits_only_some_turns_longer_for_what_never_answers(places):
    case = Case(places)
    assert 5 < await turns_waited(case, LITTLE) < 40
    case.let_go.set()


async def test_what_others_have_found_out_ends_the_wait_in_a_busy_event_loop(case):
    waiting = asyncio.ensure_future(turns_waited(case, LITTLE))
    await until(lambda: case.begun == 1)
    for _ in range(FAILURES_TO_OPEN):
        case.guard.breaker.failed("no answer")
    assert await waiting < 12
    case.let_go.set()


async def test_nothing_ticks_while_nobody_waits(case):
    with pytest.raises(StoreUnavailable):
        await case.run(case.wait, LITTLE)
    await until(lambda: case.link.free_time._next is None)
    before = case.link.free_time.seconds
    await asyncio.sleep(LITTLE)
    assert case.link.free_time.seconds == before >= LITTLE
    case.let_go.set()


async def test_the_budget_grows_with_the_bytes_to_move(case):
    async def move(_: Any, budget: Budget) -> str:
        budget.add_bytes(BYTES_PER_SECOND * 60)
        await asyncio.sleep(5 * LITTLE)
        return "moved"

    assert await case.run(move, LITTLE) == "moved"
    budget = Budget(0.5)
    budget.add_bytes(BYTES_PER_SECOND // 2)
    budget.add_bytes(BYTES_PER_SECOND // 4)
    assert budget.seconds == 1.25


@pytest.mark.parametrize("size, is_large", [(1_000, False), (BYTES_PER_SECOND // 1_000, True)])
async def test_a_late_answer_counts_only_where_little_was_to_be_moved(case, size, is_large):
    async def move(_: Any, budget: Budget) -> None:
        budget.add_bytes(size)
        await case.wait(_, budget)

    for _ in range(FAILURES_TO_OPEN):
        with pytest.raises(StoreUnavailable):
            await case.run(move, LITTLE)
        case.let_go.set()
        await until(lambda: case.begun == case.ended)
        case.let_go.clear()
    # What ended well after all says so, where it was not judged before.
    assert case.guard.breaker.is_open is not is_large


@pytest.mark.parametrize("error", [NotStored("too long"), OddValue("a list")], ids=repr)
async def test_what_is_wrong_with_one_value_never_opens_the_breaker(case, error):
    async def refuse(*_: Any) -> None:
        raise error

    for _ in range(3 * FAILURES_TO_OPEN):
        with pytest.raises(type(error)):
            await case.run(refuse)
    assert case.changes == [] and await case.run(work) == "done"


async def test_a_defect_of_ours_is_reported_and_never_opens_the_breaker(case):
    async def broken(*_: Any) -> None:
        {}["a private text"]

    for _ in range(2 * FAILURES_TO_OPEN):
        with pytest.raises(StoreUnavailable, match=r"^KeyError$"):  # without the text, which may be a message's
            await case.run(broken)
    assert case.changes == [] and [type(each) for each in case.defects] == [KeyError] * 2 * FAILURES_TO_OPEN


async def test_an_open_breaker_costs_nothing(case):
    await case.open()
    before, clients = case.begun, case.clients
    for _ in range(100):
        with pytest.raises(StoreUnavailable, match="asked again soon"):
            await case.run(case.wait)
    assert (case.begun, case.clients) == (before, clients)


async def test_a_timer_asks_while_it_is_open_and_an_answer_closes_it(case, soon):
    await case.open()
    await until(lambda: not case.guard.breaker.is_open)
    assert (case.questions, case.changes) == (1, [True, False])
    assert await case.run(work) == "done"
    assert len(case.observed) == 1  # No request waited for the question.


async def test_it_is_asked_again_until_there_is_an_answer_and_then_no_more(case, soon):
    case.reply = refuse
    await case.open()
    await until(lambda: case.questions == 5)
    assert case.changes == [True]
    case.reply = nothing
    await until(lambda: not case.guard.breaker.is_open)
    await until(lambda: not case.guard._running)
    assert not case.guard._asking


async def test_no_request_is_a_question(case, soon):
    case.reply = refuse
    await case.open()
    before = case.begun
    for number in range(3):
        await until(lambda number=number: case.questions > number)
        with pytest.raises(StoreUnavailable):
            await case.run(case.wait)
    assert case.begun == before


async def test_many_requests_do_not_make_it_ask_more_often(case, soon):
    case.reply = case.let_go.wait
    await case.open()
    for _ in range(100):
        with pytest.raises(StoreUnavailable):
            await case.run(work)
    await until(lambda: case.questions)
    await asyncio.sleep(0)
    assert case.questions == 1


async def test_a_question_without_an_answer_has_an_end_and_another_follows(case, soon):
    """But it goes on for a while, so that a slow connection gets made."""
    case.reply = case.wait_as_question
    await case.open()
    before = case.ended
    case.guard.seconds = LITTLE
    await until(lambda: case.questions == 3)
    assert case.changes == [True]
    case.let_go.set()
    await until(lambda: not case.guard.breaker.is_open)
    assert case.ended >= before + 3


async def test_questions_that_hang_end_with_the_first_answer(case, soon):
    case.reply = case.let_go.wait
    await case.open()
    case.guard.seconds = LITTLE
    await until(lambda: case.questions == 3)
    case.reply = nothing
    await until(lambda: not case.guard.breaker.is_open)
    await until(lambda: not case.guard._running, seconds=guards._GO_ON_SECONDS / 2)


async def test_a_question_that_fails_by_a_defect_of_ours_is_asked_again(case, soon):
    async def broken() -> None:
        raise KeyError("a private text")

    case.reply = broken
    await case.open()
    await until(lambda: case.questions == 3)
    assert {type(each) for each in case.defects} == {KeyError}
    case.reply = nothing
    await until(lambda: not case.guard.breaker.is_open)


async def test_what_redis_never_answers_has_no_place_any_more_when_it_answers(soon):
    """Nor does its end count as failures of the Redis that is back."""
    case = Case(places=FAILURES_TO_OPEN)
    case.reply = refuse
    abandoned = [asyncio.ensure_future(case.run(case.wait)) for _ in range(FAILURES_TO_OPEN)]
    await until(lambda: case.begun == FAILURES_TO_OPEN)
    for each in abandoned:
        each.cancel()
    assert case.link.places.locked()
    for _ in range(FAILURES_TO_OPEN):
        case.guard._judge(case.link, Budget(LONG), "no answer")
    await until(lambda: case.questions == 2)
    case.reply = nothing
    await until(lambda: not case.guard.breaker.is_open)
    await until(lambda: not case.link.places.locked(), seconds=guards._GO_ON_SECONDS / 2)
    assert case.changes == [True, False] and case.ended == 0
    assert await case.run(work) == "done"


async def test_a_guard_that_is_not_used_any_more_asks_no_more(case, soon):
    case.reply = refuse
    await case.open()
    await until(lambda: case.questions == 2)
    case.guard.is_used = False
    await until(lambda: not case.guard._asking)
    with pytest.raises(StoreUnavailable):
        await case.run(work)
    assert not case.guard._asking and not case.guard._running


def test_a_breaker_that_opened_in_a_loop_that_has_ended_closes_in_another(soon):
    case = asyncio.run(opened_case())

    async def find_it_closed() -> str:
        case.link = Link(case._open, 2)
        with pytest.raises(StoreUnavailable):  # Nobody could ask meanwhile.
            await case.run(work)
        await until(lambda: not case.guard.breaker.is_open)
        return await case.run(work)

    assert asyncio.run(find_it_closed()) == "done"


async def opened_case() -> Case:
    case = Case()
    case.reply = refuse
    await case.open()
    await until(lambda: case.questions == 2)
    case.reply = nothing
    return case


async def hanging_case() -> Case:
    case = Case()
    case.reply = case.let_go.wait
    await case.open()
    return case


def clean(caplog: pytest.LogCaptureFixture) -> None:
    """Of what asyncio says of the tasks that other tests have left."""
    gc.collect()
    caplog.clear()


def test_a_loop_that_ends_before_the_timer_is_up_ends_in_silence(caplog):
    """Also one whose tasks nobody cancels."""
    clean(caplog)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(hanging_case())
    loop.close()
    gc.collect()
    assert not caplog.records


def test_a_loop_that_ends_while_redis_is_being_asked_ends_at_once_and_in_silence(caplog, soon):
    async def ask() -> float:
        case = await hanging_case()
        await until(lambda: case.questions)
        return time.monotonic()

    clean(caplog)
    began = asyncio.run(ask())
    assert time.monotonic() - began < 1 and not caplog.records


async def test_an_operation_that_never_ends_is_ended_and_its_client_replaced(case, monkeypatch):
    monkeypatch.setattr(guards, "_GO_ON_SECONDS", 0.05)
    await case.link.call(work)
    both = await asyncio.gather(*(case.run(case.wait, LITTLE) for _ in range(2)), return_exceptions=True)
    assert [str(each)[:16] for each in both] == ["no answer within"] * 2
    await until(lambda: not case.guard._running)
    assert not case.link.places.locked() and case.ended == 0
    await case.link.call(work)
    assert case.clients == 2


async def test_an_operation_whose_client_left_is_ended_in_the_end_too(case, monkeypatch):
    monkeypatch.setattr(guards, "_GO_ON_SECONDS", 0.05)
    request = asyncio.ensure_future(case.run(case.wait))
    await until(lambda: case.begun == 1)
    request.cancel()
    await until(lambda: not case.guard._running)
    assert case.ended == 0 and case.guard.breaker.last_reason == "no answer at all"


async def test_one_operation_is_judged_once(case, monkeypatch):
    """It gave up, and later it ended too: one failure, not two."""
    monkeypatch.setattr(guards, "_GO_ON_SECONDS", 0.05)
    for _ in range(FAILURES_TO_OPEN - 1):
        with pytest.raises(StoreUnavailable):
            await case.run(case.wait, LITTLE)
    await until(lambda: not case.guard._running)
    assert case.changes == []
    with pytest.raises(StoreUnavailable):
        await case.run(case.wait, LITTLE)
    assert case.changes == [True]


async def test_a_request_that_is_cancelled_leaves_its_operation_at_work(case):
    request = asyncio.ensure_future(case.run(case.wait))
    await until(lambda: case.begun == 1)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    case.let_go.set()
    await until(lambda: case.ended == 1)
    assert case.changes == [] and await case.run(work) == "done"


async def test_errors_that_nobody_waits_for_any_more_are_not_logged(case):
    async def late(_: Any, budget: Budget) -> None:
        await case.let_go.wait()
        raise StoreError("a private text")

    seen = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: seen.append(context))
    with pytest.raises(StoreUnavailable):
        await case.run(late, LITTLE)
    case.let_go.set()
    await until(lambda: not case.guard._running)
    gc.collect()  # Which is when asyncio says that nobody asked for a task's exception.
    assert seen == []
