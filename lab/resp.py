"""Redis' wire protocol as far as somebody in the middle needs it: where a request ends, and where a reply."""

from __future__ import annotations

import asyncio

BULKS = b"$=!"  # a length, then so many bytes
NESTED = {b"*": 1, b"~": 1, b">": 1, b"%": 2}  # how many values each counted element has


async def read_request(reader: asyncio.StreamReader) -> tuple[bytes, bytes] | None:
    """The next request as it came, and its command in upper case; None when the client has gone.

    Raises ValueError for what is not a request.
    """
    try:
        head = await reader.readuntil(b"\r\n")
        if not head.startswith(b"*"):
            return head, head.split()[0].upper() if head.split() else b""
        pieces, command = [head], b""
        for number in range(int(head[1:])):
            size = await reader.readuntil(b"\r\n")
            value = await reader.readexactly(int(size[1:]) + 2)
            command = command if number else value[:-2].upper()
            pieces += (size, value)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    return b"".join(pieces), command


async def read_reply(reader: asyncio.StreamReader) -> bytes:
    """One whole reply (RESP2 or RESP3) as it came. Raises asyncio.IncompleteReadError, ConnectionError."""
    pieces: list[bytes] = []
    left = 1
    while left:
        head = await reader.readuntil(b"\r\n")
        pieces.append(head)
        left -= 1
        if head[:1] in NESTED:
            left += max(0, int(head[1:])) * NESTED[head[:1]]
        elif head[:1] == b"|":  # attributes, which stand before the reply itself
            left += int(head[1:]) * 2 + 1
        elif head[0] in BULKS and int(head[1:]) >= 0:
            pieces.append(await reader.readexactly(int(head[1:]) + 2))
    return b"".join(pieces)
