"""Clients of the Responses API, blocking and asynchronous, that keep everything that came back."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import httpx

TIMEOUT_SECONDS = 120
KEPT_SECONDS = 2  # An idle connection: less than uvicorn keeps it (5), or a request meets the end of its connection.


@dataclass(frozen=True)
class Reply:
    """One answer. `body` is the response object (of a stream: the terminal event's), or the error
    body.

    events: the parsed events of a stream, in order; () for a plain reply.
    broken: the connection ended before the reply did.
    headers: of a plain reply or an error, names in lower case.
    """

    status: int
    body: dict
    events: tuple[dict, ...] = ()
    broken: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return self.body["id"]

    @property
    def ids(self) -> dict[str, str | None]:
        """The response id in each event that carries a response, by the event's short name
        (created, completed …).
        """
        return {
            event["type"].removeprefix("response."): event["response"].get("id")
            for event in self.events
            if isinstance(event.get("response"), dict)
        }

    @property
    def output(self) -> list[dict]:
        return self.body.get("output", [])

    @property
    def text(self) -> str:
        parts = (part for item in self.output if item["type"] == "message" for part in item["content"])
        return "".join(part.get("text") or "" for part in parts)

    @property
    def streamed_text(self) -> str:
        return "".join(event["delta"] for event in self.events if event["type"] == "response.output_text.delta")

    @property
    def calls(self) -> list[dict]:
        return [item for item in self.output if item["type"] == "function_call"]


def payload_of(model: str, input: object, stream: bool, tag: int | None, params: dict) -> dict:
    """`tag` travels as `max_output_tokens`, by which the stand-in tells requests apart."""
    payload = {"model": model, "input": input, "stream": stream, **params}
    if tag is not None:
        payload["max_output_tokens"] = tag
    return {name: value for name, value in payload.items() if value is not None}


def sent(payload: dict, key: str) -> dict:
    """The body, in ASCII (so that lone surrogates travel too), and its headers."""
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    return {"content": json.dumps(payload).encode(), "headers": headers}


class EventReader:
    """Server-sent events out of pieces of bytes. Lines end at newlines alone: `str.splitlines`
    would cut at U+2028.
    """

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> list[dict]:
        *lines, self._rest = (self._rest + piece).split(b"\n")
        values = [line[5:].strip() for line in lines if line.startswith(b"data:")]
        return [json.loads(value) for value in values if value != b"[DONE]"]


def reply_of_events(status: int, events: Iterable[dict], broken: bool) -> Reply:
    events = tuple(events)
    responses = [event["response"] for event in events if isinstance(event.get("response"), dict)]
    body = responses[-1] if responses else (events[-1] if events else {})
    return Reply(status, body, events, broken)


def parse_reply(reply: httpx.Response) -> Reply:
    """A whole reply, plain or stream."""
    if reply.headers.get("content-type", "").startswith("text/event-stream"):
        return reply_of_events(reply.status_code, EventReader().feed(reply.content + b"\n"), broken=False)
    try:
        return Reply(reply.status_code, reply.json(), headers=reply.headers)
    except ValueError:
        return Reply(reply.status_code, {"error": {"message": reply.text}}, headers=reply.headers)


class ResponsesClient:
    """Blocking. `key` may be changed for one call, to be somebody else."""

    def __init__(self, url: str, key: str) -> None:
        self.key = key
        self.http = httpx.Client(base_url=url, timeout=TIMEOUT_SECONDS, trust_env=False)

    def responses(
        self,
        model: str,
        input: object,
        stream: bool = False,
        key: str | None = None,
        tag: int | None = None,
        **params,
    ) -> Reply:
        payload = payload_of(model, input, stream, tag, params)
        request = sent(payload, key or self.key)
        if not stream:
            return parse_reply(self.http.post("/v1/responses", **request))
        events: list[dict] = []
        with self.http.stream("POST", "/v1/responses", **request) as reply:
            if reply.status_code != 200:
                reply.read()
                return parse_reply(reply)
            try:
                reader = EventReader()
                for piece in reply.iter_bytes():
                    events.extend(reader.feed(piece))
            except httpx.TransportError:
                return reply_of_events(200, events, broken=True)
        return reply_of_events(200, events, broken=False)

    def events(
        self, model: str, input: object, key: str | None = None, tag: int | None = None, **params
    ) -> Iterator[dict]:
        """A stream's events as they arrive; leave the loop to drop the connection."""
        payload = payload_of(model, input, True, tag, params)
        with self.http.stream("POST", "/v1/responses", **sent(payload, key or self.key)) as reply:
            reply.raise_for_status()
            reader = EventReader()
            for piece in reply.iter_bytes():
                yield from reader.feed(piece)

    def close(self) -> None:
        self.http.close()

    def __enter__(self) -> ResponsesClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncResponsesClient:
    """For a thousand conversations at once; `max_connections` bounds what is in flight."""

    def __init__(self, url: str, key: str, max_connections: int = 50) -> None:
        self.key = key
        limits = httpx.Limits(
            max_connections=max_connections, max_keepalive_connections=max_connections, keepalive_expiry=KEPT_SECONDS
        )
        timeout = httpx.Timeout(TIMEOUT_SECONDS, pool=None)
        self.http = httpx.AsyncClient(base_url=url, timeout=timeout, limits=limits, trust_env=False)

    async def responses(
        self,
        model: str,
        input: object,
        stream: bool = False,
        key: str | None = None,
        tag: int | None = None,
        **params,
    ) -> Reply:
        if stream:
            events: list[dict] = []
            try:
                async for event in self.events(model, input, key, tag, **params):
                    events.append(event)
            except httpx.HTTPStatusError as error:
                return parse_reply(error.response)
            except httpx.TransportError:
                return reply_of_events(200, events, broken=True)
            return reply_of_events(200, events, broken=False)
        payload = payload_of(model, input, False, tag, params)
        return parse_reply(await self.http.post("/v1/responses", **sent(payload, key or self.key)))

    async def events(
        self, model: str, input: object, key: str | None = None, tag: int | None = None, **params
    ) -> AsyncIterator[dict]:
        """A stream's events as they arrive. Raises httpx.HTTPStatusError, its body read, for
        another status than 200.
        """
        payload = payload_of(model, input, True, tag, params)
        async with self.http.stream("POST", "/v1/responses", **sent(payload, key or self.key)) as reply:
            if reply.status_code != 200:
                await reply.aread()
                reply.raise_for_status()
            reader = EventReader()
            async for piece in reply.aiter_bytes():
                for event in reader.feed(piece):
                    yield event

    async def post(self, path: str, payload: dict) -> Reply:
        return parse_reply(await self.http.post(path, **sent(payload, self.key)))

    async def __aenter__(self) -> AsyncResponsesClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()
