"""A connection that dies after Redis did what it was told, before it said so: done once all the same."""

from __future__ import annotations

from typing import Any

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.cipher import Cipher
from litellm.responses.litellm_completion_transformation.redis_session_patch.link import Link
from litellm.responses.litellm_completion_transformation.redis_session_patch.results import NotStored, StoreUnavailable
from litellm.responses.litellm_completion_transformation.redis_session_patch.settings import Settings
from litellm.responses.litellm_completion_transformation.redis_session_patch.store import Reservation, SessionStore

from .support.clients import Halved, Interposed, Torn, raise_error
from .support.inside import responses, turns_in_all
from .support.stores import TTL_SECONDS, chain_of, inputs_of, load, reserve, say, talk


class Lossy:
    """A store behind a link whose first client is torn, and the second one works."""

    def __init__(self, client: Any, command: str):
        self.torn = Torn(client, command)
        self.opened: list[Any] = []
        self._following = [Interposed(client), self.torn]
        link = Link(self._open, 16)
        self.store = SessionStore(link.call, Settings(ttl_seconds=TTL_SECONDS), Cipher())

    def _open(self) -> Any:
        self.opened.append(self._following.pop())
        return self.opened[-1]

    def was_torn(self) -> bool:
        return self.torn.torn == 1 and len(self.opened) == 2


async def test_a_turn_is_stored_once(redis_client, store):
    chain, lossy = await chain_of(store, await say(store, "a")), Lossy(redis_client, "append")
    assert await say(lossy.store, "b", chain, as_id="x") == "x"
    assert lossy.was_torn()
    assert await inputs_of(store, "x") == ["a", "b"]
    assert await turns_in_all(redis_client) == 2 == len(await responses(redis_client))
    assert all([await redis_client.ttl(key) > 0 for key in await redis_client.keys("*")])


async def test_a_reserved_turn_is_stored_once_under_its_id(redis_client, store):
    reservation, lossy = await reserve(store, "x"), Lossy(redis_client, "append")
    assert await say(lossy.store, "a", as_id="x", id_is_out=True, reservation=reservation) == "x"
    assert lossy.was_torn() and await inputs_of(store, "x") == ["a"]


@pytest.mark.parametrize("command", ["get", "read"])
async def test_a_conversation_is_read(redis_client, store, command):
    ids, lossy = await talk(store, "abc"), Lossy(redis_client, command)
    assert await inputs_of(lossy.store, ids[-1]) == list("abc")
    assert lossy.was_torn()


async def test_a_reservation_is_held_and_released(redis_client, store):
    lossy, reservation = Lossy(redis_client, "commit"), Reservation("x")
    assert await lossy.store.reserve(reservation) and lossy.was_torn()
    lossy = Lossy(redis_client, "release")
    await lossy.store.release(reservation)
    assert lossy.was_torn() and not await store.is_taken("x")


async def test_a_retry_does_not_take_another_s_place(redis_client, store):
    await say(store, "theirs", as_id="x")
    lossy = Lossy(redis_client, "append")
    with pytest.raises(NotStored):
        await say(lossy.store, "mine", as_id="x", id_is_out=True)
    assert await inputs_of(store, "x") == ["theirs"]


async def test_a_connection_that_dies_before_redis_is_told_anything_costs_a_retry_too(redis_client, store):
    broken = Interposed(redis_client, before=lambda _: raise_error(ConnectionResetError()))
    clients = [Interposed(redis_client), broken]
    link = Link(clients.pop, 16)
    assert await say(SessionStore(link.call, Settings(), Cipher()), "a", as_id="x") == "x"
    assert clients == [] and await inputs_of(store, "x") == ["a"]


async def test_a_turn_that_was_added_but_has_no_record_is_nobody_s(redis_client, store):
    """The connection dies for good between the two steps."""
    link = Link(lambda: Halved(redis_client, ConnectionResetError()), 16)
    with pytest.raises(StoreUnavailable):
        await say(SessionStore(link.call, Settings(), Cipher()), "a", as_id="x")
    assert (await load(store, "x")).value == "unknown" and await turns_in_all(redis_client) == 1
    assert all([await redis_client.ttl(key) > 0 for key in await redis_client.keys("*")])
