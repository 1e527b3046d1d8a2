"""The reply on its way out: what is stored of it is what its client got.

A response is stored before hooks, guardrails and LiteLLM's own MCP round trip may change the reply. So the reply is
looked at where it leaves the proxy. If it is another one by then, it is stored again: what a guardrail took out of a
reply must not be had by asking for the response. If it does not leave at all, its turn is taken out.
"""

import contextlib
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextvars import ContextVar
from functools import cached_property
from typing import Any, Protocol

Reply = dict[str, Any]


class Stored(Protocol):
    """A turn that is stored while its reply is still in the proxy. Both raise StoreError."""

    async def store_again(self, reply: Reply) -> None:
        """Puts ``reply``, without its id, in the place of the one that is stored."""

    async def take_out(self) -> None:
        """Ends the response: its reply was refused."""


# Whether the proxy puts the client's name of the model into replies, plain ones and streams (``True``): as at the last
# one, so that the next is stored as it will be.
_is_renamed = {False: False, True: False}

_FOLLOWED = re.compile(rb'"previous_response_id"\s*:\s*"([^"\\\x80-\xff]+)"')
_TERMINAL = (b'"response.completed"', b'"response.incomplete"')


class Outgoing:
    """One HTTP request's reply. ``inner_id`` makes an id of the store of one that the client gets. ``body``: the
    request's.
    """

    def __init__(self, inner_id: Callable[[str], str], body: bytes = b"") -> None:
        self._inner_id = inner_id
        self._body = body
        self._kept: dict[str, tuple[Reply | None, Stored]] = {}  # by id, in order: an MCP round trip makes several
        self.is_over = False  # Nothing is stored any more: the reply has left, or the client gets an error.
        self._asked_model: str | None = None
        self._is_stream = False

    def keep(self, response_id: str, reply: Reply | None, stored: Stored) -> None:
        """``reply``, without its id, is stored; ``None``: it has no form that could be."""
        self._kept[response_id] = reply, stored

    def as_sent(self, previous_response_id: str) -> str:
        """The id of the same response as the client sent it, which releases from 1.99 to 1.101 forget."""
        if previous_response_id in self._followed:
            return previous_response_id
        wanted = self._inner_id(previous_response_id)
        return next((each for each in self._followed if self._inner_id(each) == wanted), previous_response_id)

    @cached_property
    def _followed(self) -> list[str]:
        return [found.decode() for found in _FOLLOWED.findall(self._body)]

    def is_waiting(self) -> bool:
        """Whether a reply is stored that has not left yet; of a stream, none is before its terminal event."""
        return bool(self._kept)

    def expected(self, reply: Reply, asked_model: str | None, is_stream: bool) -> Reply:
        """``reply`` as it will probably leave."""
        self._asked_model, self._is_stream = asked_model, is_stream
        return {**reply, "model": asked_model} if asked_model and _is_renamed[is_stream] else reply

    async def look_at(self, response: Mapping[str, Any]) -> None:
        """``response``, as JSON has it, leaves; where it is not what was stored, it is stored again."""
        response_id = self._inner_id(str(response.get("id")))
        if response_id not in self._kept:
            return
        while (first := next(iter(self._kept))) != response_id:
            del self._kept[first]  # An earlier round, which the one that leaves goes on from.
        reply, stored = self._kept.pop(response_id)
        _is_renamed[self._is_stream] = response.get("model") == self._asked_model
        leaving = {name: value for name, value in response.items() if name != "id"}
        if reply is not None and leaving != reply:
            await stored.store_again(leaving)

    async def look_at_reply(self, reply: Any) -> None:
        """``reply``: what the proxy's route returns for a plain request."""
        await self._looked_at(_plain_response, reply)
        await self.end()

    async def look_at_event(self, chunk: str | bytes) -> None:
        """As ``look_at``, if ``chunk`` is a stream's terminal event."""
        await self._looked_at(_terminal_response, chunk)

    async def _looked_at(self, response_in: Callable[[Any], dict[str, Any] | None], leaving: Any) -> None:
        try:
            if self._kept and (response := response_in(leaving)) is not None:
                await self.look_at(response)
        except Exception:
            self._kept.clear()  # The reply may still leave, so its turn stays.
            raise

    async def end(self) -> None:
        """The request is over, with its reply or with an error: takes out each turn whose reply has not left.

        A guardrail, say, has refused it. Raises StoreError.
        """
        self.is_over = True
        while self._kept:
            _, (_, stored) = self._kept.popitem()
            await stored.take_out()


OUTGOING: ContextVar[Outgoing | None] = ContextVar("redis_session_patch_outgoing", default=None)


async def watch_stream(
    chunks: Any,
    look: Callable[[Any], Awaitable[None]],
    is_waiting: Callable[[], bool],
    end: Callable[[], Awaitable[None]],
) -> AsyncIterator[Any]:
    """``chunks``, each looked at before it leaves, if then something ``is_waiting`` for it; then ``end``, unless the
    client has left.
    """
    async with contextlib.aclosing(chunks) if hasattr(chunks, "aclose") else contextlib.nullcontext():
        try:
            async for chunk in chunks:
                if is_waiting():
                    await look(chunk)
                yield chunk
        except Exception:
            await end()
            raise
        await end()


def _plain_response(reply: Any) -> dict[str, Any] | None:
    dump = reply.model_dump(mode="json") if hasattr(reply, "model_dump") else reply
    if hasattr(reply, "body"):  # Starlette's response
        with contextlib.suppress(ValueError):
            dump = json.loads(reply.body)
    return dump if isinstance(dump, dict) else None


def _terminal_response(chunk: str | bytes) -> dict[str, Any] | None:
    data = chunk.encode("utf-8", "surrogatepass") if isinstance(chunk, str) else bytes(chunk)
    if not any(kind in data for kind in _TERMINAL):
        return None
    for line in data.split(b"\n"):
        with contextlib.suppress(ValueError, AttributeError):
            response = json.loads(line.removeprefix(b"data:")).get("response")
            if isinstance(response, dict):
                return response
    return None
