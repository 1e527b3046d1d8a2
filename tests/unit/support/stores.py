"""Stores, turns and conversations in one line each."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from litellm.responses.litellm_completion_transformation.redis_session_patch.cipher import Cipher
from litellm.responses.litellm_completion_transformation.redis_session_patch.conversation import Chain, Turn, new_id
from litellm.responses.litellm_completion_transformation.redis_session_patch.owner import Owner, may_continue
from litellm.responses.litellm_completion_transformation.redis_session_patch.store import Miss, SessionStore

ALICE = Owner(user="alice", team="red", key="k1")
BOB = Owner(user="bob", team="red", key="k2")
TTL_SECONDS = 1_000
SESSION, TURNS = "litellm_patch:session:", "litellm_patch:turns:"


def store_on(client: Any, **options: Any) -> SessionStore:
    """A store with generous limits; `options` replace them."""
    defaults = {
        "ttl_seconds": TTL_SECONDS,
        "timeout_seconds": 10.0,
        "max_turn_bytes": 10_000_000,
        "max_turns": 10_000,
        "cipher": Cipher(),
    }
    return SessionStore(client, **{**defaults, **options})


def turn_of(text: Any, after: Chain | None = None) -> Turn:
    return Turn(
        id=new_id(),
        parent=after.turns[-1].id if after else None,
        input=text,
        instructions=None,
        answer=({"role": "assistant", "content": f"You said: {text}"},),
    )


async def say(
    store: SessionStore,
    text: Any,
    after: Chain | None = None,
    *,
    as_id: str | None = None,
    owner: Owner = ALICE,
    **options,
) -> str:
    """Stores one turn; the id to continue it by."""
    return await store.save(
        as_id or f"chatcmpl-{new_id()}", turn_of(text, after), parent=after, owner=owner, session_id="trace", **options
    )


async def load(store: SessionStore, response_id: str, reader: Owner = ALICE) -> Chain | Miss:
    return await store.load(response_id, lambda owner: may_continue(reader, owner))


async def follow(store: SessionStore, response_id: str, text: Any, **options: Any) -> str:
    """Reads a response and stores a turn after it."""
    return await say(store, text, await chain_of(store, response_id), **options)


async def chain_of(store: SessionStore, response_id: str) -> Chain:
    found = await load(store, response_id)
    assert isinstance(found, Chain), found
    return found


async def inputs_of(store: SessionStore, response_id: str) -> list[Any]:
    return [turn.input for turn in (await chain_of(store, response_id)).turns]


async def talk(store: SessionStore, inputs: Iterable[Any]) -> list[str]:
    """A straight conversation; the id of each response."""
    ids: list[str] = []
    for text in inputs:
        ids.append(await (follow(store, ids[-1], text) if ids else say(store, text)))
    return ids


@dataclass
class Tree:
    """A conversation of many branches. `nodes`: of each response id, the inputs that lead to it."""

    store: SessionStore
    nodes: dict[str, list[str]] = field(default_factory=dict)

    async def grow(self, parent: str | None) -> str:
        text = f"turn {len(self.nodes)}"
        new = await (follow(self.store, parent, text) if parent else say(self.store, text))
        self.nodes[new] = [*self.nodes.get(parent, ()), text]
        return new

    async def grow_randomly(self, size: int, chance: random.Random) -> None:
        for _ in range(size):
            await self.grow(chance.choice(list(self.nodes)) if self.nodes else None)

    async def wrong_nodes(self) -> list[str]:
        """Responses whose history is not exactly their own ancestors."""
        return [node for node, expected in self.nodes.items() if await inputs_of(self.store, node) != expected]
