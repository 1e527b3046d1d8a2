"""Stores, turns and conversations in one line each."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.conversation_store import (
    ConversationStore,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.guard import Guard, Lanes
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.store import (
    KEY_PREFIX,
    SessionStore,
    conversation_keys,
    key_prefix,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.ids import (
    Place,
    new_conversation,
    new_turn,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.owner import Owner, owner_of
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.results import Miss
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.settings import Settings
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.turns import NO_TURNS, Chain, Turn

# What the proxy puts into the `litellm_metadata` of a request of hers, and of his.
OF_ALICE = {"user_api_key_user_id": "alice", "user_api_key_team_id": "red", "user_api_key_hash": "k1"}
OF_BOB = {"user_api_key_user_id": "bob", "user_api_key_team_id": "red", "user_api_key_hash": "k2"}
ALICE, BOB = owner_of(OF_ALICE), owner_of(OF_BOB)
TTL_SECONDS = 1_000
PREFIX = KEY_PREFIX

# Those of all stores of a test process.
_THREADS = ThreadPoolExecutor(16)


def settings_of(**chosen: Any) -> Settings:
    """Those of a test: a patient store, and replies as LiteLLM gives them. ``chosen`` replace them."""
    return Settings(**{"ttl_seconds": TTL_SECONDS, "timeout_seconds": 10.0, "shape": False, **chosen})


def store_on(
    client: Any,
    *,
    namespace: str | None = None,
    record: Callable[..., None] = lambda *_: None,
    **chosen: Any,
) -> ConversationStore:
    """A store on ``client`` alone; ``chosen`` are settings."""
    settings = settings_of(**chosen)
    lanes = Lanes(lambda seconds: client, settings.timeout_seconds, 0)
    lanes.small.threads = lanes.large.threads = _THREADS

    metrics: Any = SimpleNamespace(record=record)
    reads, writes = (Guard(name, lanes, settings.timeout_seconds, ignore, metrics) for name in ("read", "write"))
    return ConversationStore(settings, reads, writes, key_prefix(namespace), metrics)


def connection_to(client: Any, namespace: str | None = None) -> Any:
    """A runtime's way to ``client`` alone."""
    about = {"namespace": namespace, "most_connections": None, "describe": lambda: "a test's Redis"}
    return SimpleNamespace(open=lambda seconds: client, **about)


def ignore(*_: Any) -> None: ...


def turn_of(text: Any, owner: Owner = ALICE) -> Turn:
    return Turn(text, ({"role": "assistant", "content": f"You said: {text}"},), session_id="trace", by=(owner.tag,))


def noise_of(seed: int, characters: int = 2_000) -> str:
    """Text that cannot be packed into less than half of its length."""
    return f"{random.Random(seed).getrandbits(4 * characters):0{characters}x}"


def place_after(chain: Chain) -> Place:
    """As a request chooses it: see Exchange.place."""
    goes_on = chain.tip is not None and not chain.is_full
    return Place(chain.tip.place.conversation if chain.tip and goes_on else new_conversation(), new_turn())


async def say(store: SessionStore, text: Any, after: Chain = NO_TURNS, *, owner: Owner = ALICE) -> Place:
    """Stores one turn, ``text`` or a whole one; where it is."""
    turn = text if isinstance(text, Turn) else turn_of(text, owner)
    place = place_after(after)
    await store.append(place, [replace(turn, by=turn.by or (owner.tag,))], after, owner)
    return place


async def load(store: SessionStore, place: Place, reader: Owner = ALICE) -> Chain | Miss:
    return await store.read(place, reader)


async def chain_of(store: SessionStore, place: Place, reader: Owner = ALICE) -> Chain:
    found = await load(store, place, reader)
    assert isinstance(found, Chain), found
    return found


async def follow(store: SessionStore, place: Place, text: Any, **options: Any) -> Place:
    """Reads a response and stores a turn after it."""
    return await say(store, text, await chain_of(store, place), **options)


async def inputs_of(store: SessionStore, place: Place) -> list[Any]:
    return [turn.items for turn in (await chain_of(store, place)).turns]


async def talk(store: SessionStore, inputs: Iterable[Any]) -> list[Place]:
    """A straight conversation; the place of each response."""
    places: list[Place] = []
    for text in inputs:
        places.append(await (follow(store, places[-1], text) if places else say(store, text)))
    return places


def keys_of(place: Place) -> tuple[str, str, str]:
    """Of its conversation: turns, tree and lives."""
    return conversation_keys(PREFIX, place.conversation)
