"""What can be wrong with the way to a Redis, or with its replies."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection
from dataclasses import dataclass

# What a server still answers that refuses everything else.
ALLOWED = frozenset({b"HELLO", b"AUTH", b"CLIENT", b"PING", b"COMMAND", b"CLUSTER", b"INFO", b"SELECT"})


@dataclass(frozen=True)
class Trouble:
    """How the way to a server is.

    delay_seconds: a reply arrives so much later.
    is_refused: nobody listens; connections that are open are reset.
    is_silent: packets are dropped. What is open hears nothing, who connects is not answered.
    answer: what a command (its name, in upper case) gets in the place of the server's reply; None: the server's.
    change: what becomes of a command's reply; None: the connection is reset instead of it.

    Both go to the door's process, so they are objects and no closures.
    """

    delay_seconds: float = 0.0
    is_refused: bool = False
    is_silent: bool = False
    answer: Callable[[bytes], bytes | None] | None = None
    change: Callable[[bytes, bytes], bytes | None] | None = None


NO_TROUBLE = Trouble()


@dataclass(frozen=True)
class Refusal:
    reply: bytes
    allowed: Collection[bytes]

    def __call__(self, command: bytes) -> bytes | None:
        return None if command in self.allowed else self.reply


def refusing(error: str, allowed: Collection[bytes] = ALLOWED) -> Trouble:
    """Each command but these gets an error of Redis, given as it is on the wire without the minus."""
    return Trouble(answer=Refusal(f"-{error}\r\n".encode(), allowed))


@dataclass(frozen=True)
class Loss:
    share: float
    chance: random.Random

    def __call__(self, command: bytes, reply: bytes) -> bytes | None:
        return None if command not in ALLOWED and self.chance.random() < self.share else reply


def losing_replies(share: float, chance: random.Random) -> Trouble:
    """The server does what it was asked, but of some commands nobody hears: the connection is reset."""
    return Trouble(change=Loss(share, chance))


@dataclass(frozen=True)
class Breakage:
    chance: random.Random

    def __call__(self, command: bytes, reply: bytes) -> bytes:
        return reply if command in ALLOWED else self.chance.choice(BREAKS)(reply, self.chance)


def breaking_replies(chance: random.Random) -> Trouble:
    """Replies come cut, with another type, with bytes changed, or are no replies at all."""
    return Trouble(change=Breakage(chance))


BREAKS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    lambda reply, chance: b"?" + chance.randbytes(20) + b"\r\n",
    lambda reply, chance: b":17\r\n",
    lambda reply, chance: b"+OK\r\n",
    lambda reply, chance: b"*2\r\n$1\r\na\r\n:1\r\n",
    lambda reply, chance: b"$3\r\nabc\r\n",
    lambda reply, chance: b"-ERR \xff\xfe\r\n",
    lambda reply, chance: reply.replace(b'"', b"'", 1) if b'"' in reply else b"$-1\r\n",
)
