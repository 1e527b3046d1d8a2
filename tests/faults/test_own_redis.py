"""With a Redis of its own for conversations, LiteLLM's counters in the other one do not notice when it is full."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from lab.client import ResponsesClient
from lab.faults import full
from lab.processes import wait_until
from lab.provider import Provider
from lab.proxy import Proxy, ProxyOptions
from lab.redis_node import Node, running_node
from lab.stored import TURNS
from lab.trees import tree
from lab.ways import OWN_URL, Way, cache

pytestmark = pytest.mark.xdist_group("own redis")

REQUESTS = 20
COUNTING_SECONDS = 20


@pytest.fixture
def nodes() -> Iterator[tuple[Node, Node]]:
    """LiteLLM's, and the one for conversations."""
    with ExitStack() as stack:
        yield stack.enter_context(running_node()), stack.enter_context(running_node())


def count_in(node: Node, client: ResponsesClient) -> None:
    """Each of some requests is counted there, by a script of LiteLLM's, and none of them gets an error."""
    with node.client() as redis, redis.client() as probe:
        before, errors = node.door.commands[b"EVALSHA"], probe.info("stats")["total_error_replies"]
        for number in range(REQUESTS):
            assert client.responses("chat-model", f"{number}?", stream=number % 2 == 0).status == 200
        wait_until(lambda: node.door.commands[b"EVALSHA"] >= before + REQUESTS, COUNTING_SECONDS, "the counts")
        assert probe.info("stats")["total_error_replies"] == errors


def test_counters_go_on_while_conversations_find_no_room(provider: Provider, nodes: tuple[Node, Node]) -> None:
    shared, own = nodes
    way = Way("own", [own], own.client)
    options = ProxyOptions(
        provider.url,
        tree("patched"),
        {OWN_URL: f"redis://127.0.0.1:{own.door.port}/0"},
        litellm_settings=cache(host="127.0.0.1", port=shared.door.port),
    )
    with Proxy(options) as proxy, ResponsesClient(proxy.url, proxy.key) as client:
        client.responses("chat-model", "Hello.")
        count_in(shared, client)
        with own.client() as redis:
            held = len(list(redis.scan_iter(TURNS)))
            assert held > REQUESTS
            with full(way):
                count_in(shared, client)
                assert len(list(redis.scan_iter(TURNS))) == held
        with shared.client() as redis:
            assert list(redis.scan_iter("litellm_patch:*")) == []
