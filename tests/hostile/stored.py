"""A conversation as Redis holds it, open for changes that no store would make. Knows the layout by itself.

`litellm_patch:session:<response id>`: a line of JSON that says where the turns are, and a seal (`P` without keys).
`litellm_patch:{<conversation>}:turns`: a hash from turn to `P` and its piece of one deflate stream, whose text is a
JSON object and a comma; `:tree`: a sorted set of turns, scored by the turn before; `:lives`: by their end of life.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis import Redis

from lab.stored import turns_of

SESSION = b"litellm_patch:session:"
PLAIN = b"P"
MARK = b"\x00\x00\xff\xff"


@dataclass(frozen=True)
class Stored:
    """`head`: the record; `path`: its turns, oldest first; `turns`: what they say."""

    redis: Redis
    response_id: str
    head: dict[str, Any]
    path: tuple[str, ...]
    turns: tuple[dict[str, Any], ...]
    dumps: dict[bytes, bytes]

    @property
    def session_key(self) -> bytes:
        return SESSION + self.response_id.encode()

    def key(self, name: str) -> str:
        return f"litellm_patch:{{{self.head['c']}}}:{name}"

    def put_back(self) -> None:
        """As it was, and for another day."""
        for key, dump in self.dumps.items():
            self.redis.restore(key, 86_400_000, dump, replace=True)

    def put_record(self, head: str | bytes) -> None:
        data = head.encode("utf-8", "surrogatepass") if isinstance(head, str) else head
        self.redis.set(self.session_key, data + b"\n" + PLAIN, ex=86_400)

    def put_turn(self, number: int, text: str) -> None:
        """Another text for one turn, with a record that fits it."""
        texts = [f"{dump(turn)},".encode() for turn in self.turns]
        texts[number] = f"{text},".encode("utf-8", "surrogatepass")
        self.put_pieces([pack(each) for each in texts], b"".join(texts))

    def put_piece(self, number: int, piece: bytes) -> None:
        """Other bytes for one turn, with a record that knows their number, but not their text."""
        texts = [f"{dump(turn)},".encode() for turn in self.turns]
        pieces = [pack(each) for each in texts]
        pieces[number] = piece
        self.put_pieces(pieces, b"".join(texts))

    def put_pieces(self, pieces: Sequence[bytes], text: bytes) -> None:
        sealed = [PLAIN + piece for piece in pieces]
        self.redis.hset(self.key("turns"), mapping=dict(zip(self.path, sealed, strict=True)))
        counts = {"b": sum(map(len, sealed)), "s": len(text), "k": zlib.crc32(text)}
        self.put_record(dump({**self.head, **counts}))


def dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def pack(text: bytes) -> bytes:
    """A piece that needs nothing of those before it."""
    packer = zlib.compressobj(9, wbits=-14)
    return (packer.compress(text) + packer.flush(zlib.Z_SYNC_FLUSH)).removesuffix(MARK)


def take_up(redis: Redis, response_id: str) -> Stored:
    """The stored response with this id, which the store gave it; the last of its conversation."""
    session_key = SESSION + response_id.encode()
    head = json.loads(redis.get(session_key).partition(b"\n")[0])
    names = [f"litellm_patch:{{{head['c']}}}:{name}".encode() for name in ("turns", "tree", "lives")]
    texts = turns_of(redis, names[0])
    path, turn = [], head["t"].encode()
    while turn != b"0":
        path.insert(0, turn)
        turn = b"%d" % int(redis.zscore(names[1], turn))
    turns = tuple(json.loads(texts[each].removesuffix(b",").decode("utf-8", "surrogatepass")) for each in path)
    dumps = {key: redis.dump(key) for key in (session_key, *names)}
    return Stored(redis, response_id, head, tuple(map(bytes.decode, path)), turns, dumps)
