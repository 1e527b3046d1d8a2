"""A conversation as Redis holds it, open for changes that no store would make. Knows the layout by itself.

`litellm_patch:session:{<conversation>}:turns`: a hash from turn to a header (`turns bytes size crc`, of all turns up to
it, and a line feed), a seal (`P` without keys) and its piece of one deflate stream, whose text is two lines of JSON,
the turn and its reply; `about` is the owner and when the conversation began, `by` who took part. `:tree`: a sorted set
of turns, scored by the turn before; `:lives`: by their end of life.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis import Redis

from lab.stored import turns_of

PLAIN = b"P"
MARK = b"\x00\x00\xff\xff"
KEYS = ("turns", "tree", "lives")


@dataclass(frozen=True)
class Stored:
    """`path`: the turns of its one branch, oldest first; `texts`: theirs, two lines each; `turns`, `replies`: what the
    first lines and the second ones say.
    """

    redis: Redis
    head: str
    path: tuple[str, ...]
    texts: tuple[bytes, ...]
    turns: tuple[dict[str, Any], ...]
    replies: tuple[dict[str, Any], ...]
    dumps: dict[str, bytes]

    def key(self, name: str) -> str:
        return self.head + name

    def value(self, number: int) -> bytes:
        """What a turn's field holds."""
        return self.redis.hget(self.key("turns"), self.path[number])

    def put_back(self) -> None:
        """As it was, and for another day."""
        for key, dump in self.dumps.items():
            self.redis.restore(key, 86_400_000, dump, replace=True)

    def put_field(self, name: str, value: str | bytes) -> None:
        data = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
        self.redis.hset(self.key("turns"), name, data)

    def put_value(self, number: int, value: bytes) -> None:
        """Other bytes for one turn, its header included."""
        self.put_field(self.path[number], value)

    def put_header(self, number: int, header: str | bytes) -> None:
        """Another first line for one turn, whose text stays."""
        data = header.encode("utf-8", "surrogatepass") if isinstance(header, str) else header
        self.put_value(number, data + b"\n" + self.value(number).partition(b"\n")[2])

    def put_turn(self, number: int, text: str) -> None:
        """Another first line for one turn, with headers that fit it."""
        self._put_lines(number, [text.encode("utf-8", "surrogatepass"), self.texts[number].split(b"\n")[1]])

    def put_reply(self, number: int, text: str) -> None:
        """Another second line for one turn, with headers that fit it."""
        self._put_lines(number, [self.texts[number].split(b"\n")[0], text.encode("utf-8", "surrogatepass")])

    def _put_lines(self, number: int, lines: Sequence[bytes]) -> None:
        texts = [*self.texts]
        texts[number] = b"\n".join([*lines, b""])
        self.put_pieces([pack(each) for each in texts], texts)

    def put_piece(self, number: int, piece: bytes, size: int | None = None) -> None:
        """Another piece for one turn, with headers that do not know its text. `size`: what they say of all text."""
        pieces = [pack(each) for each in self.texts]
        pieces[number] = piece
        self.put_pieces(pieces, self.texts, size)

    def put_pieces(self, pieces: Sequence[bytes], texts: Sequence[bytes], size: int | None = None) -> None:
        text, stored = b"", 0
        for number, piece in enumerate(pieces):
            text, stored = text + texts[number], stored + len(PLAIN + piece)
            counts = (number + 1, stored, len(text) if size is None else size, zlib.crc32(text))
            self.put_value(number, b"%d %d %d %d\n" % counts + PLAIN + piece)


def pack(text: bytes) -> bytes:
    """A piece that needs nothing of those before it."""
    packer = zlib.compressobj(9, wbits=-14)
    return (packer.compress(text) + packer.flush(zlib.Z_SYNC_FLUSH)).removesuffix(MARK)


def take_up(redis: Redis, turns_key: bytes) -> Stored:
    """The conversation, which has no branches, with this key."""
    texts = turns_of(redis, turns_key)
    lines = [json.loads(line.decode("utf-8", "surrogatepass")) for text in texts.values() for line in text.splitlines()]
    head = turns_key.decode().removesuffix("turns")
    dumps = {head + name: redis.dump(head + name) for name in KEYS}
    path = tuple(map(bytes.decode, texts))
    return Stored(redis, head, path, tuple(texts.values()), tuple(lines[::2]), tuple(lines[1::2]), dumps)
