"""What a door does, in the process that is its own (`lab.door`).

It takes requests one after another, so that it can answer, lose or break each reply by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from .resp import read_reply, read_request
from .troubles import NO_TROUBLE, Trouble

MAX_LINE_BYTES = 64 * 1024
# After these a connection is a one-way stream of its own: replication, or what a Sentinel listens to.
STREAMING = (b"SYNC", b"PSYNC", b"SUBSCRIBE", b"PSUBSCRIBE", b"MONITOR")
SERVING_SECONDS = 20


class DoorServer:
    """`target`: the server's host and port. `certificate`: a PEM file with key and certificates, for TLS. With `path`,
    it listens on a unix socket.
    """

    def __init__(self, target: tuple[str, int], address: tuple[str, int], certificate: Path | None, path: Path | None):
        self.address = address
        self.path = path
        self._commands: Counter[bytes] = Counter()
        self._target, self._tls = target, None
        if certificate is not None:
            self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self._tls.load_cert_chain(certificate)
        self._trouble = NO_TROUBLE
        self._open: set[asyncio.StreamWriter] = set()
        self._silent: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="door", daemon=True)
        self._server: asyncio.Server | None = None
        self._deaf: list[socket.socket] = []

    def take_trouble(self, trouble: Trouble) -> None:
        self._run(self._change(trouble))

    def count_commands(self) -> Counter[bytes]:
        """As they are now: the loop goes on counting while they are sent."""
        return Counter(dict(self._commands))

    def reset_all(self) -> int:
        return self._run(self._end_all(reset))

    def close_all(self) -> int:
        return self._run(self._end_all(lambda writer: writer.close()))

    def silence_all(self) -> int:
        return self._run(self._silence_all())

    def start(self) -> None:
        self._thread.start()
        self._run(self._listen())

    def stop(self) -> None:
        self._run(self._shut_down())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(SERVING_SECONDS)
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(SERVING_SECONDS)

    async def _change(self, trouble: Trouble) -> None:
        before, self._trouble = self._trouble, trouble
        self._hear_again()
        if trouble.is_refused or trouble.is_silent:
            self._server.close()
        elif before.is_refused or before.is_silent:
            await self._listen()
        if trouble.is_refused:
            await self._end_all(reset)
        elif trouble.is_silent:
            await self._turn_deaf()

    async def _listen(self) -> None:
        options: dict[str, Any] = {"limit": MAX_LINE_BYTES, "ssl": self._tls}
        if self.path is not None:
            self.path.unlink(missing_ok=True)
            self._server = await asyncio.start_unix_server(self._serve, self.path, backlog=1024, **options)
        else:
            self._server = await asyncio.start_server(self._serve, *self.address, backlog=1024, **options)

    async def _turn_deaf(self) -> None:
        if self.path is not None:  # a unix socket has no packets to lose: it is open, and nobody answers
            await self._listen()
            return
        # A full queue that nobody takes from: the kernel lets whoever connects wait, as if packets were lost.
        deaf = socket.socket()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        deaf.bind(self.address)
        deaf.listen(0)
        self._deaf.append(deaf)
        for _ in range(4):
            self._deaf.append(waiting := socket.socket())
            waiting.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                waiting.connect(self.address)

    def _hear_again(self) -> None:
        while self._deaf:
            self._deaf.pop().close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        to_server: asyncio.StreamWriter | None = None
        try:
            await self._hear(writer)
            from_server, to_server = await asyncio.open_connection(*self._target, limit=MAX_LINE_BYTES)
            self._open.add(to_server)
            await self._pass_on(reader, writer, from_server, to_server)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            if to_server is None:
                reset(writer)  # the server is not there
        finally:
            for each in (writer, to_server):
                if each is not None:
                    self._open.discard(each)
                    self._silent.discard(each)
                    each.close()

    async def _pass_on(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        from_server: asyncio.StreamReader,
        to_server: asyncio.StreamWriter,
    ) -> None:
        """Request by request, until one of the two ends the connection, a trouble does, or it becomes a stream."""
        requests: asyncio.Queue[tuple[float, bytes, bytes] | None] = asyncio.Queue(1_000)
        replies: asyncio.Queue[bytes] = asyncio.Queue()
        taking = asyncio.ensure_future(take_requests(reader, requests))
        replying = asyncio.ensure_future(take_replies(from_server, replies, writer))
        try:
            while (request := await requests.get()) is not None:
                await self._hear(writer)
                came, command, raw = request
                self._commands[command] += 1
                trouble = self._trouble
                reply = trouble.answer(command) if trouble.answer else None
                if reply is None:
                    if command in STREAMING:
                        replying.cancel()
                        await asyncio.wait([replying])
                        to_server.write(raw)
                        return await self._stream(reader, writer, from_server, to_server)
                    to_server.write(raw)
                    if not (reply := await replies.get()):
                        return None
                    reply = trouble.change(command, reply) if trouble.change else reply
                if reply is None:
                    return reset(writer)
                await asyncio.sleep(max(0.0, came + trouble.delay_seconds - time.monotonic()))
                await self._hear(writer)
                writer.write(reply)
                await writer.drain()
        finally:
            taking.cancel()
            replying.cancel()

    async def _stream(self, reader: Any, writer: Any, from_server: Any, to_server: Any) -> None:
        async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while piece := await source.read(65_536):
                await self._hear(writer)
                sink.write(piece)
                await sink.drain()

        copies = [asyncio.ensure_future(copy(reader, to_server)), asyncio.ensure_future(copy(from_server, writer))]
        try:
            await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in copies:
                each.cancel()

    async def _hear(self, writer: asyncio.StreamWriter) -> None:
        while self._trouble.is_silent or writer in self._silent:
            await asyncio.sleep(0.01)

    async def _silence_all(self) -> int:
        self._silent |= self._open
        return len(self._silent)

    async def _end_all(self, end: Callable[[asyncio.StreamWriter], None]) -> int:
        ended = [writer for writer in self._open if not writer.is_closing()]
        for writer in ended:
            end(writer)
        return len(ended)

    async def _shut_down(self) -> None:
        self._hear_again()
        self._server.close()
        rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        if self.path is not None:
            self.path.unlink(missing_ok=True)


async def take_requests(reader: asyncio.StreamReader, requests: asyncio.Queue) -> None:
    """Puts (when it came, command, bytes) for each request, None at the end. Stops where a stream begins."""
    while True:
        try:
            request = await read_request(reader)
        except ValueError:
            request = None
        await requests.put(request and (time.monotonic(), request[1], request[0]))
        if request is None or request[1] in STREAMING:
            return


async def take_replies(reader: asyncio.StreamReader, replies: asyncio.Queue, client: asyncio.StreamWriter) -> None:
    """Puts each reply. When the server ends the connection, so does this, and b"" is the last."""
    try:
        while True:
            await replies.put(await read_reply(reader))
    except (OSError, asyncio.IncompleteReadError):
        client.close()
        replies.put_nowait(b"")


def reset(writer: asyncio.StreamWriter) -> None:
    """Ends a connection by RST: what is under way is lost."""
    if (connection := writer.get_extra_info("socket")) is not None and connection.family == socket.AF_INET:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def serve(orders: Connection, *arguments: Any) -> None:
    """Carries out orders, (method, arguments), and answers each with its result or error, until there is nobody to
    give any.
    """
    door = DoorServer(*arguments)
    with contextlib.suppress(EOFError, OSError):
        while True:
            method, given = orders.recv()
            try:
                orders.send(getattr(door, method)(*given))
            except Exception as error:
                orders.send(error)
