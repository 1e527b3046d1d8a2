"""Many follow-ups of one response, at once and late, on several proxies: each sees its ancestors and nothing else."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest

from lab.client import AsyncResponsesClient
from lab.provider import Provider
from lab.proxy import Proxy
from lab.replay import Setting

from .asking import texts_of
from .sizes import LONG, SETTINGS

AT_ONCE = 30
TREES = 200 if LONG else 20
NODES = 8


@dataclass(frozen=True)
class Node:
    """An answered turn. ``told``: all that was said up to it, the answer included."""

    response_id: str | None
    told: tuple[str, ...]


ROOT = Node(None, ())


@dataclass(frozen=True)
class Play:
    clients: list[AsyncResponsesClient]
    provider: Provider
    tags: Iterator[int]

    async def follow(self, parent: Node, said: str, setting: Setting, client: int) -> Node:
        """Asks, and checks what the provider was sent for it."""
        tag = next(self.tags)
        reply = await self.clients[client % len(self.clients)].responses(
            setting.model, said, stream=setting.stream, tag=tag, previous_response_id=parent.response_id
        )
        assert reply.status == 200, reply
        (request,) = self.provider.requests(tag=tag)
        assert texts_of(request.conversation) == [*parent.told, said]
        return Node(reply.id, (*parent.told, said, reply.text))


@pytest.fixture
async def play(two_proxies: list[Proxy], provider: Provider, next_tag: Iterator[int]) -> Play:
    async with AsyncExitStack() as stack:
        clients = [AsyncResponsesClient(proxy.url, proxy.key) for proxy in two_proxies]
        yield Play([await stack.enter_async_context(client) for client in clients], provider, next_tag)


async def test_concurrent_follow_ups_on_two_proxies_each_see_their_own_branch(play: Play, setting: Setting) -> None:
    first = await play.follow(ROOT, "root", setting, 0)
    branches = await asyncio.gather(
        *(play.follow(first, f"branch {number}", setting, number) for number in range(AT_ONCE))
    )
    leaves = await asyncio.gather(
        *(play.follow(branch, f"leaf {number}", setting, number + 1) for number, branch in enumerate(branches))
    )
    assert len({node.response_id for node in (first, *branches, *leaves)}) == 1 + 2 * AT_ONCE


async def test_a_late_follow_up_sees_only_its_own_ancestors(play: Play, setting: Setting) -> None:
    nodes = [ROOT]
    for number in range(6):
        nodes.append(await play.follow(nodes[-1], f"turn {number}", setting, number))
    for number, node in enumerate(nodes[1:]):
        late = await play.follow(node, f"late {number}", setting, number)
        await play.follow(late, f"later {number}", setting, number)


async def test_in_random_trees_every_request_holds_its_ancestors_only(play: Play) -> None:
    await asyncio.gather(*(grow(play, seed) for seed in range(TREES)))


async def grow(play: Play, seed: int) -> None:
    """A tree whose nodes change model, form and proxy, as they like."""
    chance = random.Random(seed)
    nodes = [await play.follow(ROOT, f"tree {seed}", chance.choice(SETTINGS), seed)]
    while len(nodes) < NODES:
        parents = [chance.choice(nodes) for _ in range(chance.randint(1, 3))]
        nodes += await asyncio.gather(
            *(
                play.follow(
                    parent, f"tree {seed}, node {len(nodes)}.{index}", chance.choice(SETTINGS), chance.randrange(2)
                )
                for index, parent in enumerate(parents)
            )
        )
