"""The breaker, on a clock of its own."""

from __future__ import annotations

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.breaker import (
    FAILURES_TO_OPEN,
    PROBE_AFTER_SECONDS,
    Breaker,
)


class Case:
    def __init__(self) -> None:
        self.now = 100.0
        self.changes: list[tuple[bool, str]] = []
        self.breaker = Breaker(lambda: self.now, lambda is_open, reason: self.changes.append((is_open, reason)))

    def fail(self, times: int) -> None:
        for number in range(times):
            self.breaker.failed(f"failure {number + 1}")


@pytest.fixture
def case() -> Case:
    return Case()


@pytest.fixture
def opened(case: Case) -> Case:
    case.fail(FAILURES_TO_OPEN)
    return case


def test_a_few_failures_change_nothing(case):
    case.fail(FAILURES_TO_OPEN - 1)
    assert case.breaker.allows() and case.changes == []


def test_failures_in_a_row_open_it(opened):
    assert not opened.breaker.allows()
    assert opened.changes == [(True, f"failure {FAILURES_TO_OPEN}")]


def test_a_success_between_failures_starts_the_count_anew(case):
    case.fail(FAILURES_TO_OPEN - 1)
    case.breaker.succeeded()
    case.fail(FAILURES_TO_OPEN - 1)
    assert case.breaker.allows() and case.changes == []


def test_more_failures_are_not_another_change(opened):
    opened.fail(5)
    assert len(opened.changes) == 1


def test_before_the_time_is_up_nothing_goes_through(opened):
    opened.now += PROBE_AFTER_SECONDS - 0.1
    assert not opened.breaker.allows()


def test_then_one_probe_goes_through_while_the_others_wait(opened):
    opened.now += PROBE_AFTER_SECONDS
    assert [opened.breaker.allows() for _ in range(4)] == [True, False, False, False]


def test_a_failed_probe_is_followed_by_another_after_the_same_time(opened):
    opened.now += PROBE_AFTER_SECONDS
    assert opened.breaker.allows()
    opened.breaker.failed("still down")
    assert not opened.breaker.allows()
    opened.now += PROBE_AFTER_SECONDS
    assert opened.breaker.allows()
    assert len(opened.changes) == 1


def test_a_probe_that_never_tells_does_not_end_probing(opened):
    for _ in range(3):
        opened.now += PROBE_AFTER_SECONDS
        assert opened.breaker.allows()


def test_a_successful_probe_closes_it_and_says_so_once(opened):
    opened.now += PROBE_AFTER_SECONDS
    assert opened.breaker.allows()
    opened.breaker.succeeded()
    opened.breaker.succeeded()
    assert all(opened.breaker.allows() for _ in range(4))
    assert [is_open for is_open, _ in opened.changes] == [True, False]


def test_after_closing_it_takes_as_many_failures_again(opened):
    opened.breaker.succeeded()
    opened.fail(FAILURES_TO_OPEN - 1)
    assert opened.breaker.allows()
    opened.fail(1)
    assert not opened.breaker.allows()
    assert [is_open for is_open, _ in opened.changes] == [True, False, True]
