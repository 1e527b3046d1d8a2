"""One client on a running proxy, and what its provider is asked: compared on every turn with what it would be asked
for a client that sends everything itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from lab.answers import Answer
from lab.client import AsyncResponsesClient, Reply, parse_reply
from lab.conversations import input_items_of
from lab.proxy import FORMAT_OF_MODEL
from lab.recording import ProviderState, Recorded
from lab.wire import conversation_from_chat


class SceneFailed(Exception):
    """What went wrong, in a line."""


@dataclass(frozen=True)
class Turn:
    """A reply and, as OpenAI chat messages, the conversation up to and with its answer."""

    reply: Reply
    messages: tuple[dict, ...]

    @property
    def id(self) -> str:
        return self.reply.id


@dataclass(frozen=True)
class Told:
    """A reply, what the provider was asked for it, and all items of the conversation with the reply's."""

    reply: Reply
    asked: Recorded
    items: tuple[dict, ...]


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
        """Chat messages. Raises SceneFailed unless the provider received the history of `after` (nothing, when
        `forgotten`) and `new`."""
        history = () if after is None or forgotten else after.messages
        messages = (*history, *new)
        sent = messages if self.whole else new
        text_or_items = sent[0]["content"] if self.as_text and len(sent) == 1 else input_items_of(sent)
        after_id = None if self.whole or after is None else after.id
        reply, asked = await self._ask(text_or_items, after_id, answer, params)
        expected = conversation_from_chat(messages, FORMAT_OF_MODEL[self.model])
        if asked.conversation != expected:
            raise SceneFailed(f"the provider got {len(asked.conversation)} messages of {len(expected)}, or others")
        return Turn(reply, (*messages, _answered(reply)))

    async def tell(self, *new: dict, after: Told | None = None, answer: Answer | None = None, **params: object) -> Told:
        """Items. Raises SceneFailed where the provider is asked something else than when all items are sent."""
        items = (*(after.items if after else ()), *new)
        reply, asked = await self._ask(list(items), None, answer, params)
        if not self.whole and after is not None:
            whole = asked
            reply, asked = await self._ask(list(new), after.reply.id, answer, params)
            if asked.conversation != whole.conversation:
                raise SceneFailed("the provider got another conversation than when everything is sent")
            if tools_of(asked) != tools_of(whole):
                raise SceneFailed(f"the provider got the tools {tools_of(asked)}, not {tools_of(whole)}")
        return Told(reply, asked, (*items, *reply.output))

    async def count(self, items: Sequence[dict], after: Told | None = None) -> int:
        """The input tokens as the provider counts them. Raises SceneFailed where it is not asked: LiteLLM's own
        estimate is of the new input alone, whatever the history."""
        payload = {"model": self.model, "input": list(items)}
        if after is not None:
            payload["previous_response_id"] = after.reply.id
        reply = await self.client.post("/v1/responses/input_tokens", payload)
        if reply.status != 200:
            raise SceneFailed(_problem_of(reply))
        if reply.body.get("litellm_count_source") == "local_estimate":
            raise SceneFailed("the provider is not asked to count")
        return reply.body["input_tokens"]

    async def get(self, response_id: str, path: str = "", **query: str) -> dict:
        """A stored response, or what `path` behind it names. Raises SceneFailed where it is not there."""
        reply = await self._send("GET", response_id, path, query)
        if reply.status != 200:
            raise SceneFailed(_problem_of(reply))
        return reply.body

    async def delete(self, response_id: str) -> None:
        """Raises SceneFailed."""
        reply = await self._send("DELETE", response_id)
        if (reply.status, reply.body.get("deleted")) != (200, True):
            raise SceneFailed(_problem_of(reply))

    async def status_of(self, response_id: str) -> int:
        return (await self._send("GET", response_id)).status

    async def _send(self, method: str, response_id: str, path: str = "", query: dict[str, str] | None = None) -> Reply:
        address = f"/v1/responses/{response_id}{path}"
        headers = {"authorization": f"Bearer {self.client.key}"}
        return parse_reply(await self.client.http.request(method, address, params=query, headers=headers))

    async def _ask(
        self, text_or_items: object, after_id: str | None, answer: Answer | None, params: dict
    ) -> tuple[Reply, Recorded]:
        tag = next(self.tags)
        self.provider.script(answer or Answer(text=f"answer number {tag}"), tag=tag)
        reply = await self.client.responses(
            self.model, text_or_items, stream=self.stream, tag=tag, previous_response_id=after_id, **params
        )
        if reply.status != 200 or reply.broken or "id" not in reply.body:
            raise SceneFailed(_problem_of(reply))
        asked = self.provider.requests(tag=tag)
        if len(asked) != 1:
            raise SceneFailed(f"the provider was asked {len(asked)} times")
        return reply, asked[0]


def tools_of(asked: Recorded) -> list[str]:
    """The names of the tools that the provider was given."""
    tools = asked.body.get("tools") or []
    return [str(function.get("name")) for tool in tools for function in _functions_in(tool)]


def _functions_in(tool: dict) -> list[dict]:
    declared = tool.get("functionDeclarations") or tool.get("function_declarations")
    return declared or [tool.get("function", tool)]


def _problem_of(reply: Reply) -> str:
    error = reply.body.get("error") or reply.body
    text = error.get("message") if isinstance(error, dict) else error
    said = " ".join(str(text).partition("Traceback (most")[0].split())  # what follows has paths of this machine
    return f"HTTP {reply.status}: {said[:160]}"


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
