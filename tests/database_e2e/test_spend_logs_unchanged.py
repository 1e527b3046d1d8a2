"""The patch leaves the spend logs as they are: the same rows, columns and values, but for ids and times.

Compared are all columns of LiteLLM_SpendLogs. Not their values: ids (request_id, session_id and ids inside the stored
request and answer), times (startTime, endTime, completionStartTime, durations, `created`), the proxy's own address, and the tags by
which a test finds its rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.answers import Answer
from tests.support.client import ResponsesClient
from tests.support.provider import Provider

from .rows import rows_now, wait_for_rows
from .talks import Talk
from .upstream import Continues

IDS_AND_TIMES = re.compile(
    r"(^|_)(id|created|startTime|endTime|completionStartTime|max_output_tokens|max_tokens)$"
    r"|duration|overhead|timing|_seconds$|_ms$|_time$|_at$|^x-ratelimit|^date$|response_cost_failure"
)
ADDRESS = re.compile(r"127\.0\.0\.1:\d+")
PLACE = "(an id or a time)"
TOOLS = [{"type": "function", "name": "look_up", "parameters": {"type": "object", "properties": {}}}]


def comparable(value: Any, name: str = "") -> Any:
    """`value` without ids and times; a value that is missing stays different from one that is there."""
    if name and IDS_AND_TIMES.search(name):
        return None if value is None else PLACE
    if isinstance(value, dict):
        return {key: comparable(each, str(key)) for key, each in value.items()}
    if isinstance(value, list):
        return [comparable(each) for each in value]
    return ADDRESS.sub("(the proxy)", value) if isinstance(value, str) else value


def differences(left: Any, right: Any, place: str) -> list[str]:
    """Where two comparable values differ, and how."""
    if isinstance(left, dict) and isinstance(right, dict):
        lines = [f"{place}.{name}: only in the {'left' if name in left else 'right'}" for name in left.keys() ^ right.keys()]
        both = left.keys() & right.keys()
        return lines + [line for name in both for line in differences(left[name], right[name], f"{place}.{name}")]
    if isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        return [line for number in range(len(left)) for line in differences(left[number], right[number], f"{place}.{number}")]
    return [] if left == right else [f"{place}: {left!r:.300} / {right!r:.300}"]


def play(conversation: Talk, url: str, turns: int, params: dict) -> tuple[list[tuple[str, ...]], list[dict[str, Any]]]:
    """Each turn after the row of the one before is there, so that upstream alone has the history too. What the
    provider received, and the rows.
    """
    received = []
    for number in range(turns):
        received.append(conversation.say(f"Part {number}, please.", tools=TOOLS, user="an end user", **params))
        wait_for_rows(url, conversation.tags)
    rows = rows_now(url, conversation.tags)
    assert len(rows) == turns  # One row a turn, no more.
    return received, rows


@pytest.mark.parametrize("stream", [False, True])
def test_the_same_conversation_leaves_the_same_rows(
    stream: bool,
    with_patch: ResponsesClient,
    without_patch: ResponsesClient,
    talk: Callable[..., Talk],
    shared_url: str,
    upstream_continues: Continues,
    release: str,
) -> None:
    # Releases before 1.100 repeat the instructions of every turn in the history, which costs tokens.
    repeats_instructions = tuple(int(part) for part in release.split(".")[:2]) < (1, 100)
    params = {} if repeats_instructions else {"instructions": "Be brief."}
    turns = 3 if upstream_continues(stream) else 1
    played = [play(talk(client, stream), shared_url, turns, params) for client in (with_patch, without_patch)]
    (sent_with_it, with_it), (sent_without_it, without_it) = played
    assert sent_with_it == sent_without_it
    for patched, pristine in zip(with_it, without_it, strict=True):
        assert list(patched) == list(pristine)
        found = differences(comparable(patched), comparable(pristine), "row")
        assert not found, "\n".join(found)
    for rows in (with_it, without_it):
        assert len({row["session_id"] for row in rows}) == 1
        assert len({row["request_id"] for row in rows}) == turns


def test_a_failed_request_leaves_the_same_row(
    with_patch: ResponsesClient,
    without_patch: ResponsesClient,
    next_tag: Iterator[int],
    provider: Provider,
    shared_url: str,
) -> None:
    rows = []
    for client in (with_patch, without_patch):
        tag = next(next_tag)
        provider.script(Answer(status=400), tag=tag)
        assert client.responses("chat-model", "hello", tag=tag).status == 400
        wait_for_rows(shared_url, [tag])
        rows.append(rows_now(shared_url, [tag]))
    patched, pristine = rows
    assert [row["status"] for row in patched] == [row["status"] for row in pristine] == ["failure"] * len(pristine)
