"""What the fork is for, on every way to Redis: whole, exact and for the owner alone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from lab.answers import Answer
from lab.asking import Asker
from lab.client import AsyncResponsesClient
from lab.conversations import generated_dialogue, generated_trajectory
from lab.custom_auth import bearer
from lab.lines import HttpLine, Manner
from lab.player import Player, Turn
from lab.provider import Provider
from lab.proxy import Proxy
from lab.replay import check_exact, play_all
from lab.ways import Way
from tests.e2e.checks import check_is_unknown, check_remembers, marker
from tests.e2e.sizes import LONG, MANNERS

DIALOGUES, TRAJECTORIES, TURNS = (120, 60, 6) if LONG else (12, 6, 4)
BRANCHES = 60 if LONG else 12
ALICE, BOB = bearer(key="k1", user="alice"), bearer(key="k2", user="bob")


def test_conversations_of_every_format_plain_and_streamed_are_exact(
    proxy: Proxy, provider: Provider, next_tag: Iterator[int]
) -> None:
    conversations = [generated_dialogue(seed, TURNS) for seed in range(DIALOGUES)]
    conversations += [generated_trajectory(seed, TURNS) for seed in range(TRAJECTORIES)]
    played = asyncio.run(play_all(proxy.url, proxy.key, provider, conversations, MANNERS, next_tag))
    check_exact(played, conversations)


async def test_branches_at_once_each_see_their_own_ancestors(
    proxy: Proxy, provider: Provider, next_tag: Iterator[int]
) -> None:
    async with AsyncResponsesClient(proxy.url, proxy.key) as client:
        players = [Player(HttpLine(client, Manner(stream=stream)), provider, next_tag) for stream in (False, True)]

        async def follow(parent: Turn | None, said: str, number: int) -> Turn:
            turn = await players[number % 2].say({"role": "user", "content": said}, after=parent)
            assert turn.is_whole, turn.report
            return turn

        parents = [await follow(None, "root", 0)]
        for level in range(3):
            tasks = [follow(parents[n % len(parents)], f"{level}.{n}", n) for n in range(BRANCHES)]
            parents = await asyncio.gather(*tasks)
        assert len({each.id for each in parents}) == BRANCHES


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_ids_that_the_provider_repeats_are_conversations_of_their_own(stream: bool, asker: Asker) -> None:
    asker = asker.with_manner(stream=stream)
    repeated = f"chatcmpl-{marker()}"
    asker.provider.always(Answer("yes", id=repeated))
    firsts = [(text := marker(), asker.ask(text)) for _ in range(4)]
    for text, first in firsts:
        second = check_remembers(asker, first, [text])
        assert asker.ask("And?", second).said == [text, "yes", "And then?", "yes", "And?"]
    assert len({first.id for _, first in firsts}) == len(firsts)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_the_owner_alone_is_served(stream: bool, asker: Asker) -> None:
    alice, bob = (asker.as_key(key).with_manner(stream=stream) for key in (ALICE, BOB))
    secret = marker()
    first = alice.ask(secret)
    assert bob.ask("What?", first).said == ["What?"]
    check_remembers(alice, first, [secret])


def test_what_is_not_to_be_stored_is_not(asker: Asker) -> None:
    check_is_unknown(asker, asker.ask(marker(), store=False).id)


def test_all_that_is_stored_has_an_end_of_life(asker: Asker, way: Way) -> None:
    first = asker.ask(marker())
    asker.with_manner(stream=True).ask("And?", first)
    with way.client() as client:
        keys = list(client.scan_iter("*litellm_patch:*", count=1_000))
        assert keys
        assert [key for key in keys if client.ttl(key) == -1] == []  # -2: it has ended meanwhile
