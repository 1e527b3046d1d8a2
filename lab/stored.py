"""What the fork's keys in a Redis hold, read without the fork's own code."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator

from redis import Redis

PREFIX = "litellm_patch:session:"
# Not those of nobody, with which the fork asks Redis whether it works: their names have another length.
TURNS = f"{PREFIX}{{{'?' * 11}}}:turns"


def stored_texts(redis: Redis) -> Iterator[bytes]:
    """Of every conversation each turn's JSON, or its sealed bytes where it is encrypted."""
    for key in redis.scan_iter(TURNS, count=1_000):
        yield from turns_of(redis, key).values()


def turns_of(redis: Redis, turns_key: bytes) -> dict[bytes, bytes]:
    """The JSON of each turn of a conversation by the turn's number, parents first; sealed bytes where encrypted.

    No text is stored but of the turns in its tree.
    """
    with redis.pipeline() as asked:  # at one time, as a proxy may be writing
        asked.hgetall(turns_key).zrange(turns_key.removesuffix(b":turns") + b":tree", 0, -1, withscores=True)
        stored, tree = asked.execute()
    parents = {turn: b"%d" % int(parent) for turn, parent in tree}
    assert {name for name in stored if name.isdigit()} == parents.keys()
    return {turn: text_of(turn, parents, stored) for turn in sorted(parents, key=lambda each: depth(each, parents))}


def depth(turn: bytes, parents: dict[bytes, bytes]) -> int:
    return 0 if turn == b"0" else 1 + depth(parents[turn], parents)


# A conversation object's number, which is no turn's: what it holds is its metadata.
OBJECT = b"%d" % (1 << 48)


def text_of(turn: bytes, parents: dict[bytes, bytes], stored: dict[bytes, bytes]) -> bytes:
    """What a turn adds to the one deflate stream that all turns up to it make."""
    if turn == OBJECT:
        return stored[turn]
    path = []
    while turn != b"0":
        path.append(stored[turn].partition(b"\n")[2])
        turn = parents[turn]
    if any(value[:1] != b"P" for value in path):
        return path[0]
    stream = zlib.decompressobj(-15)
    for value in reversed(path):
        text = stream.decompress(value[1:] + b"\x00\x00\xff\xff")
    return text


def lives_key(turns_key: bytes) -> bytes:
    return turns_key.removesuffix(b":turns") + b":lives"


def living_responses(redis: Redis) -> Iterator[str]:
    """An id for each response that lives, made of its place alone."""
    now = redis.time()[0]
    for key in redis.scan_iter(TURNS, count=1_000):
        conversation = key.decode().partition("{")[2].partition("}")[0]
        for turn in set(redis.zrangebyscore(lives_key(key), now, "+inf")) - {OBJECT}:
            yield id_at(conversation, int(turn))


def id_at(conversation: str, turn: int, provider_id: str = "any") -> str:
    """An id made up, with the place of a turn."""
    return f"{provider_id};turn:{conversation}{base64.urlsafe_b64encode(turn.to_bytes(6, 'big')).decode()}"


def end_lives(redis: Redis, turns_key: bytes) -> None:
    """The time of each response of the conversation is over."""
    redis.zadd(lives_key(turns_key), dict.fromkeys(redis.zrange(lives_key(turns_key), 0, -1), 1))
