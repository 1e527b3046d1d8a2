"""Lines that many requests cause are rare."""

from __future__ import annotations

import logging

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.defects import (
    SECONDS_BETWEEN_LINES,
    RareLog,
)


class Case:
    def __init__(self) -> None:
        self.now = 100.0
        self.lines: list[str] = []
        logger = logging.Logger("rare")
        handler = logging.Handler()
        handler.emit = lambda record: self.lines.append(f"{record.levelname} {record.getMessage()}")
        logger.addHandler(handler)
        self.log = RareLog(logger, lambda: self.now)


@pytest.fixture
def case() -> Case:
    return Case()


def test_the_first_of_a_kind_is_logged_at_once(case: Case) -> None:
    case.log.warn("unreadable", "A value is unreadable.")
    assert case.lines == ["WARNING A value is unreadable."]


def test_a_line_is_the_module_s_that_warns(caplog: pytest.LogCaptureFixture) -> None:
    """Else each would look like a defect, by the name of the module that logs them."""
    RareLog(logging.getLogger("rare")).warn("unreadable", "A value is unreadable.")
    assert [record.filename for record in caplog.records] == ["test_rare_log.py"]


def test_others_of_its_kind_are_silent_for_a_minute(case: Case) -> None:
    for seconds in (0, 1, SECONDS_BETWEEN_LINES - 1.5):
        case.now += seconds
        case.log.warn("unreadable", "A value is unreadable.")
    assert len(case.lines) == 1


def test_the_next_line_says_how_many_had_none(case: Case) -> None:
    for _ in range(8):
        case.log.warn("unreadable", "A value is unreadable.")
    case.now += SECONDS_BETWEEN_LINES
    case.log.warn("unreadable", "A value is unreadable.")
    case.now += SECONDS_BETWEEN_LINES
    case.log.warn("unreadable", "A value is unreadable.")
    assert case.lines == [
        "WARNING A value is unreadable.",
        "WARNING A value is unreadable. (7 more of this kind since the last such line.)",
        "WARNING A value is unreadable.",
    ]


def test_kinds_do_not_silence_each_other(case: Case) -> None:
    case.log.warn("unreadable", "A value is unreadable.")
    case.log.warn("denied", "A read is denied.")
    assert len(case.lines) == 2


def test_a_message_is_no_format(case: Case) -> None:
    case.log.warn("denied", "100 %s of it")
    assert case.lines == ["WARNING 100 %s of it"]
