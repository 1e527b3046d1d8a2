"""What stands in Redis, looked at and spoilt from outside of the store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .stores import PREFIX, SESSION, chain_of, store_on


@dataclass(frozen=True)
class Conversation:
    """The three keys of one conversation. ``path``: the turns of one response, oldest first."""

    turns: str
    tree: str
    lives: str
    path: tuple[str, ...] = ()

    @property
    def keys(self) -> tuple[str, str, str]:
        return self.turns, self.tree, self.lives


async def conversation_of(client: Any, response_id: str, **options: Any) -> Conversation:
    """That of a stored response, which this renews."""
    record = (await chain_of(store_on(client, **options), response_id)).record
    keys = [f"{PREFIX}{{{record.conversation}}}:{name}" for name in ("turns", "tree", "lives")]
    path = [record.turn]
    while (before := await client.zscore(keys[1], path[0])) and before:
        path.insert(0, str(int(before)))
    return Conversation(*keys, tuple(path))


async def turns_in_all(client: Any) -> int:
    """How many turns Redis holds, of all conversations; the three keys of each must agree."""
    counts = []
    for key in await client.keys(f"{PREFIX}*:turns"):
        fields = [name for name in await client.hkeys(key) if name.isdigit()]
        assert len(fields) == await client.zcard(key.replace(b":turns", b":tree"))
        counts.append(len(fields))
    return sum(counts)


async def pass_time(client: Any, seconds: int) -> None:
    """Makes everything that many seconds older, as if they had passed."""
    for key in await client.keys("*"):
        left = await client.ttl(key) - seconds
        await (client.expire(key, left) if left > 0 else client.delete(key))
        if key.endswith(b":lives"):
            for turn in await client.zrange(key, 0, -1):
                await client.zincrby(key, -seconds, turn)


async def responses(client: Any) -> set[str]:
    return {key.decode().removeprefix(SESSION) for key in await client.keys(f"{SESSION}*")}
