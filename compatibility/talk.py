"""One client on a running proxy, and what its provider is asked: compared on every turn with what it would be asked
for a client that sends everything itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lab.answers import Answer
from lab.client import AsyncResponsesClient, Reply, parse_reply
from lab.exchange import Exchange
from lab.lines import HttpLine
from lab.player import FIRST, LOST, WHOLE, Player, Turn, problem_of
from lab.recording import Recorded


class SceneFailed(Exception):
    """What went wrong, in a line."""


@dataclass(frozen=True)
class Told:
    """A reply, what the provider was asked for it, and all items of the conversation with the reply's."""

    reply: Reply
    asked: Recorded
    items: tuple[dict, ...]


@dataclass(frozen=True)
class Talk:
    """One model, plain or stream, on one proxy."""

    player: Player

    @property
    def whole(self) -> bool:
        return self.player.whole

    @property
    def client(self) -> AsyncResponsesClient:
        return self.player.line.client

    def as_text(self) -> Talk:
        return Talk(replace(self.player, as_text=True))

    def with_model(self, model: str) -> Talk:
        manner = replace(self.player.line.manner, model=model)
        return Talk(replace(self.player, line=HttpLine(self.client, manner)))

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
        if forgotten and self.whole:
            after = None
        turn = await self.player.say(*new, after=after, answer=answer, **params)
        wanted = FIRST if after is None else LOST if forgotten else WHOLE
        if turn.verdict != wanted:
            raise SceneFailed(turn.problem or "the provider got what was to be forgotten")
        return turn

    async def tell(self, *new: dict, after: Told | None = None, answer: Answer | None = None, **params: object) -> Told:
        """Items. Raises SceneFailed where the provider is asked something else than when all items are sent."""
        items = (*(after.items if after else ()), *new)
        reply, asked = answered(await self.player.ask(list(items), None, answer, **params))
        if not self.whole and after is not None:
            whole = asked
            reply, asked = answered(await self.player.ask(list(new), after.reply.id, answer, **params))
            if asked.conversation != whole.conversation:
                raise SceneFailed("the provider got another conversation than when everything is sent")
            if tools_of(asked) != tools_of(whole):
                raise SceneFailed(f"the provider got the tools {tools_of(asked)}, not {tools_of(whole)}")
        return Told(reply, asked, (*items, *reply.output))

    async def count(self, items: Sequence[dict], after: Told | None = None) -> int:
        """The input tokens as the provider counts them. Raises SceneFailed where it is not asked: LiteLLM's own
        estimate is of the new input alone, whatever the history."""
        payload = {"model": self.player.line.manner.model, "input": list(items)}
        if after is not None:
            payload["previous_response_id"] = after.reply.id
        reply = await self.client.post("/v1/responses/input_tokens", payload)
        if reply.status != 200:
            raise SceneFailed(problem_of(reply))
        if reply.body.get("litellm_count_source") == "local_estimate":
            raise SceneFailed("the provider is not asked to count")
        return reply.body["input_tokens"]

    async def get(self, response_id: str, path: str = "", **query: str) -> dict:
        """A stored response, or what `path` behind it names. Raises SceneFailed where it is not there."""
        reply = await self._send("GET", response_id, path, query)
        if reply.status != 200:
            raise SceneFailed(problem_of(reply))
        return reply.body

    async def delete(self, response_id: str) -> None:
        """Raises SceneFailed."""
        reply = await self._send("DELETE", response_id)
        if (reply.status, reply.body.get("deleted")) != (200, True):
            raise SceneFailed(problem_of(reply))

    async def status_of(self, response_id: str) -> int:
        return (await self._send("GET", response_id)).status

    async def _send(self, method: str, response_id: str, path: str = "", query: dict[str, str] | None = None) -> Reply:
        address = f"/v1/responses/{response_id}{path}"
        headers = {"authorization": f"Bearer {self.client.key}"}
        return parse_reply(await self.client.http.request(method, address, params=query, headers=headers))


def answered(exchange: Exchange) -> tuple[Reply, Recorded]:
    """Raises SceneFailed for anything but one answer to one request."""
    if exchange.status != 200 or exchange.reply.broken or "id" not in exchange.reply.body:
        raise SceneFailed(problem_of(exchange.reply))
    if len(exchange.requests) != 1:
        raise SceneFailed(f"the provider was asked {len(exchange.requests)} times")
    return exchange.reply, exchange.requests[0]


def tools_of(asked: Recorded) -> list[str]:
    """The names of the tools that the provider was given."""
    tools = asked.body.get("tools") or []
    return [str(function.get("name")) for tool in tools for function in _functions_in(tool)]


def _functions_in(tool: dict) -> list[dict]:
    declared = tool.get("functionDeclarations") or tool.get("function_declarations")
    return declared or [tool.get("function", tool)]
