"""Plays conversations through a proxy and compares what the provider received with the recorded
history.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from .client import AsyncResponsesClient, Reply
from .conversations import ChatConversation, Turn, answer_of, input_items_of
from .proxy import FORMAT_OF_MODEL
from .recording import ProviderState
from .wire import Conversation, conversation_from_chat


@dataclass(frozen=True)
class Played:
    """One turn as it went. `received` is None when the provider got no request for it."""

    conversation_id: str
    number: int  # from 0
    status: int
    expected: Conversation
    received: Conversation | None

    @property
    def is_exact(self) -> bool:
        return self.status == 200 and self.received == self.expected


@dataclass(frozen=True)
class Setting:
    """How to play. `whole`: the client sends everything itself and no `previous_response_id` (the
    oracle).
    """

    model: str
    stream: bool = False
    whole: bool = False


async def play(
    client: AsyncResponsesClient,
    provider: ProviderState,
    conversation: ChatConversation,
    setting: Setting,
    tags: Iterator[int],
) -> list[Played]:
    """All turns, each sent the moment the one before has been answered; stops at a reply other than
    200.
    """
    played: list[Played] = []
    previous: str | None = None
    renamed: dict[str, str] = {}
    for number, turn in enumerate(conversation.turns):
        tag = next(tags)
        provider.script(answer_of(turn.answered), tag=tag)
        reply = await client.responses(
            setting.model,
            input_items_of(
                tuple(m for m in turn.history if m["role"] != "system") if setting.whole else turn.sent,
                renamed,
            ),
            stream=setting.stream,
            tag=tag,
            instructions=conversation.instructions,
            tools=conversation.tools or None,
            previous_response_id=None if setting.whole else previous,
        )
        got = provider.requests(tag=tag)
        expected = conversation_from_chat(rename_calls(turn.history, renamed), FORMAT_OF_MODEL[setting.model])
        received = got[-1].conversation if got else None
        played.append(Played(conversation.id, number, reply.status, expected, received))
        if reply.status != 200:
            break
        previous = reply.id
        renamed.update(new_call_ids(turn, reply))
    return played


def new_call_ids(turn: Turn, reply: Reply) -> dict[str, str]:
    """Recorded call id to the client's: formats without ids (Gemini) get invented ones from
    LiteLLM.
    """
    recorded = [call["id"] for call in turn.answered.get("tool_calls") or ()]
    return dict(zip(recorded, [call["call_id"] for call in reply.calls], strict=False))


def rename_calls(messages: Iterable[dict], renamed: dict[str, str]) -> list[dict]:
    result = []
    for message in messages:
        if message["role"] == "tool":
            message = {
                **message,
                "tool_call_id": renamed.get(message["tool_call_id"], message["tool_call_id"]),
            }
        elif message.get("tool_calls"):
            calls = [{**call, "id": renamed.get(call["id"], call["id"])} for call in message["tool_calls"]]
            message = {**message, "tool_calls": calls}
        result.append(message)
    return result


async def play_all(
    url: str,
    key: str,
    provider: ProviderState,
    conversations: Sequence[ChatConversation],
    settings: Sequence[Setting],
    tags: Iterator[int],
    at_once: int = 16,
) -> list[Played]:
    """Every conversation with one of the settings in turn (half streams: two settings); `at_once`
    in flight.
    """
    places = asyncio.Semaphore(at_once)

    async with AsyncResponsesClient(url, key, max_connections=at_once) as client:

        async def one(index: int, conversation: ChatConversation) -> list[Played]:
            async with places:
                return await play(client, provider, conversation, settings[index % len(settings)], tags)

        done = await asyncio.gather(*(one(index, each) for index, each in enumerate(conversations)))
    return [played for each in done for played in each]
