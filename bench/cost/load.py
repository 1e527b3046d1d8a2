"""Requests under load: what is sent, how many at a time, and how long each took.

Apart from `lab.player`, which judges each turn: who measures must cost less than what is measured.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp

MODEL = "chat-model"
TIMEOUT_SECONDS = 120
TERMINAL = b'"type":"response.completed"'
TERMINAL_SPACED = b'"type": "response.completed"'


class RequestFailed(RuntimeError):
    """The proxy answered something else than a whole answer; the text is what it said."""


@dataclass(frozen=True)
class Talk:
    """One conversation so far. `said`: (role, text) of all its turns; `response_id`: of its last answer."""

    said: tuple[tuple[str, str], ...] = ()
    response_id: str | None = None

    def with_turn(self, asked: str, answered: str, response_id: str) -> Talk:
        return Talk((*self.said, ("user", asked), ("assistant", answered)), response_id)


def body_of(talk: Talk, asked: str, *, stream: bool, remembers: bool, model: str = MODEL) -> dict:
    """`remembers`: the proxy is asked to know the conversation, else the client sends all of it."""
    body: dict = {"model": model, "input": asked, "stream": stream}
    if talk.said and remembers:
        body["previous_response_id"] = talk.response_id
    elif talk.said:
        body["input"] = [{"role": role, "content": text} for role, text in (*talk.said, ("user", asked))]
    return body


class Client:
    """Keeps as many connections as there are clients, opened once."""

    def __init__(self, url: str, key: str, at_once: int) -> None:
        self.at_once = at_once
        self._url, self._key = f"{url}/v1/responses", key

    async def __aenter__(self) -> Client:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self.at_once),
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS),
            headers={"authorization": f"Bearer {self._key}", "content-type": "application/json"},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def ask(self, body: dict) -> tuple[dict, float]:
        """The response object and the seconds until the reply was whole."""
        data = json.dumps(body).encode()
        started = time.perf_counter()
        async with self._session.post(self._url, data=data) as reply:
            content = await reply.read()
        seconds = time.perf_counter() - started
        if reply.status != 200:
            raise RequestFailed(content.decode(errors="replace")[:500])
        return (terminal_response(content) if body["stream"] else json.loads(content)), seconds


def terminal_response(content: bytes) -> dict:
    """The response object of a stream's last event."""
    for line in reversed(content.split(b"\n")):
        if line.startswith(b"data:") and (TERMINAL in line or TERMINAL_SPACED in line):
            return json.loads(line[5:])["response"]
    raise RequestFailed(f"a stream without its end: {content[-500:]!r}")


def answer_text(response: dict) -> str:
    parts = (part for item in response["output"] if item["type"] == "message" for part in item["content"])
    return "".join(part.get("text") or "" for part in parts)


async def play_turn(
    client: Client, talks: Sequence[Talk], asked: Sequence[str], *, stream: bool, remembers: bool, model: str = MODEL
) -> tuple[list[Talk], list[float]]:
    """One more turn of every conversation, `client.at_once` at a time: the talks after it, and each one's seconds."""
    waiting = iter(range(len(talks)))
    after: list[Talk | None] = [None] * len(talks)
    seconds = [0.0] * len(talks)

    async def one_client() -> None:
        for number in waiting:
            body = body_of(talks[number], asked[number], stream=stream, remembers=remembers, model=model)
            response, seconds[number] = await client.ask(body)
            after[number] = talks[number].with_turn(asked[number], answer_text(response), response["id"])

    await asyncio.gather(*(one_client() for _ in range(client.at_once)))
    return [talk for talk in after if talk is not None], seconds
