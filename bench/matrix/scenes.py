"""What is played on a running proxy: each scene once for each wire format, plain and as a stream.

Every follow-up is sent the moment its id is known. A scene holds when the provider received,
on each turn, what it would have received from a client that sends everything itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

from tests.support.answers import Answer, ToolCall
from tests.support.client import AsyncResponsesClient, Reply
from tests.support.conversations import input_items_of
from tests.support.proxy import FORMAT_OF_MODEL
from tests.support.recording import ProviderState
from tests.support.wire import conversation_from_chat

LONG_CHARACTERS = 17_000
TOOLS = [{"type": "function", "name": "look_up", "parameters": {"type": "object", "properties": {}}}]


class SceneFailed(Exception):
    """What went wrong, in a line."""


@dataclass(frozen=True)
class Turn:
    """A response's id and, as OpenAI chat messages, the conversation up to and with its answer."""

    id: str
    messages: tuple[dict, ...]


@dataclass
class Talk:
    """One model, plain or stream, on one proxy. `whole`: the client sends everything itself (the
    control)."""

    client: AsyncResponsesClient
    provider: ProviderState
    tags: Iterator[int]
    model: str
    stream: bool
    whole: bool = False
    as_text: bool = field(default=False)

    async def say(
        self,
        *new: dict,
        after: Turn | None = None,
        forgotten: bool = False,
        answer: Answer | None = None,
        **params: object,
    ) -> Turn:
        """Raises SceneFailed unless the provider received the history of `after` (nothing, when
        `forgotten`) and `new`."""
        tag = next(self.tags)
        answer = answer or Answer(text=f"answer number {tag}")
        self.provider.script(answer, tag=tag)
        history = () if after is None or forgotten else after.messages
        messages = (*history, *new)
        sent = messages if self.whole else new
        reply = await self.client.responses(
            self.model,
            sent[0]["content"] if self.as_text and len(sent) == 1 else input_items_of(sent),
            stream=self.stream,
            tag=tag,
            previous_response_id=None if self.whole or after is None else after.id,
            **params,
        )
        self._compare(tag, messages, reply)
        return Turn(reply.id, (*messages, _answered(reply)))

    def _compare(self, tag: int, messages: tuple[dict, ...], reply: Reply) -> None:
        if reply.status != 200 or reply.broken or "id" not in reply.body:
            error = reply.body.get("error") or reply.body
            text = error.get("message") if isinstance(error, dict) else error
            said = " ".join(str(text).partition("Traceback (most")[0].split())  # what follows has paths of this machine
            raise SceneFailed(f"HTTP {reply.status}: {said[:160]}")
        got = self.provider.requests(tag=tag)
        if len(got) != 1:
            raise SceneFailed(f"the provider was asked {len(got)} times")
        expected = conversation_from_chat(messages, FORMAT_OF_MODEL[self.model])
        if got[0].conversation != expected:
            raise SceneFailed(f"the provider got {len(got[0].conversation)} messages of {len(expected)}, or others")


def _answered(reply: Reply) -> dict:
    calls = [
        {
            "id": call["call_id"],
            "type": "function",
            "function": {"name": call["name"], "arguments": call["arguments"]},
        }
        for call in reply.calls
    ]
    return {"role": "assistant", "content": reply.text or None, **({"tool_calls": calls} if calls else {})}


def _user(text: str) -> dict:
    return {"role": "user", "content": text}


async def play_string(talk: Talk) -> None:
    talk.as_text = True
    await play_list(talk)


async def play_list(talk: Talk) -> None:
    turn = await talk.say(_user("My favourite number is 83."))
    turn = await talk.say(_user("And my favourite colour is blue."), after=turn)
    await talk.say(_user("What are they?"), after=turn)


async def play_tool(talk: Talk) -> None:
    call = Answer(tool_calls=(ToolCall("look_up", '{"order": 7}'),))
    turn = await talk.say(_user("Where is order 7?"), answer=call, tools=TOOLS)
    if not turn.messages[-1].get("tool_calls"):
        raise SceneFailed("the client was given no call")
    call_id = turn.messages[-1]["tool_calls"][0]["id"]
    result = {"role": "tool", "tool_call_id": call_id, "content": "on its way"}
    turn = await talk.say(result, after=turn, tools=TOOLS)
    await talk.say(_user("Thank you. When?"), after=turn, tools=TOOLS)


async def play_branch(talk: Talk) -> None:
    root = await talk.say(_user("Here is a story."))
    one, other = await asyncio.gather(
        talk.say(_user("A sad end, please."), after=root), talk.say(_user("A happy end, please."), after=root)
    )
    await talk.say(_user("Sadder."), after=one)
    await talk.say(_user("Happier."), after=other)
    await talk.say(_user("No end at all."), after=root)


async def play_long(talk: Talk) -> None:
    text = "".join(f"{number} " for number in range(LONG_CHARACTERS // 4))[:LONG_CHARACTERS].rstrip()
    await talk.say(_user("And now?"), after=await talk.say(_user(text)))


async def play_unstored(talk: Talk) -> None:
    turn = await talk.say(_user("This is between us."), store=False)
    await talk.say(_user("What was that?"), after=turn, forgotten=True)


Scene = Callable[[Talk], Awaitable[None]]
SCENES: dict[str, Scene] = {
    "string input": play_string,
    "list input": play_list,
    "tool round trip": play_tool,
    "branches": play_branch,
    "long message": play_long,
    "store: false": play_unstored,
}
