"""The breaker: what opens it, what closes it, and what it tells."""

from __future__ import annotations

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.breaker import FAILURES_TO_OPEN, Breaker


class Case:
    def __init__(self) -> None:
        self.changes: list[tuple[bool, str]] = []
        self.breaker = Breaker(lambda is_open, reason: self.changes.append((is_open, reason)))

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
    assert not case.breaker.is_open and case.changes == []


def test_failures_in_a_row_open_it(opened):
    assert opened.breaker.is_open
    assert opened.changes == [(True, f"failure {FAILURES_TO_OPEN}")]


def test_a_success_between_failures_starts_the_count_anew(case):
    case.fail(FAILURES_TO_OPEN - 1)
    case.breaker.succeeded()
    case.fail(FAILURES_TO_OPEN - 1)
    assert not case.breaker.is_open and case.changes == []


def test_more_failures_are_not_another_change(opened):
    opened.fail(5)
    assert opened.breaker.is_open and len(opened.changes) == 1


def test_a_success_closes_it_and_says_so_once(opened):
    opened.fail(5)
    opened.breaker.succeeded()
    opened.breaker.succeeded()
    assert not opened.breaker.is_open
    assert [is_open for is_open, _ in opened.changes] == [True, False]


def test_after_closing_it_takes_as_many_failures_again(opened):
    opened.breaker.succeeded()
    opened.fail(FAILURES_TO_OPEN - 1)
    assert not opened.breaker.is_open
    opened.fail(1)
    assert [is_open for is_open, _ in opened.changes] == [True, False, True]


def test_the_last_reason_stays_known(opened):
    opened.breaker.succeeded()
    assert opened.breaker.last_reason == f"failure {FAILURES_TO_OPEN}"
