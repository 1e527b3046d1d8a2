"""Conversations turn by turn, each turn judged by what the provider was sent for it.

What the model saw is the conversation: a follow-up is *whole* when the provider got all that the model saw before,
*lost* when it got the new messages alone (and perhaps refused them), and *wrong* when it got anything else.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .answers import Answer
from .client import Reply
from .conversations import input_items_of
from .exchange import Exchange
from .lines import Line
from .proxy import FORMAT_OF_MODEL
from .recording import ProviderState
from .wire import Conversation, conversation_from_chat

FIRST, WHOLE, LOST, WRONG, FAILED = "first", "whole", "lost", "wrong", "failed"
UNFINISHED = ("in_progress", "incomplete", "failed", "cancelled")
# Upstream's answer to a result whose call it has not got, for Gemini, which cannot be sent one.
NO_CALL = "Missing corresponding tool call"

# A race of LiteLLM's own, with the fork and without: the thread that logs changes the metadata which the request goes
# through (its pull request 39869). The request ends with a 500.
OF_LITELLM = "dictionary changed size during iteration"


@dataclass(frozen=True)
class Turn:
    """One turn as it went.

    verdict: see the module's text; FIRST for the first turn of a conversation; FAILED: there was no whole answer.
    expected: what the provider was to be sent.
    messages: the conversation so far as OpenAI chat messages, the answer included and instructions left out; () when
        it failed.
    lost: so many of its first messages did not reach the model.
    """

    exchange: Exchange
    verdict: str
    expected: Conversation
    messages: tuple[dict, ...] = ()
    lost: int = 0

    @property
    def reply(self) -> Reply:
        return self.exchange.reply

    @property
    def id(self) -> str:
        return self.reply.id

    @property
    def is_whole(self) -> bool:
        return self.verdict in (FIRST, WHOLE)

    @property
    def is_bad(self) -> bool:
        return self.verdict in (FAILED, WRONG)

    @property
    def is_of_litellm(self) -> bool:
        """Whether that race has ended it."""
        return OF_LITELLM in str(self.reply.body)

    def as_the_model_knows_it(self) -> Turn:
        """To be followed by a client for which the conversation is what the model has seen."""
        return replace(self, messages=self.messages[self.lost :], lost=0)

    @property
    def problem(self) -> str:
        """In a line, what is not as it was to be."""
        if self.is_whole:
            return ""
        if self.verdict == FAILED:
            return problem_of(self.reply)
        if len(self.exchange.requests) != 1:
            return f"the provider was asked {len(self.exchange.requests)} times"
        return f"the provider got {len(self.exchange.conversation)} messages of {len(self.expected)}, or others"

    @property
    def report(self) -> str:
        """All there is to say about a turn that is not whole."""
        received = [each.conversation for each in self.exchange.requests]
        return f"{self.problem}: expected {self.expected}, the provider got {received}, the client {self.reply.body}"


@dataclass(frozen=True)
class Player:
    """A client that knows what it and the model have said.

    tags: one a request, by which the provider's side of it is found.
    whole: it sends everything itself, and follows no id (the control).
    as_text: a user's message that is sent alone goes as a string.
    """

    line: Line
    provider: ProviderState
    tags: Iterator[int]
    whole: bool = False
    as_text: bool = False

    async def say(self, *new: dict, after: Turn | None = None, answer: Answer | None = None, **params: Any) -> Turn:
        """Chat messages, none of them the model's. `answer`: see `ask`. `params`: of the request besides."""
        seen = after.messages if after else ()
        previous = after.id if after and not self.whole else None
        sent = (*seen, *new) if self.whole else new
        exchange = await self.ask(self._input_of(sent), previous, answer, **params)
        told = params.get("instructions")
        system = [{"role": "system", "content": told}] if told else []

        def form(messages: Sequence[dict]) -> Conversation:
            return conversation_from_chat([*system, *messages], FORMAT_OF_MODEL[self.line.manner.model])

        expected = form([*seen, *new])
        alone = {form([*seen, *new][lost:]): lost for lost in what_may_be_lost(seen, new)}
        verdict = verdict_on(exchange, expected, alone)
        if verdict == FAILED or not exchange.requests or exchange.was_refused:
            return Turn(exchange, verdict, expected)
        messages = (*seen, *new, answered(exchange.reply, answer))
        return Turn(exchange, verdict, expected, messages, alone[exchange.conversation] if verdict == LOST else 0)

    async def ask(
        self, input: Any, previous: str | None = None, answer: Answer | None = None, **params: Any
    ) -> Exchange:
        """Not judged. `answer`: what the model shall say; else a text that is a digest of all it was sent."""
        tag = next(self.tags)
        if answer is not None:
            self.provider.script(answer, tag=tag)
        reply = await self.line.ask(input, tag, previous, **params)
        return Exchange(input, tag, reply, tuple(self.provider.take(tag)))

    def _input_of(self, messages: Sequence[dict]) -> Any:
        only = messages[0] if len(messages) == 1 else {}
        return only["content"] if self.as_text and only.get("role") == "user" else input_items_of(messages)


def what_may_be_lost(seen: Sequence[dict], new: Sequence[dict]) -> list[int]:
    """How many messages are missing in a follow-up that finds no history. Upstream may put the call before a result,
    from its own memory.
    """
    if not seen:
        return []
    return [len(seen) - 1, len(seen)] if new[0]["role"] == "tool" else [len(seen)]


def verdict_on(exchange: Exchange, expected: Conversation, alone: Collection[Conversation]) -> str:
    """`alone`: what the provider may have been sent when the history was not found; of a first turn, nothing."""
    reply, received = exchange.reply, [each.conversation for each in exchange.requests]
    if alone and not received and NO_CALL in str(reply.body):
        return LOST
    if exchange.was_refused and len(received) == 1 and received[0] in alone:
        return LOST
    if reply.status != 200 or reply.broken or "id" not in reply.body or reply.body.get("status") in UNFINISHED:
        return FAILED
    if received == [expected]:
        return WHOLE if alone else FIRST
    return LOST if len(received) == 1 and received[0] in alone else WRONG


def answered(reply: Reply, answer: Answer | None) -> dict:
    """As a chat message, what the model said, with the ids of calls that the client got: formats without ids have
    invented ones. Without `answer`, the reply is believed.
    """
    said, calls = reply.text, [(call["name"], call["arguments"]) for call in reply.calls]
    if answer is not None:
        said, calls = answer.text, [(call.name, call.arguments) for call in answer.tool_calls]
    ids = dict(enumerate(call["call_id"] for call in reply.calls))
    called = [
        {"id": ids.get(number), "type": "function", "function": {"name": name, "arguments": arguments}}
        for number, (name, arguments) in enumerate(calls)
    ]
    return {"role": "assistant", "content": said or None, **({"tool_calls": called} if called else {})}


def problem_of(reply: Reply) -> str:
    error = reply.body.get("error") or reply.body
    text = error.get("message") if isinstance(error, dict) else error
    said = " ".join(str(text).partition("Traceback (most")[0].split())  # what follows has paths of this machine
    return f"HTTP {reply.status}: {said[:160]}"
