"""A small load of running conversations, each request judged by what the provider was sent for it.

What the model saw is the conversation: a follow-up is *whole* when the provider got all that the model saw before,
*lost* when it got the new message alone, and *wrong* when it got anything else.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .answers import Answer, ToolCall
from .client import AsyncResponsesClient, Reply
from .lines import Line, Manner, line_for, no_reply
from .proxy import FORMAT_OF_MODEL
from .recording import ProviderState
from .wire import Call, Conversation, Message, Result, canonical_json, tidy

FIRST, WHOLE, LOST, WRONG, FAILED = "first", "whole", "lost", "wrong", "failed"
# Upstream's answer to a result whose call it has not got, for Gemini, which cannot be sent one.
NO_CALL = "Missing corresponding tool call"
LOOK_UP = {"type": "function", "name": "look_up", "parameters": {"type": "object", "properties": {}}}


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
    manner: Manner
    detail: str = ""

    @property
    def ended(self) -> float:
        return self.started + self.seconds


@dataclass(frozen=True)
class Talk:
    """A conversation as it will be played.

    pause_seconds: at most so long, at random, between an answer and the next message.
    padding_bytes: added to every message.
    """

    turns: int = 4
    pause_seconds: float = 0.2
    manners: tuple[Manner, ...] = (Manner(), Manner(form="stream"))
    padding_bytes: int = 0


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

    async def converse(self) -> None:
        """One conversation from its first turn to its last, or to one that is not as it must be."""
        began, manner = time.monotonic(), self._chance.choice(self._talk.manners)
        try:
            async with line_for(self._client, manner) as line:
                teller = Teller(line, manner, self._provider, "x" * self._talk.padding_bytes)
                for turn in range(self._talk.turns):
                    await asyncio.sleep(self._chance.random() * self._talk.pause_seconds)
                    asked = await self._ask(teller, began, turn)
                    self.asked.append(asked)
                    if asked.verdict in (FAILED, WRONG):
                        break
        except OSError as error:  # a WebSocket that does not open
            seconds = time.monotonic() - began
            self.asked.append(Asked(began, seconds, FAILED, began, 0, manner, str(no_reply(error).body)))

    async def _ask(self, teller: Teller, began: float, turn: int) -> Asked:
        started = time.monotonic()
        verdict, detail = await teller.ask(next(self._tags))
        return Asked(started, time.monotonic() - started, verdict, began, turn, teller.manner, detail)


class Teller:
    """A client that knows what it and the model have said, and judges each turn by it.

    After a turn that failed, the next one follows the last that did not.
    """

    def __init__(self, line: Line, manner: Manner, provider: ProviderState, padding: str = "") -> None:
        self.manner = manner
        self.seen: Conversation = ()  # by the model, its answers included
        self.reply: Reply | None = None
        self.line = line
        self._provider = provider
        self.padding = padding

    async def ask(self, tag: int) -> tuple[str, str]:
        """The verdict and, where it is a bad one, why."""
        call = self._open_call()
        said = f"What about {tag}?{self.padding}"
        if call is not None:
            sent: Any = [{"type": "function_call_output", "call_id": call["call_id"], "output": said}]
            new = Message("tool", results=(Result(said, call["call_id"]),))
        else:
            sent, new = said, Message("user", (said,))
            if self.manner.has_tools:
                self._provider.script(Answer("", (ToolCall("look_up", "{}", f"call_{tag}"),)), tag=tag)
        tools = {"tools": [LOOK_UP]} if self.manner.has_tools else {}
        reply = await self.line.ask(sent, tag, self.reply.id if self.reply else None, **tools)
        received = self._provider.take(tag)
        verdict, detail = self._judge(reply, new, [each.conversation for each in received])
        if verdict not in (FAILED, WRONG) and received:
            self.reply, self.seen = reply, (*received[-1].conversation, answered_by(reply))
        return verdict, detail

    def _open_call(self) -> dict | None:
        return next(iter(self.reply.calls), None) if self.reply else None

    def _judge(self, reply: Reply, new: Message, received: Sequence[Conversation]) -> tuple[str, str]:
        if self.seen and new.results and not received and NO_CALL in str(reply.body):
            return LOST, ""
        if reply.status != 200 or reply.broken or reply.body.get("status") != "completed":
            return FAILED, f"status {reply.status}, broken {reply.broken}: {str(reply.body)[:300]}"
        if len(received) != 1:
            return WRONG, f"the provider got {len(received)} requests"
        if received[0] == self._form([*self.seen, new]):
            return WHOLE if self.seen else FIRST, ""
        # A result that is all there is: upstream may put the call before it, from its own memory.
        alone = [self._form([new]), self._form([*self.seen[-1:], new])] if new.results else [self._form([new])]
        if self.seen and received[0] in alone:
            return LOST, ""
        return WRONG, f"expected {self._form([*self.seen, new])}, the provider got {received[0]}"

    def _form(self, messages: Sequence[Message]) -> Conversation:
        return tidy(messages, ids=FORMAT_OF_MODEL[self.manner.model] != "gemini")


def answered_by(reply: Reply) -> Message:
    calls = tuple(Call(call["name"], canonical_json(call["arguments"]), call["call_id"]) for call in reply.calls)
    return replace(Message("assistant", calls=calls), texts=(reply.text,) if reply.text else ())
