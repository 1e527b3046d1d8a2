"""Plays whole conversations through a proxy, each turn the moment the one before has been answered."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence

from .client import AsyncResponsesClient, Reply
from .conversations import ChatConversation, ChatTurn, answer_of
from .lines import HttpLine, Manner
from .player import FAILED, Player, Turn
from .recording import ProviderState

TRIES = 2  # of a turn that a race of LiteLLM's own has ended


async def play(player: Player, conversation: ChatConversation) -> list[Turn]:
    """All turns, with the answers as they are in the conversation; stops at one that has no answer."""
    played: list[Turn] = []
    renamed: dict[str, str] = {}
    for turn in conversation.turns:
        for _ in range(TRIES):
            now = await player.say(
                *rename_calls(turn.sent, renamed),
                after=played[-1] if played else None,
                answer=answer_of(turn.answered),
                instructions=conversation.instructions,
                tools=conversation.tools or None,
            )
            if not now.is_of_litellm:
                break
        played.append(now)
        if now.verdict == FAILED:
            break
        renamed.update(new_call_ids(turn, now.reply))
    return played


def new_call_ids(turn: ChatTurn, reply: Reply) -> dict[str, str]:
    """Recorded call id to the client's: formats without ids (Gemini) get invented ones from LiteLLM."""
    recorded = [call["id"] for call in turn.answered.get("tool_calls") or ()]
    return dict(zip(recorded, [call["call_id"] for call in reply.calls], strict=False))


def rename_calls(messages: Iterable[dict], renamed: dict[str, str]) -> list[dict]:
    """Of the client's messages, the results: they name the calls."""
    return [
        {**each, "tool_call_id": renamed.get(each["tool_call_id"], each["tool_call_id"])}
        if each["role"] == "tool"
        else each
        for each in messages
    ]


async def play_all(
    url: str,
    key: str,
    provider: ProviderState,
    conversations: Sequence[ChatConversation],
    manners: Sequence[Manner],
    tags: Iterator[int],
    at_once: int = 16,
    whole: bool = False,
) -> list[Turn]:
    """Every conversation in one of the manners, in turn (half streams: two manners); `at_once` in flight."""
    places = asyncio.Semaphore(at_once)

    async with AsyncResponsesClient(url, key, max_connections=at_once) as client:
        players = [Player(HttpLine(client, manner), provider, tags, whole) for manner in manners]

        async def one(index: int, conversation: ChatConversation) -> list[Turn]:
            async with places:
                return await play(players[index % len(players)], conversation)

        done = await asyncio.gather(*(one(index, each) for index, each in enumerate(conversations)))
    return [played for each in done for played in each]


def check_exact(played: Sequence[Turn], conversations: Sequence[ChatConversation]) -> None:
    """Every turn of these conversations was played, and the provider got the history for it, exactly."""
    wrong = [turn for turn in played if not turn.is_whole]
    assert not wrong, f"{len(wrong)} of {len(played)} turns are not exact; the first: {wrong[0].report}"
    assert len(played) == sum(len(each.turns) for each in conversations)
