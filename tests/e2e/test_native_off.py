"""Without the setting, models with a Responses endpoint of their own are as without the fork."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.answers import Answer
from lab.client import Reply, ResponsesClient
from lab.native_models import NATIVE, native_entries
from lab.provider import Provider
from lab.proxies import ProxyPool
from lab.proxy import ProxyOptions

from .test_inputs import TOOLS

IDS = ["resp_" + digit * 50 for digit in "12"]


@pytest.fixture
def off_and_pristine(
    proxies: ProxyPool, plain_options: ProxyOptions, pristine_tree: Path
) -> Iterator[list[ResponsesClient]]:
    options = replace(plain_options, models=tuple(native_entries(plain_options.provider_url, NATIVE)))
    clients = [
        ResponsesClient(proxy.url, proxy.key)
        for proxy in proxies.get_all([options, replace(options, tree=pristine_tree)])
    ]
    yield clients
    for client in clients:
        client.close()


def without_ids(value: Any) -> Any:
    """The proxy encrypts ids of responses anew each time."""
    if isinstance(value, dict):
        return {
            name: without_ids(each)
            for name, each in value.items()
            if name not in ("id", "previous_response_id", "created_at", "completed_at")
            or not str(value.get("object", "")).startswith("response")
        }
    return [without_ids(each) for each in value] if isinstance(value, list) else value


def shown(reply: Reply) -> Any:
    return [reply.status, without_ids(reply.body), without_ids(list(reply.events))]


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_requests_and_replies_are_those_of_upstream(
    stream: bool, off_and_pristine: list[ResponsesClient], provider: Provider
) -> None:
    seen, replies = [], []
    for client in off_and_pristine:
        provider.clear()
        provider.script(*(Answer(f"answer {number}", thinking="hm", id=each) for number, each in enumerate(IDS)))
        first = client.responses(NATIVE, [{"role": "user", "content": "hello"}], stream=stream, instructions="Be kind.")
        second = client.responses(NATIVE, "and?", stream=stream, previous_response_id=first.id, tools=TOOLS)
        headers = {"authorization": f"Bearer {client.key}"}
        got = client.http.get(f"/v1/responses/{second.id}", headers=headers)
        items = client.http.get(f"/v1/responses/{second.id}/input_items", headers=headers)
        gone = client.http.delete(f"/v1/responses/{second.id}", headers=headers)
        seen.append([(request.path, request.headers, request.body) for request in provider.requests()])
        replies.append(
            [shown(first), shown(second), without_ids(got.json()), without_ids(items.json()), gone.status_code]
        )
    assert len(seen[0]) == 2 and seen[0] == seen[1]
    assert replies[0] == replies[1]
