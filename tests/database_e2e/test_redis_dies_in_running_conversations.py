"""Redis is killed at a random moment of many running conversations, and comes back at another."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from lab.client import AsyncResponsesClient, ResponsesClient
from lab.lines import HttpLine, Manner
from lab.player import FAILED, Player, Turn
from lab.provider import Provider
from lab.redis_server import RedisServer
from tests.e2e.sizes import LONG

from .rows import wait_for_rows
from .upstream import is_run_of

CONVERSATIONS = 500 if LONG else 60
TURNS = 4
REQUESTS_AT_ONCE = 24


@dataclass(frozen=True)
class PlayedTurn:
    tag: int
    said: tuple[str, ...]  # all of the conversation before the answer
    received: tuple[str, ...]

    @property
    def is_whole(self) -> bool:
        return self.received == self.said


@dataclass
class Outage:
    """Kills the server once some requests are answered, and starts it again some requests later."""

    server: RedisServer
    dies_after: int
    lives_after: int
    answered: int = 0

    async def count_answer(self) -> None:
        self.answered += 1
        if self.answered == self.dies_after:
            self.server.crash()
        if self.answered == self.lives_after:
            await asyncio.to_thread(self.server.start)


async def play(player: Player, outage: Outage) -> list[PlayedTurn]:
    """One conversation to its end; every request must be answered."""
    turn: Turn | None = None
    played: list[PlayedTurn] = []
    for _ in range(TURNS):
        turn = await player.say({"role": "user", "content": f"What about {next(player.tags)}?"}, after=turn)
        assert turn.verdict != FAILED and turn.reply.text and turn.exchange.request, turn.report
        said = tuple(message["content"] for message in turn.messages[:-1])
        played.append(PlayedTurn(turn.exchange.tag, said, turn.exchange.received))
        await outage.count_answer()
    return played


async def play_while_redis_dies(
    client: ResponsesClient, provider: Provider, tags: Iterator[int], server: RedisServer, seed: int
) -> list[list[PlayedTurn]]:
    """All conversations run at once; a part of their requests is under way at any time."""
    chance = random.Random(seed)
    requests = CONVERSATIONS * TURNS
    outage = Outage(server, int(chance.uniform(0.2, 0.5) * requests), int(chance.uniform(0.6, 0.8) * requests))
    print(f"seed {seed}: Redis dies after {outage.dies_after} of {requests} requests, lives after {outage.lives_after}")
    async with AsyncResponsesClient(str(client.http.base_url), client.key, REQUESTS_AT_ONCE) as running:
        manners = [Manner(stream=chance.random() < 0.5) for _ in range(CONVERSATIONS)]
        players = [Player(HttpLine(running, manner), provider, tags, as_text=True) for manner in manners]
        return await asyncio.gather(*(play(player, outage) for player in players))


@pytest.fixture
def play_all(
    provider: Provider, next_tag: Iterator[int], mortal_redis: RedisServer
) -> Callable[[ResponsesClient], list[list[PlayedTurn]]]:
    seed = random.SystemRandom().randrange(10**6)
    return lambda client: asyncio.run(play_while_redis_dies(client, provider, next_tag, mortal_redis, seed))


def report(conversations: list[list[PlayedTurn]], otherwise: str) -> None:
    """The figures of a run, for those who ask pytest to show what was printed."""
    turns = list(itertools.chain(*conversations))
    whole = sum(turn.is_whole for turn in turns)
    first = len(conversations)
    print(
        f"{first} conversations, {len(turns)} requests, 0 failed; {len(turns) - first} of them follow-ups, "
        f"{whole - first} with full history, {len(turns) - whole} {otherwise}"
    )


def test_without_a_database_every_turn_has_its_history_or_what_came_after_the_loss(
    without_database: ResponsesClient, play_all: Callable
) -> None:
    conversations = play_all(without_database)
    report(conversations, "with what came after the loss")
    turns = list(itertools.chain(*conversations))
    assert all(is_run_of(turn.received, turn.said) for turn in turns)
    assert any(turn.is_whole for turn in turns if len(turn.said) > 1)
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
    report(conversations, "with what upstream alone gives")
