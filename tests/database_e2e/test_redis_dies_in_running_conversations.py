"""Redis is killed at a random moment of many running conversations, and comes back at another."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.e2e.sizes import LONG
from tests.support.client import AsyncResponsesClient, ResponsesClient
from tests.support.provider import Provider
from tests.support.redis_server import RedisServer

from .rows import wait_for_rows
from .talks import texts_received
from .upstream import is_run_of

CONVERSATIONS = 500 if LONG else 60
TURNS = 4
AT_ONCE = 24


@dataclass(frozen=True)
class PlayedTurn:
    tag: int
    said: tuple[str, ...]  # all of the conversation before the answer
    received: tuple[str, ...]

    @property
    def is_whole(self) -> bool:
        return self.received == self.said


async def play(
    client: AsyncResponsesClient, provider: Provider, tags: Iterator[int], chance: random.Random
) -> list[PlayedTurn]:
    """One conversation to its end; every request must be answered."""
    stream, previous, said = chance.random() < 0.5, None, ()
    played: list[PlayedTurn] = []
    for _ in range(TURNS):
        tag = next(tags)
        said += (f"What about {tag}?",)
        reply = await client.responses("chat-model", said[-1], stream, tag=tag, previous_response_id=previous)
        assert reply.status == 200 and not reply.broken, reply.body
        assert reply.text and reply.body["status"] == "completed", reply.body
        played.append(PlayedTurn(tag, said, texts_received(provider, tag)))
        said += (reply.text,)
        previous = reply.id
    return played


async def play_while_redis_dies(
    client: ResponsesClient, provider: Provider, tags: Iterator[int], server: RedisServer, seed: int
) -> list[list[PlayedTurn]]:
    chance = random.Random(seed)
    places, ended = asyncio.Semaphore(AT_ONCE), 0
    dies_after, lives_after = chance.uniform(0.2, 0.4) * CONVERSATIONS, chance.uniform(0.6, 0.8) * CONVERSATIONS
    dead = False

    async with AsyncResponsesClient(str(client.http.base_url), client.key, AT_ONCE) as running:

        async def one(number: int) -> list[PlayedTurn]:
            nonlocal ended, dead
            async with places:
                played = await play(running, provider, tags, random.Random(f"{seed}.{number}"))
            ended += 1
            if not dead and dies_after <= ended < lives_after:
                server.crash()
                dead = True
            elif dead and ended >= lives_after:
                dead = False
                await asyncio.to_thread(server.start)
            return played

        return await asyncio.gather(*(one(number) for number in range(CONVERSATIONS)))


@pytest.fixture
def play_all(
    provider: Provider, next_tag: Iterator[int], mortal_redis: RedisServer
) -> Callable[[ResponsesClient], list[list[PlayedTurn]]]:
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    return lambda client: asyncio.run(play_while_redis_dies(client, provider, next_tag, mortal_redis, seed))


def test_without_a_database_every_turn_has_its_history_or_what_came_after_the_loss(
    without_database: ResponsesClient, play_all: Callable
) -> None:
    turns = [turn for played in play_all(without_database) for turn in played]
    assert all(is_run_of(turn.received, turn.said) for turn in turns)
    assert sum(turn.is_whole for turn in turns) > len(turns) / 4
    assert not all(turn.is_whole for turn in turns)  # Redis did die.


def test_with_a_database_every_turn_has_its_history_or_what_upstream_gives(
    with_patch: ResponsesClient, play_all: Callable, shared_url: str
) -> None:
    """Upstream gives the turns whose rows have this turn's session id: a turn it found no rows for begins another."""
    conversations = play_all(with_patch)
    rows = wait_for_rows(shared_url, [turn.tag for played in conversations for turn in played])
    sessions = iter([row["session_id"] for row in rows])
    for played in conversations:
        before: list[str] = []
        for turn in played:
            session = next(sessions)
            group = [number for number, each in enumerate(before) if each == session]
            expected = [text for number in group for text in turn.said[2 * number : 2 * number + 2]]
            assert turn.is_whole or turn.received == (*expected, turn.said[-1]), (turn, before, session)
            before.append(session)
