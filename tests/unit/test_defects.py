"""What fails of ours fails no request: it is counted, logged once a minute without a text of it, and passed by."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch import defects
from litellm.responses.litellm_completion_transformation.redis_session_patch.connection import Connection
from litellm.responses.litellm_completion_transformation.redis_session_patch.defects import (
    around,
    safely,
    safely_await,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.refusals import (
    refuse_for_now,
    refuse_unknown_response,
)

PRIVATE = KeyError("a private text")


def failing(*_: Any) -> Any:
    raise PRIVATE


async def failing_later(*_: Any) -> Any:
    raise PRIVATE


async def result_of(value: Any) -> Any:
    return value


class Upstream:
    """LiteLLM's own step; ``times``: how often it was done. An exception is raised, anything else is its result."""

    def __init__(self, end: Any = "upstream's"):
        self.end, self.times = end, 0

    async def __call__(self) -> Any:
        self.times += 1
        if isinstance(self.end, BaseException):
            raise self.end
        return self.end


def test_what_works_is_as_if_nothing_stood_around_it():
    assert safely(lambda a, b: a + b, 1, 2, otherwise=0) == 3 and defects.counted() == 0


async def test_what_works_later_is_as_if_nothing_stood_around_it():
    assert await safely_await(result_of, 3, otherwise=0) == 3 and defects.counted() == 0


async def test_what_fails_is_counted_and_something_else_comes_of_it():
    assert safely(failing, 1, otherwise="else") == "else"
    assert await safely_await(failing_later, 1, otherwise="else") == "else"
    assert defects.counted() == 2


async def test_a_function_that_gives_nothing_to_wait_for_is_a_failure_too():
    assert await safely_await(lambda: None, otherwise="else") == "else" and defects.counted() == 1


def test_of_many_one_a_minute_is_logged_and_nothing_of_what_was_said(log_lines):
    for _ in range(5):
        safely(failing, otherwise=None)
    (line,) = log_lines
    assert line.startswith("WARNING A defect of the fork (KeyError at ") and "private" not in line
    assert defects.counted() == 5


def test_each_place_that_fails_has_lines_of_its_own(log_lines):
    for _ in range(2):
        safely(failing, otherwise=None)
        safely(Connection("REDIS_URL", {"url": 7}).open, otherwise=None)
    assert len(log_lines) == 2


def test_who_else_counts_is_told_of_each(log_lines):
    told = []
    safely(failing, otherwise=None)
    defects.count_with(lambda: told.append(defects.counted()))
    for _ in range(2):
        safely(failing, otherwise=None)
    assert told == [2, 3]


def test_the_line_names_our_last_place_that_the_error_came_through(log_lines):
    safely(Connection("REDIS_URL", {"url": 7}).open, otherwise=None)
    assert " at connection.py:" in log_lines[0]


def test_an_error_that_came_through_nothing_of_ours_has_no_place():
    assert defects.place_of(ValueError()) == "an unknown place"


REFUSALS = pytest.mark.parametrize("refuse", [refuse_unknown_response, refuse_for_now])


@REFUSALS
async def test_a_refusal_goes_through_and_is_no_defect(refuse, log_lines):
    async def refuse_later(*_: Any) -> None:
        refuse("m", "groq")

    upstream = Upstream()
    with pytest.raises(Exception, match="previous response"):
        safely(refuse, "m", "groq", otherwise=None)
    with pytest.raises(Exception, match="previous response"):
        await safely_await(refuse_later, otherwise=None)
    with pytest.raises(Exception, match="previous response"):
        await around(upstream, refuse_later)
    assert (defects.counted(), log_lines, upstream.times) == (0, [], 0)


@pytest.mark.parametrize("code", ["invalid_api_key", 404, ["previous_response_not_found"], {}, None])
def test_an_error_with_another_code_is_a_defect(code):
    def fail() -> None:
        error = ValueError()
        error.code = code
        raise error

    assert safely(fail, otherwise="else") == "else" and defects.counted() == 1


@pytest.mark.parametrize("end", [asyncio.CancelledError, KeyboardInterrupt, GeneratorExit])
async def test_what_ends_the_request_ends_ours_too(end):
    def stop(*_: Any) -> None:
        raise end

    async def stop_later(*_: Any) -> None:
        raise end

    upstream = Upstream()
    with pytest.raises(end):
        safely(stop, otherwise=None)
    with pytest.raises(end):
        await safely_await(stop_later, otherwise=None)
    with pytest.raises(end):
        await around(upstream, stop_later)
    with pytest.raises(end):
        await around(Upstream(end()), lambda step: step())
    assert (defects.counted(), upstream.times) == (0, 0)


async def test_ours_may_answer_without_litellm_s_own_step():
    upstream = Upstream()
    assert await around(upstream, lambda given, step: result_of(given), "ours") == "ours"
    assert (upstream.times, defects.counted()) == (0, 0)


async def test_ours_may_make_something_of_what_litellm_s_step_returns():
    async def ours(given: str, step: Any) -> str:
        return f"{given} of {await step()}"

    upstream = Upstream()
    assert await around(upstream, ours, "more") == "more of upstream's"
    assert (upstream.times, defects.counted()) == (1, 0)


async def test_where_ours_fails_before_litellm_s_step_that_is_done_then():
    upstream = Upstream()
    assert await around(upstream, failing_later, "anything") == "upstream's"
    assert (upstream.times, defects.counted()) == (1, 1)


@pytest.mark.parametrize("end", ["upstream's", None, []])
async def test_where_ours_fails_after_litellm_s_step_that_is_not_done_again(end):
    async def ours(step: Any) -> None:
        await step()
        raise PRIVATE

    upstream = Upstream(end)
    assert await around(upstream, ours) is end
    assert (upstream.times, defects.counted()) == (1, 1)


async def test_an_error_of_litellm_s_step_is_litellm_s():
    upstream = Upstream(ValueError("upstream's"))
    with pytest.raises(ValueError) as caught:
        await around(upstream, lambda step: step())
    assert caught.value is upstream.end
    assert (upstream.times, defects.counted()) == (1, 0)


async def test_an_error_of_litellm_s_step_is_litellm_s_also_where_ours_fails_over_it():
    async def ours(step: Any) -> None:
        try:
            await step()
        except ValueError:
            raise PRIVATE from None

    upstream = Upstream(ValueError("upstream's"))
    with pytest.raises(ValueError, match="upstream's"):
        await around(upstream, ours)
    assert upstream.times == 1


async def test_where_ours_fails_before_it_litellm_s_step_may_still_fail_as_it_does():
    upstream = Upstream(ValueError("upstream's"))
    with pytest.raises(ValueError, match="upstream's"):
        await around(upstream, failing_later)
    assert (upstream.times, defects.counted()) == (1, 1)
