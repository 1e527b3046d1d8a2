"""Stores, turns and conversations in one line each."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from litellm.responses.litellm_completion_transformation.redis_session_patch.cipher import Cipher
from litellm.responses.litellm_completion_transformation.redis_session_patch.conversation import (
    NO_TURNS,
    Chain,
    Turn,
    new_turn_id,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.owner import Owner, may_continue, owner_of
from litellm.responses.litellm_completion_transformation.redis_session_patch.results import Miss
from litellm.responses.litellm_completion_transformation.redis_session_patch.settings import Settings
from litellm.responses.litellm_completion_transformation.redis_session_patch.store import Reservation, SessionStore

# What the proxy puts into the `litellm_metadata` of a request of hers, and of his.
OF_ALICE = {"user_api_key_user_id": "alice", "user_api_key_team_id": "red", "user_api_key_hash": "k1"}
OF_BOB = {"user_api_key_user_id": "bob", "user_api_key_team_id": "red", "user_api_key_hash": "k2"}
ALICE, BOB = owner_of(OF_ALICE), owner_of(OF_BOB)
TTL_SECONDS = 1_000
PREFIX = "litellm_patch:"
SESSION = f"{PREFIX}session:"


class Moved:
    """A budget that is never used up, and knows the bytes that were to be moved."""

    def __init__(self) -> None:
        self.bytes: list[int] = []

    def add_bytes(self, size_bytes: int) -> None:
        self.bytes.append(size_bytes)


def store_on(
    client: Any,
    *,
    keys: tuple[bytes, ...] = (),
    required: bool = False,
    namespace: str | None = None,
    clock: Callable[[], float] = time.time,
    **settings: Any,
) -> SessionStore:
    """A store on ``client`` alone; ``settings`` replace the default ones."""
    cipher = Cipher(keys, required=required)
    chosen = Settings(**{"ttl_seconds": TTL_SECONDS, **settings})
    return SessionStore(lambda command: command(client), chosen, cipher, namespace=namespace, clock=clock)


def turn_of(text: Any) -> Turn:
    return Turn(text, ({"role": "assistant", "content": f"You said: {text}"},), session_id="trace")


def noise_of(seed: int, characters: int = 2_000) -> str:
    """Text that cannot be packed into less than half of its length."""
    return f"{random.Random(seed).getrandbits(4 * characters):0{characters}x}"


async def say(
    store: SessionStore,
    text: Any,
    after: Chain = NO_TURNS,
    *,
    as_id: str | None = None,
    owner: Owner = ALICE,
    budget: Any = None,
    **options: Any,
) -> str:
    """Stores one turn, ``text`` or a whole one; the id to continue it by."""
    turn = text if isinstance(text, Turn) else turn_of(text)
    return await store.save(
        as_id or f"chatcmpl-{new_turn_id()}",
        turn,
        after,
        budget or Moved(),
        owner=owner,
        **options,
    )


async def load(store: SessionStore, response_id: str, reader: Owner = ALICE, budget: Any = None) -> Chain | Miss:
    return await store.load(response_id, lambda owner: may_continue(reader, owner), budget or Moved())


async def reserve(store: SessionStore, response_id: str) -> Reservation:
    reservation = Reservation(response_id)
    assert await store.reserve(reservation)
    return reservation


async def chain_of(store: SessionStore, response_id: str) -> Chain:
    found = await load(store, response_id)
    assert isinstance(found, Chain), found
    return found


async def follow(store: SessionStore, response_id: str, text: Any, **options: Any) -> str:
    """Reads a response and stores a turn after it."""
    return await say(store, text, await chain_of(store, response_id), **options)


async def inputs_of(store: SessionStore, response_id: str) -> list[Any]:
    return [turn.input for turn in (await chain_of(store, response_id)).turns]


async def talk(store: SessionStore, inputs: Iterable[str]) -> list[str]:
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
