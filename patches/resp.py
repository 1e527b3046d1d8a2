"""A Redis client just large enough to purge: RESP2 over a socket, with TLS and pipelines."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType

from patches.errors import PatchError
from patches.redis_address import RedisAddress


class RedisRefusal(Exception):
    """An error reply of the server, for example `NOPERM ...`."""


Argument = str | bytes | int
Reply = bytes | int | list["Reply"] | RedisRefusal | None


class Connection:
    """One connection, logged in and on its database. Use it as a context manager. Raises
    PatchError."""

    def __init__(self, address: RedisAddress, timeout_seconds: float) -> None:
        self.address = address
        self._buffer = b""
        try:
            self._socket = _connect(address, timeout_seconds)
        except OSError as error:
            raise PatchError(
                f"{address}: cannot be reached ({_reason(error)})",
                "check the address and that Redis runs",
            ) from error
        try:
            if address.password:
                login = (address.username, address.password) if address.username else (address.password,)
                self.ask("AUTH", *login)
            if address.database:
                self.ask("SELECT", address.database)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        with suppress(OSError):
            self._socket.close()

    def ask(self, *command: Argument) -> Reply:
        """One command, one reply; raises PatchError when the server refuses."""
        (reply,) = self.ask_all([command])
        if isinstance(reply, RedisRefusal):
            raise self.refused(command[0], reply)
        return reply

    def ask_all(self, commands: Iterable[tuple[Argument, ...]]) -> list[Reply]:
        """Sends all, then reads all; a refusal is returned in its place."""
        encoded = [_encode(command) for command in commands]
        try:
            self._socket.sendall(b"".join(encoded))
            return [self._read() for _ in encoded]
        except (OSError, ValueError) as error:
            reason = _reason(error) if isinstance(error, OSError) else "it does not speak the Redis protocol"
            raise PatchError(
                f"{self.address}: the connection broke ({reason})",
                "run the command again: it goes on where it was",
            ) from error

    def refused(self, command: Argument, refusal: RedisRefusal) -> PatchError:
        """The error for a refusal, without the arguments of the command."""
        text = str(refusal)
        code = text.partition(" ")[0]
        if code in ("NOAUTH", "WRONGPASS") or "AUTH" in text or command == "AUTH":
            return PatchError(f"{self.address}: login refused ({code})", "check user and password in the URL")
        return PatchError(f"{self.address}: {command!s} refused ({text})", "check what this Redis user may do")

    def _read(self) -> Reply:
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest
        if kind == b"-":
            return RedisRefusal(rest.decode("utf-8", "replace"))
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self._exactly(int(rest))
        if kind == b"*":
            return None if rest == b"-1" else [self._read() for _ in range(int(rest))]
        raise ValueError(line)

    def _line(self) -> bytes:
        while b"\r\n" not in self._buffer:
            if len(self._buffer) > 65536:
                raise ValueError("a line without end")
            self._receive()
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line

    def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size + 2:
            self._receive()
        data, self._buffer = self._buffer[:size], self._buffer[size + 2 :]
        return data

    def _receive(self) -> None:
        received = self._socket.recv(65536)
        if not received:
            raise ConnectionError("closed by the server")
        self._buffer += received


def _connect(address: RedisAddress, timeout_seconds: float) -> socket.socket:
    if address.socket_path:
        plain = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        plain.settimeout(timeout_seconds)
        try:
            plain.connect(address.socket_path)
        except OSError:
            plain.close()
            raise
        return plain
    plain = socket.create_connection((address.host, address.port), timeout_seconds)
    if not address.use_tls:
        return plain
    try:
        context = ssl.create_default_context(cafile=address.ca_file or None)
        if not address.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context.wrap_socket(plain, server_hostname=address.host)
    except OSError:
        plain.close()
        raise


def _encode(command: tuple[Argument, ...]) -> bytes:
    parts = [part if isinstance(part, bytes) else str(part).encode() for part in command]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)


def _reason(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
