"""What was erased or deleted stays so: whatever is under way, and whatever Redis lost of it before."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from litellm.responses.litellm_completion_transformation.redis_session_patch.conversation import Chain

from .support.recorded import PLAIN
from .support.stores import ALICE, BOB, chain_of, follow, say, turn_of

CUSTOMER = replace(ALICE, end_user="cust0mer")
OTHER = replace(ALICE, end_user="0ther")


async def people_of(client: Any) -> set[str]:
    """The owner tags of the one conversation that Redis holds."""
    (turns,) = await client.keys("*:turns")
    return {field[1:].decode() for field in await client.hkeys(turns) if field.startswith(b"o")}


async def lose(client: Any) -> None:
    """As an eviction of everything."""
    await client.delete(*await client.keys("*"))


async def test_a_conversation_that_redis_lost_is_written_anew_with_everybody_in_it(redis_client, store):
    first = await say(store, "a", owner=CUSTOMER)
    second = await follow(store, await follow(store, first, "b", owner=OTHER), "c", owner=OTHER)
    chain = await chain_of(store, second)
    assert [turn.by for turn in chain.turns] == [(CUSTOMER.tag,), (OTHER.tag,), (OTHER.tag,)]
    await lose(redis_client)
    last = await say(store, "d", chain, owner=ALICE)
    assert await people_of(redis_client) == {CUSTOMER.tag, OTHER.tag, ALICE.tag}
    chain = await chain_of(store, last)
    await lose(redis_client)
    await say(store, "e", chain, owner=ALICE)
    assert await people_of(redis_client) == {CUSTOMER.tag, OTHER.tag, ALICE.tag}


async def test_what_the_database_gave_is_written_with_everybody_in_it(redis_client, store):
    given = Chain((replace(turn_of("a"), by=(CUSTOMER.tag, BOB.tag)), replace(turn_of("b"), by=(OTHER.tag,))))
    await say(store, "c", given)
    assert await people_of(redis_client) == {CUSTOMER.tag, OTHER.tag, BOB.tag, ALICE.tag}


async def test_turns_from_before_they_said_whose_they_are_belong_to_the_record_s_owner(redis_client, store):
    await PLAIN.put_into(redis_client)
    chain = await chain_of(store, "chatcmpl-2")
    await lose(redis_client)
    await say(store, "on", chain, owner=CUSTOMER)
    assert await people_of(redis_client) == {chain.record.owner.tag, CUSTOMER.tag}
