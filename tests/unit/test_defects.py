"""What fails of ours fails no request: it is counted, logged once a minute without a text of it, and passed by."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.redis import defects
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.connection import Connection
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.defects import (
    safely,
    safely_await,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.refusals import (
    CANNOT_ASK,
    NOT_FOUND,
    refuse,
)

PRIVATE = KeyError("a private text")


def failing(*_: Any) -> Any:
    raise PRIVATE


async def failing_later(*_: Any) -> Any:
    raise PRIVATE


async def result_of(value: Any) -> Any:
    return value


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


def test_each_line_that_fails_has_lines_of_its_own(log_lines):
    for _ in range(2):
        safely(failing, otherwise=None)
        safely(Connection("REDIS_URL", {"url": 7}).open, 1, otherwise=None)
    assert len(log_lines) == 2


def test_who_else_counts_is_told_of_each(log_lines):
    told = []
    safely(failing, otherwise=None)
    defects.count_with(lambda: told.append(defects.counted()))
    for _ in range(2):
        safely(failing, otherwise=None)
    assert told == [2, 3]


def test_the_line_names_our_last_line_that_the_error_came_through(log_lines):
    safely(Connection("REDIS_URL", {"url": 7}).open, 1, otherwise=None)
    assert " at connection.py:" in log_lines[0]


def test_an_error_that_came_through_nothing_of_ours_has_no_line():
    assert defects.line_of(ValueError()) == "an unknown line"


REFUSALS = pytest.mark.parametrize("code", [NOT_FOUND, CANNOT_ASK])


@REFUSALS
async def test_a_refusal_goes_through_and_is_no_defect(code, log_lines):
    async def refuse_later(*_: Any) -> None:
        refuse(code, "m", "groq")

    with pytest.raises(Exception, match="previous response"):
        safely(refuse, code, "m", "groq", otherwise=None)
    with pytest.raises(Exception, match="previous response"):
        await safely_await(refuse_later, otherwise=None)
    assert (defects.counted(), log_lines) == (0, [])


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

    with pytest.raises(end):
        safely(stop, otherwise=None)
    with pytest.raises(end):
        await safely_await(stop_later, otherwise=None)
    assert defects.counted() == 0
