"""The router counts a deployment's requests, against its limits, as often as without the patch: once."""

from __future__ import annotations

from httpx import Headers

from lab.client import ResponsesClient

REQUESTS = 6
HEADER = "x-ratelimit-remaining-requests"


def ask(client: ResponsesClient, stream: bool) -> Headers:
    body = {"model": "limited-model", "input": "hello", "stream": stream}
    reply = client.http.post("/v1/responses", json=body, headers={"authorization": f"Bearer {client.key}"})
    assert reply.status_code == 200, reply.text
    return reply.headers


def remaining(client: ResponsesClient) -> int:
    """What the router says after one more request; of a stream, older releases do not say it."""
    return int(ask(client, stream=False)[HEADER])


def counted(client: ResponsesClient, stream: bool) -> int:
    """By how much the router's count grows during some requests, all in one of its minutes."""
    while True:
        before = remaining(client)
        for _ in range(REQUESTS):
            ask(client, stream)
        after = remaining(client)
        if after <= before:
            return before - after


def test_a_request_is_counted_as_often_as_by_upstream(
    stream: bool, with_patch: ResponsesClient, without_patch: ResponsesClient
) -> None:
    assert counted(with_patch, stream) == counted(without_patch, stream)
