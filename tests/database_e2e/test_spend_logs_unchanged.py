"""The patch leaves the spend logs as they are: the same rows, columns and values, but for ids and times.

Compared are all columns of LiteLLM_SpendLogs. Not their values: ids (request_id, session_id and ids inside the stored
request and answer), times (startTime, endTime, completionStartTime, durations, `created`), the proxy's own address,
a traceback (it names the files of the proxy's tree), the length of a request (the fork's ids are longer), and the tags
by which a test finds its rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import takewhile
from typing import Any

from lab.answers import Answer
from lab.client import ResponsesClient
from lab.provider import Provider

from .rows import Row, rows_now, wait_for_rows
from .talks import Talk

IDS_AND_TIMES = re.compile(
    r"(^|_)(id|created|startTime|endTime|completionStartTime|max_output_tokens|max_tokens)$"
    r"|duration|overhead|timing|_seconds$|_ms$|_time$|_at$|^x-ratelimit|^date$|^content-length$|response_cost_failure|^traceback$"
)
ADDRESS = re.compile(r"127\.0\.0\.1:\d+")
TIME_IN_TEXT = re.compile(r"(?<=_at=)\d+\.\d+")
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
    return TIME_IN_TEXT.sub(PLACE, ADDRESS.sub("(the proxy)", value)) if isinstance(value, str) else value


def differences(left: Any, right: Any, place: str) -> list[str]:
    """Where two comparable values differ, and how."""
    if isinstance(left, dict) and isinstance(right, dict):
        alone = left.keys() ^ right.keys()
        lines = [f"{place}.{name}: only in the {'left' if name in left else 'right'}" for name in alone]
        both = left.keys() & right.keys()
        return lines + [line for name in both for line in differences(left[name], right[name], f"{place}.{name}")]
    if isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        pairs = enumerate(zip(left, right, strict=True))
        return [line for number, pair in pairs for line in differences(*pair, f"{place}.{number}")]
    return [] if left == right else [f"{place}: {where_they_part(repr(left), repr(right))}"]


def where_they_part(left: str, right: str) -> str:
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(left, right, strict=False)))
    start = max(0, same - 40)
    return f"…{left[start:]:.200} / …{right[start:]:.200}"


def play(conversation: Talk, turns: int) -> tuple[list[tuple[str, ...]], list[Row]]:
    """Each turn after the row of the one before is there, so that upstream alone has the history too. What the
    provider received, and the rows.
    """
    received = []
    for number in range(turns):
        # New instructions later on would be sent beside the old ones by upstream before 1.100, which costs tokens.
        params = {"instructions": "Be brief."} if number == 0 else {}
        received.append(conversation.say(f"Part {number}, please.", tools=TOOLS, user="an end user", **params))
        conversation.rows()
    rows = rows_now(conversation.url, conversation.tags)
    assert len(rows) == turns  # One row a turn, no more.
    return received, rows


def test_the_same_conversation_leaves_the_same_rows(
    stream: bool,
    with_patch: ResponsesClient,
    without_patch: ResponsesClient,
    talk: Callable[..., Talk],
    upstream_continues: bool,
) -> None:
    turns = 3 if upstream_continues else 1
    played = [play(talk(client, stream), turns) for client in (with_patch, without_patch)]
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
    stream: bool,
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
        assert client.responses("chat-model", "hello", stream, tag=tag).status == 400
        wait_for_rows(shared_url, [tag])
        rows.append(rows_now(shared_url, [tag]))
    patched, pristine = rows
    assert len(patched) == len(pristine) and {row["status"] for row in patched} == {"failure"}
    found = differences(comparable(patched), comparable(pristine), "rows")
    assert not found, "\n".join(found)
