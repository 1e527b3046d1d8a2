"""What a soak says of requests, also where LiteLLM's own crash ended its proxy."""

from __future__ import annotations

import signal

import pytest

from bench.soak import LEAST_REQUESTS, MANNERS, result_of
from lab.load import Asked
from lab.player import FAILED, WHOLE

POINTS = [{"second": float(second), "proxy_mb": 400.0} for second in range(11)]


def asked(verdict: str, ended: float) -> Asked:
    return Asked(ended - 0.1, 0.1, verdict, 0.0, 1, MANNERS[0])


def bad_of(*others: Asked, requests: int = LEAST_REQUESTS, exit_code: int | None = None) -> list[str]:
    good = [asked(WHOLE, 5.0)] * requests
    return result_of([*good, *others], [], POINTS, 0.0, [], exit_code)["bad"]


@pytest.mark.parametrize(
    "exit_code, is_bad",
    [(-signal.SIGSEGV, False), (-signal.SIGKILL, True), (-signal.SIGABRT, True), (1, True), (None, True)],
)
def test_what_fails_after_litellm_s_own_crash_is_not_judged(exit_code: int | None, is_bad: bool) -> None:
    assert bool(bad_of(asked(FAILED, 10.5), exit_code=exit_code)) is is_bad


def test_what_failed_before_the_crash_is_judged() -> None:
    (problem,) = bad_of(asked(FAILED, 9.5), exit_code=-signal.SIGSEGV)
    assert "9.4 s" in problem and "failed" in problem


def test_too_few_requests_say_nothing() -> None:
    assert bad_of() == []
    (problem,) = bad_of(requests=LEAST_REQUESTS - 1)
    assert "299 requests say nothing" in problem
