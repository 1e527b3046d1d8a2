"""Many follow-ups of one response, at once and late, on several proxies: each sees its ancestors and nothing else."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest

from lab.client import AsyncResponsesClient
from lab.lines import HttpLine, Manner
from lab.player import Player, Turn
from lab.provider import Provider
from lab.proxy import Proxy

from .sizes import LONG, MANNERS

AT_ONCE = 30
TREES = 200 if LONG else 20
NODES = 8


@dataclass(frozen=True)
class Play:
    clients: list[AsyncResponsesClient]
    provider: Provider
    tags: Iterator[int]

    async def follow(self, parent: Turn | None, said: str, manner: Manner, client: int) -> Turn:
        """Asks, and checks what the provider was sent for it."""
        line = HttpLine(self.clients[client % len(self.clients)], manner)
        turn = await Player(line, self.provider, self.tags).say({"role": "user", "content": said}, after=parent)
        assert turn.is_whole, turn.report
        return turn


@pytest.fixture
async def play(two_proxies: list[Proxy], provider: Provider, next_tag: Iterator[int]) -> AsyncIterator[Play]:
    async with AsyncExitStack() as stack:
        clients = [AsyncResponsesClient(proxy.url, proxy.key) for proxy in two_proxies]
        yield Play([await stack.enter_async_context(client) for client in clients], provider, next_tag)


async def test_concurrent_follow_ups_on_two_proxies_each_see_their_own_branch(play: Play, manner: Manner) -> None:
    first = await play.follow(None, "root", manner, 0)
    branches = await asyncio.gather(
        *(play.follow(first, f"branch {number}", manner, number) for number in range(AT_ONCE))
    )
    leaves = await asyncio.gather(
        *(play.follow(branch, f"leaf {number}", manner, number + 1) for number, branch in enumerate(branches))
    )
    assert len({node.id for node in (first, *branches, *leaves)}) == 1 + 2 * AT_ONCE


async def test_a_late_follow_up_sees_only_its_own_ancestors(play: Play, manner: Manner) -> None:
    nodes: list[Turn | None] = [None]
    for number in range(6):
        nodes.append(await play.follow(nodes[-1], f"turn {number}", manner, number))
    for number, node in enumerate(nodes[1:]):
        late = await play.follow(node, f"late {number}", manner, number)
        await play.follow(late, f"later {number}", manner, number)


async def test_in_random_trees_every_request_holds_its_ancestors_only(play: Play) -> None:
    await asyncio.gather(*(grow(play, seed) for seed in range(TREES)))


async def grow(play: Play, seed: int) -> None:
    """A tree whose nodes change model, form and proxy, as they like."""
    chance = random.Random(seed)
    nodes = [await play.follow(None, f"tree {seed}", chance.choice(MANNERS), seed)]
    while len(nodes) < NODES:
        parents = [chance.choice(nodes) for _ in range(chance.randint(1, 3))]
        nodes += await asyncio.gather(
            *(
                play.follow(
                    parent, f"tree {seed}, node {len(nodes)}.{index}", chance.choice(MANNERS), chance.randrange(2)
                )
                for index, parent in enumerate(parents)
            )
        )
