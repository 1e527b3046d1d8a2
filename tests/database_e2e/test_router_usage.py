"""The router counts a deployment's requests, against its limits, as often as without the patch: once."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.support.client import ResponsesClient

REQUESTS = 6
HEADER = "x-ratelimit-remaining-requests"


def remaining(client: ResponsesClient, stream: bool) -> int | None:
    """What the router says after one more request; `None` on releases that do not say it."""
    body = {"model": "limited-model", "input": "hello", "stream": stream}
    reply = client.http.post("/v1/responses", json=body, headers={"authorization": f"Bearer {client.key}"})
    assert reply.status_code == 200, reply.text
    return int(reply.headers[HEADER]) if HEADER in reply.headers else None


def counted(client: ResponsesClient, stream: bool) -> int:
    """By how much the router's count grows during some requests, all in one of its minutes."""
    while True:
        left = [remaining(client, stream) for _ in range(REQUESTS + 1)]
        if all(later <= earlier for earlier, later in pairwise(left)):
            return left[0] - left[-1]


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_is_counted_once(stream: bool, with_patch: ResponsesClient, without_patch: ResponsesClient) -> None:
    if remaining(without_patch, stream) is None:
        pytest.skip("this release does not tell what the router has counted")
    assert counted(with_patch, stream) == counted(without_patch, stream)
