"""A small HTTP/1.1 server on asyncio streams, without dependencies: cheap enough to stand beside a
proxy under load.

It knows what the stand-in provider needs and no more: `Content-Length` bodies, keep-alive, JSON
replies, chunked streams, and a stream that is cut in the middle.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field

MAX_HEADER_BYTES = 64 * 1024
MAX_BODY_BYTES = 256 * 1024 * 1024
REASONS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    422: "Unprocessable Entity",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


class CutConnection(Exception):
    """Raised by a handler or a stream: close the socket now, without ending the reply."""


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: str
    headers: Mapping[str, str]  # names in lower case
    body: bytes

    def json(self) -> dict:
        return json.loads(self.body) if self.body else {}


@dataclass(frozen=True)
class Response:
    """A whole reply (`body`) or a stream of byte pieces (`stream`)."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    stream: AsyncIterator[bytes] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def reply_json(value: object, status: int = 200) -> Response:
    text = json.dumps(value, ensure_ascii=False)
    return Response(status=status, body=text.encode(errors="backslashreplace"))  # lone surrogates


Handler = Callable[[Request], Awaitable[Response]]


async def read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request | None:
    """The next request of a connection, or None when the client has gone."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    lines = head.decode("latin-1").split("\r\n")
    method, target, _version = lines[0].split(" ", 2)
    headers = {}
    for line in lines[1:]:
        name, separator, value = line.partition(":")
        if separator:
            headers[name.strip().lower()] = value.strip()
    if headers.get("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    if "chunked" in headers.get("transfer-encoding", "").lower():
        body = await read_chunked_body(reader)
    else:
        length = int(headers.get("content-length", "0"))
        if length > MAX_BODY_BYTES:
            return None
        body = await reader.readexactly(length) if length else b""
    path, _, query = target.partition("?")
    return Request(method, path, query, headers, body)


async def read_chunked_body(reader: asyncio.StreamReader) -> bytes:
    pieces = []
    while size := int((await reader.readline()).split(b";")[0], 16):
        pieces.append(await reader.readexactly(size))
        await reader.readline()
    await reader.readline()
    return b"".join(pieces)


async def write_response(writer: asyncio.StreamWriter, response: Response) -> None:
    """Raises `CutConnection` when the stream does."""
    head = [f"HTTP/1.1 {response.status} {REASONS.get(response.status, 'Status')}"]
    head.append(f"content-type: {response.content_type}")
    head.extend(f"{name}: {value}" for name, value in response.headers.items())
    if response.stream is None:
        head.append(f"content-length: {len(response.body)}")
        writer.write("\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + response.body)
        await writer.drain()
        return
    head.append("transfer-encoding: chunked")
    writer.write("\r\n".join(head).encode("latin-1") + b"\r\n\r\n")
    async for piece in response.stream:
        if piece:
            writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            await writer.drain()
    writer.write(b"0\r\n\r\n")
    await writer.drain()


async def serve_connection(handler: Handler, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while (request := await read_request(reader, writer)) is not None:
            await write_response(writer, await handler(request))
            if request.headers.get("connection", "").lower() == "close":
                break
    except CutConnection:
        writer.transport.abort()
    except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
        pass  # the client went away or does not speak HTTP: nobody is left to tell
    finally:
        writer.close()


async def start_server(handler: Handler, host: str, port: int) -> asyncio.Server:
    """Listen on `port` (0: a free one; `server.sockets[0].getsockname()[1]` tells which)."""

    async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve_connection(handler, reader, writer)
        except asyncio.CancelledError:
            writer.transport.abort()  # the server is stopping

    return await asyncio.start_server(on_connection, host, port, limit=MAX_HEADER_BYTES, backlog=1024)
