"""Format 2 as bytes. A test here that fails says: an older proxy of the fleet would misunderstand the new one's values.

Then the format's number has to change, and these values must stay readable or become a counted miss.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch import conversation as conv
from litellm.responses.litellm_completion_transformation.redis_session_patch.conversation import Record, Turn
from litellm.responses.litellm_completion_transformation.redis_session_patch.owner import Owner
from litellm.responses.litellm_completion_transformation.redis_session_patch.packing import unpack
from litellm.responses.litellm_completion_transformation.redis_session_patch.results import Miss

from .support.recorded import CONVERSATION, KEY, PLAIN, SEALED, TURNS, Recorded
from .support.stores import ALICE, chain_of, inputs_of, load, say, store_on

RECORD = (
    b'{"v":2,"c":"c0nversat10n","t":"102","n":2,"b":300,"s":653,"k":1361188362,"a":1700000000,'
    b'"o":["K9gGyX8OAK8","sfUaUR8doM0"]}'
)


@pytest.mark.parametrize("recorded, keys", [(PLAIN, ()), (SEALED, (KEY,))], ids=["plain", "sealed"])
async def test_recorded_values_are_read_as_what_was_said(redis_client, recorded: Recorded, keys):
    await recorded.put_into(redis_client)
    store = store_on(redis_client, keys=keys)
    assert (await chain_of(store, "chatcmpl-2")).turns == TURNS
    chain = await chain_of(store, "chatcmpl-1")
    assert chain.turns == TURNS[:1]
    assert (chain.record.owner, chain.record.started) == (Owner(ALICE.user, ALICE.team), 1_700_000_000)
    assert await inputs_of(store, await say(store, "on", chain)) == [TURNS[0].input, "on"]


def test_a_record_is_written_as_it_was():
    record = Record("c0nversat10n", "102", 2, 300, 653, 1_361_188_362, 1_700_000_000, Owner(ALICE.user, ALICE.team))
    assert conv.encode_record(record) == RECORD
    assert conv.decode_record(RECORD) == record
    assert conv.encode_record(replace(record, owner=Owner(key="k"))).endswith(b',"o":[null,null,"k"]}')
    of_an_end_user = replace(record, owner=Owner(end_user="e", organization="o"))
    assert conv.encode_record(of_an_end_user).endswith(b',"o":[null,null,null,"e","o"]}')


def test_a_turn_is_written_as_it_was():
    assert conv.encode_turn(TURNS[0], None) == (
        b'{"v":2,"input":"\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82 \\u0000 \xed\xa0\xbd","answer":[{"role":'
        b'"assistant","content":"Hi \xf0\x9f\x98\x80 again and again and again and again and again and again and again'
        b' and again and again and again."}],"maker":"claude","session":"trace","instructions":"Be kind."},'
    )
    assert conv.encode_turn(TURNS[1], TURNS[0]).endswith(b'"maker":"claude","session":"trace","instructions":true},')
    assert conv.encode_turn(Turn("a"), None) == b'{"v":2,"input":"a","answer":[]},'
    hers = Turn("a", by=("A.r.k.", "B.r.k.e.o"))
    assert conv.encode_turn(hers, None) == b'{"v":2,"input":"a","answer":[],"by":["A.r.k.","B.r.k.e.o"]},'
    assert conv.encode_turn(hers, hers) == b'{"v":2,"input":"a","answer":[],"by":true},'


async def test_a_conversation_knows_everybody_who_took_part_in_it(redis_client, store):
    """By these tags an administrator's erasure finds it: one user may come with many keys, and for many end users."""
    other = replace(ALICE, key="another key", end_user="an end user")
    await say(store, "b", await chain_of(store, await say(store, "a")), owner=other)
    (turns,) = await redis_client.keys("*:turns")
    tags = {name.decode() for name in await redis_client.hkeys(turns) if name.startswith(b"o")}
    assert tags == {f"o{ALICE.tag}", f"o{ALICE.user}.{ALICE.team}.another key.an end user."}


def test_pieces_are_unpacked_as_they_were():
    """Packed they may become other bytes, as another zlib makes them."""
    pieces = [bytes.fromhex("ca48cdc9c95748cc4b510000"), bytes.fromhex("ca80b0d21333f30000")]
    assert unpack(pieces, 21, 0x749D6535) == b"hello and hello again"


async def test_the_keys_of_a_conversation_are_called_as_they_were(redis_client, store):
    chain = await chain_of(store, await say(store, "a", as_id="x"))
    head = f"litellm_patch:{{{chain.record.conversation}}}:"
    names = {"litellm_patch:session:x", *(head + name for name in ("turns", "tree", "lives"))}
    assert {key.decode() for key in await redis_client.keys("*")} == names
    (turn,) = await redis_client.zrange(head + "tree", 0, -1, withscores=True)
    assert turn == (chain.record.turn.encode(), 0.0)
    assert set(await redis_client.hkeys(head + "turns")) == {turn[0], b"o" + ALICE.tag.encode()}
    assert (await redis_client.hget(head + "turns", turn[0])).startswith(b"P")
    assert CONVERSATION == "litellm_patch:{c0nversat10n}:"


async def test_values_of_the_first_edition_are_a_counted_miss(redis_client, store):
    """One record and one list of turns, as version 0.1 wrote them."""
    record = (
        b'J{"v":1,"conversation":"abc","path":[[0,0]],"leaf":"t0","owner":["alice","red","k1"],"session_id":"s",'
        b'"created":1700000000.0,"life_seconds":86400}'
    )
    await redis_client.set("litellm_patch:session:x", record)
    await redis_client.rpush("litellm_patch:turns:abc", b'J{"v":1,"id":"t0","input":"a"}')
    assert await load(store, "x") is Miss.UNREADABLE
    assert await say(store, "new", as_id="x") != "x"
