"""A small load of running conversations, each request judged by what the provider was sent for it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

from .answers import Answer, ToolCall
from .client import AsyncResponsesClient
from .lines import Manner, line_for, no_reply
from .player import FAILED, OF_LITELLM, Player, Turn
from .recording import ProviderState

LOOK_UP = {"type": "function", "name": "look_up", "parameters": {"type": "object", "properties": {}}}


@dataclass(frozen=True)
class Asked:
    """One request. Times are of `time.monotonic`.

    verdict: how it went, of `lab.player`.
    began: when its conversation did.
    detail: what went wrong, for a report.
    """

    started: float
    seconds: float
    verdict: str
    began: float
    turn: int  # from 0
    manner: Manner
    detail: str = ""

    @property
    def is_of_litellm(self) -> bool:
        """Whether it went wrong by that race."""
        return OF_LITELLM in self.detail

    @property
    def ended(self) -> float:
        return self.started + self.seconds


@dataclass(frozen=True)
class Plan:
    """A conversation as it will be played.

    pause_seconds: at most so long, at random, between an answer and the next message.
    padding_bytes: added to every message.
    """

    turns: int = 4
    pause_seconds: float = 0.2
    manners: tuple[Manner, ...] = (Manner(), Manner(stream=True))
    padding_bytes: int = 0


PLAN = Plan()


class Load:
    """`at_once` conversations at any time, until it is told to stop; each one is then played to its end."""

    def __init__(
        self,
        client: AsyncResponsesClient,
        provider: ProviderState,
        tags: Iterator[int],
        at_once: int = 6,
        plan: Plan = PLAN,
        seed: int = 0,
    ) -> None:
        self.asked: list[Asked] = []
        self._client, self._provider, self._tags = client, provider, tags
        self._plan, self._at_once, self._chance = plan, at_once, random.Random(seed)
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

    async def converse(self) -> None:
        """One conversation from its first turn to its last, or to one that is not as it must be."""
        began, manner = time.monotonic(), self._chance.choice(self._plan.manners)
        try:
            async with line_for(self._client, manner) as line:
                teller = Teller(Player(line, self._provider, self._tags, as_text=True), "x" * self._plan.padding_bytes)
                for number in range(self._plan.turns):
                    await asyncio.sleep(self._chance.random() * self._plan.pause_seconds)
                    started = time.monotonic()
                    turn = await teller.ask()
                    seconds, detail = time.monotonic() - started, turn.report if turn.is_bad else ""
                    self.asked.append(Asked(started, seconds, turn.verdict, began, number, manner, detail))
                    if turn.is_bad:
                        break
        except OSError as error:  # a WebSocket that does not open
            seconds = time.monotonic() - began
            self.asked.append(Asked(began, seconds, FAILED, began, 0, manner, str(no_reply(error).body)))


class Teller:
    """One conversation of ever new questions; with tools, each is a call of the model's, its result and the answer.

    After a turn that failed, the next one follows the last that did not.
    """

    def __init__(self, player: Player, padding: str = "") -> None:
        self.player = player
        self.padding = padding
        self.last: Turn | None = None

    async def ask(self, answer: Answer | None = None) -> Turn:
        """`answer`: what the model shall say."""
        number, has_tools = next(self.player.tags), self.player.line.manner.has_tools
        said = f"What about {number}?{self.padding}"
        call = next(iter(self.last.reply.calls), None) if self.last else None
        if call is not None:
            new = {"role": "tool", "tool_call_id": call["call_id"], "content": said}
        else:
            new = {"role": "user", "content": said}
            if has_tools and answer is None:
                answer = Answer(tool_calls=(ToolCall("look_up", "{}", f"call_{number}"),))
        tools = {"tools": [LOOK_UP]} if has_tools else {}
        turn = await self.player.say(new, after=self.last, answer=answer, **tools)
        if turn.messages and not turn.is_bad:
            self.last = turn.as_the_model_knows_it()
        return turn
