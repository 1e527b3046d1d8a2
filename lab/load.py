"""A small load of running conversations, each request judged by what the provider was sent for it.

What the model saw is the conversation: a follow-up is *whole* when the provider got all that the model saw before,
*lost* when it got the new message alone, and *wrong* when it got anything else.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx

from .client import AsyncResponsesClient, Reply
from .recording import ProviderState
from .replay import Setting

FIRST, WHOLE, LOST, WRONG, FAILED = "first", "whole", "lost", "wrong", "failed"


@dataclass(frozen=True)
class Asked:
    """One request. Times are of `time.monotonic`.

    verdict: how it went, see the module's text; FIRST for the first turn of a conversation.
    began: when its conversation did.
    detail: what went wrong, for a report.
    """

    started: float
    seconds: float
    verdict: str
    began: float
    turn: int  # from 0
    stream: bool
    detail: str = ""

    @property
    def ended(self) -> float:
        return self.started + self.seconds


@dataclass(frozen=True)
class Talk:
    """A conversation as it will be played.

    pause_seconds: at most so long, at random, between an answer and the next message.
    """

    turns: int = 4
    pause_seconds: float = 0.2
    settings: tuple[Setting, ...] = (Setting("chat-model"), Setting("chat-model", stream=True))


TALK = Talk()


class Load:
    """`at_once` conversations at any time, until it is told to stop; each one is then played to its end."""

    def __init__(
        self,
        client: AsyncResponsesClient,
        provider: ProviderState,
        tags: Iterator[int],
        at_once: int = 6,
        talk: Talk = TALK,
        seed: int = 0,
    ) -> None:
        self.asked: list[Asked] = []
        self._client, self._provider, self._tags = client, provider, tags
        self._talk, self._at_once, self._chance = talk, at_once, random.Random(seed)
        self._stop = asyncio.Event()

    async def __aenter__(self) -> Load:
        self._running = [asyncio.ensure_future(self._play_on()) for _ in range(self._at_once)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        await asyncio.gather(*self._running)

    async def _play_on(self) -> None:
        while not self._stop.is_set():
            await self.converse()

    async def converse(self) -> list[Asked]:
        """One conversation from its first turn to its last, or to one that fails."""
        began, setting = time.monotonic(), self._chance.choice(self._talk.settings)
        seen: tuple[str, ...] = ()  # by the model, before the turn to come
        previous: str | None = None
        played: list[Asked] = []
        for turn in range(self._talk.turns):
            await asyncio.sleep(self._chance.random() * self._talk.pause_seconds)
            asked, seen, previous = await self._ask(began, turn, setting, seen, previous)
            played.append(asked)
            self.asked.append(asked)
            if asked.verdict in (FAILED, WRONG):
                break
        return played

    async def _ask(
        self, began: float, turn: int, setting: Setting, seen: tuple[str, ...], previous: str | None
    ) -> tuple[Asked, tuple[str, ...], str | None]:
        tag = next(self._tags)
        said = f"What about {tag}?"
        started = time.monotonic()
        reply = await ask(self._client, setting, said, tag, previous)
        seconds = time.monotonic() - started
        received = self._provider.take(tag)
        sent = tuple(text for message in received[-1].conversation for text in message.texts) if received else ()
        verdict, detail = judge(reply, seen, said, sent, len(received))
        asked = Asked(started, seconds, verdict, began, turn, setting.stream, detail)
        return asked, (*sent, reply.text), None if verdict == FAILED else reply.id


async def ask(client: AsyncResponsesClient, setting: Setting, said: str, tag: int, previous: str | None) -> Reply:
    """The reply; one that never came has status 0."""
    try:
        return await client.responses(setting.model, said, setting.stream, tag=tag, previous_response_id=previous)
    except httpx.TransportError as error:
        return Reply(0, {"error": {"message": f"{type(error).__name__}: {error}"}}, broken=True)


def judge(reply: Reply, seen: tuple[str, ...], said: str, sent: tuple[str, ...], requests: int) -> tuple[str, str]:
    """The verdict and, where it is a bad one, why."""
    if reply.status != 200 or reply.broken or reply.body.get("status") != "completed":
        return FAILED, f"status {reply.status}, broken {reply.broken}: {str(reply.body)[:300]}"
    if requests != 1:
        return WRONG, f"the provider got {requests} requests"
    if not seen:
        return (FIRST, "") if sent == (said,) else (WRONG, f"a first turn went out as {sent}")
    if sent == (*seen, said):
        return WHOLE, ""
    return (LOST, "") if sent == (said,) else (WRONG, f"expected {(*seen, said)}, the provider got {sent}")
