"""A conversation as Redis holds it, open for changes that no store would make. Knows the layout by itself.

`litellm_patch:session:<response id>`: a line of JSON that anybody may read, and a sealed one (`P` + JSON without keys).
`litellm_patch:{<conversation>}:turns`: a hash from turn to sealed packed JSON (`P`, `j` and the JSON, or `P`, `z`, two
bytes and zlib);
`:tree`: a sorted set of turns, scored by the turn before; `:lives`: one of turns, scored by their end of life.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from typing import Any

from redis import Redis

SESSION = b"litellm_patch:session:"
PLAIN = b"P"
WINDOW_BYTES = 16_384


@dataclass(frozen=True)
class Stored:
    """`head`, `rest`: the record's two lines; `path`: its turns, oldest first; `turns`: their JSON."""

    redis: Redis
    response_id: str
    head: dict[str, Any]
    rest: dict[str, Any]
    path: tuple[str, ...]
    turns: tuple[dict[str, Any], ...]
    dumps: dict[bytes, bytes]

    @property
    def session_key(self) -> bytes:
        return SESSION + self.response_id.encode()

    def key(self, name: str) -> str:
        return f"litellm_patch:{{{self.head['conversation']}}}:{name}"

    def put_back(self) -> None:
        """As it was, and for another day."""
        for key, dump in self.dumps.items():
            self.redis.restore(key, 86_400_000, dump, replace=True)

    def put_record(self, head: str | bytes | None = None, rest: str | bytes | None = None) -> None:
        """Either line as it shall be."""
        lines = (dump(self.head) if head is None else head, dump(self.rest) if rest is None else rest)
        first, second = (line.encode("utf-8", "surrogatepass") if isinstance(line, str) else line for line in lines)
        self.redis.set(self.session_key, first + b"\n" + PLAIN + second, ex=86_400)

    def put_turn(self, number: int, packed: bytes) -> None:
        """The turn's bytes, with a record that knows their length."""
        sealed = [PLAIN + b"j" + dump(turn).encode("utf-8", "surrogatepass") for turn in self.turns]
        sealed[number] = PLAIN + packed
        self.redis.hset(self.key("turns"), mapping=dict(zip(self.path, sealed, strict=True)))
        self.put_record(dump({**self.head, "bytes": sum(map(len, sealed))}))


def dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def take_up(redis: Redis, response_id: str) -> Stored:
    """The stored response with this id, which the store gave it."""
    first, second = redis.get(SESSION + response_id.encode()).split(b"\n", 1)
    head, rest = json.loads(first), json.loads(second.removeprefix(PLAIN))
    names = [f"litellm_patch:{{{head['conversation']}}}:{name}" for name in ("turns", "tree", "lives")]
    path, turn = [], head["turn"]
    while turn != "0":
        path.insert(0, turn)
        turn = f"{redis.zscore(names[1], turn):.0f}"
    turns: list[dict] = []
    earlier = b""
    for packed in redis.hmget(names[0], path):
        data = unpack(packed.removeprefix(PLAIN), earlier)
        earlier = (earlier + data)[-WINDOW_BYTES:]
        turns.append(json.loads(data.decode("utf-8", "surrogatepass")))
    dumps = {key: redis.dump(key) for key in (SESSION + response_id.encode(), *(name.encode() for name in names))}
    return Stored(redis, response_id, head, rest, tuple(path), tuple(turns), dumps)


def unpack(packed: bytes, earlier: bytes) -> bytes:
    if packed[:1] == b"j":
        return packed[1:]
    size = int.from_bytes(packed[1:3], "big")
    window = earlier[-size:] if size else b""
    return (zlib.decompressobj(14, window) if window else zlib.decompressobj(14)).decompress(packed[3:])


def pack(data: bytes) -> bytes:
    """Without the turns before it."""
    return b"z\0\0" + zlib.compress(data, 9, 14)
