"""What can be wrong with the way to a Redis, or with its replies."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

# What a server that is loading, read-only, full or without rights still answers.
ALWAYS_ALLOWED = frozenset({b"HELLO", b"AUTH", b"CLIENT", b"PING", b"COMMAND", b"CLUSTER", b"INFO", b"SELECT"})
WRITES = frozenset({b"SET", b"SETEX", b"RPUSH", b"RPUSHX", b"HSET", b"ZADD", b"EXPIRE", b"EVAL", b"EVALSHA", b"FCALL"})


@dataclass(frozen=True)
class Trouble:
    """How the way to a server is.

    delay_seconds: a reply arrives so much later.
    is_refused: nobody listens; connections that are open are reset.
    is_silent: packets are dropped. What is open hears nothing, who connects is not answered.
    answer: what a command (its name, in upper case) gets in the place of the server's reply; None: the server's.
    change: what becomes of a command's reply; None: the connection is reset instead of it.
    """

    delay_seconds: float = 0.0
    is_refused: bool = False
    is_silent: bool = False
    answer: Callable[[bytes], bytes | None] | None = None
    change: Callable[[bytes, bytes], bytes | None] | None = None


NO_TROUBLE = Trouble()


def refusing(error: str, only: Iterable[bytes] | None = None) -> Trouble:
    """Each command (or only these) gets an error of Redis, given as it is on the wire without the minus."""
    reply = f"-{error}\r\n".encode()
    named = frozenset(only) if only is not None else None

    def answer(command: bytes) -> bytes | None:
        is_refused = command in named if named is not None else command not in ALWAYS_ALLOWED
        return reply if is_refused else None

    return Trouble(answer=answer)


def losing_replies(share: float, chance: random.Random) -> Trouble:
    """The server does what it was asked, but of some commands nobody hears: the connection is reset."""

    def change(command: bytes, reply: bytes) -> bytes | None:
        return None if command not in ALWAYS_ALLOWED and chance.random() < share else reply

    return Trouble(change=change)


def breaking_replies(chance: random.Random) -> Trouble:
    """Replies come cut, with another type, with bytes changed, or are no replies at all."""

    def change(command: bytes, reply: bytes) -> bytes:
        if command in ALWAYS_ALLOWED:
            return reply
        return chance.choice(BREAKS)(reply, chance)

    return Trouble(change=change)


BREAKS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    lambda reply, chance: b"?" + chance.randbytes(20) + b"\r\n",
    lambda reply, chance: b":17\r\n",
    lambda reply, chance: b"+OK\r\n",
    lambda reply, chance: b"*2\r\n$1\r\na\r\n:1\r\n",
    lambda reply, chance: b"$3\r\nabc\r\n",
    lambda reply, chance: b"-ERR \xff\xfe\r\n",
    lambda reply, chance: reply.replace(b'"', b"'", 1) if b'"' in reply else b"$-1\r\n",
)
