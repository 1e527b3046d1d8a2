"""Connections that a middlebox has forgotten: what is sent on them is lost, nobody says so, and new ones are served."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from lab.asking import Asker, asking
from lab.provider import Provider
from lab.proxy import Proxy, ProxyOptions
from lab.redis_node import Node, running_node
from lab.trees import tree
from lab.troubles import NO_TROUBLE, Trouble
from lab.ways import OWN_URL

pytestmark = pytest.mark.xdist_group("silent connections")

AT_ONCE, BURSTS = 16, 8
FOLLOW_UPS = 25


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    with running_node() as node:
        yield node


@pytest.fixture(scope="module")
def silenced_proxy(running_provider: Provider, node: Node) -> Iterator[Proxy]:
    environment = {OWN_URL: f"redis://127.0.0.1:{node.door.port}/0"}
    with Proxy(ProxyOptions(running_provider.url, tree("patched"), environment)) as proxy:
        yield proxy


@pytest.fixture(params=[False, True], ids=["plain", "stream"])
def asker(request: pytest.FixtureRequest, silenced_proxy: Proxy, provider: Provider) -> Iterator[Asker]:
    with asking(silenced_proxy, provider) as asker:
        yield asker.with_manner(stream=request.param)


def open_many_connections(asker: Asker, node: Node, tags: Iterator[int]) -> None:
    """More than a burst of so many requests needs, as busy hours leave them; on a loaded machine it takes several."""
    node.door.trouble = Trouble(delay_seconds=0.05)
    together = replace(asker, tags=tags)
    with ThreadPoolExecutor(AT_ONCE) as threads:
        for _ in range(BURSTS):
            list(threads.map(together.ask, ["hello"] * 2 * AT_ONCE))
            if len(node.ask("CLIENT", "LIST").splitlines()) > AT_ONCE + 1:  # one asks
                break
    node.door.trouble = NO_TROUBLE


def test_the_first_operation_that_is_not_answered_is_the_last(
    asker: Asker, node: Node, next_tag: Iterator[int]
) -> None:
    first = asker.ask("hello")
    open_many_connections(asker, node, next_tag)
    assert node.door.silence_all() > AT_ONCE
    said = [asker.ask("And?", first).said for _ in range(FOLLOW_UPS)]
    whole = ["hello", first.reply.text, "And?"]
    assert said[1:] == [whole] * (FOLLOW_UPS - 1)
    assert said[0] in (["And?"], whole)
