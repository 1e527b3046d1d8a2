"""Format 3 as bytes. A test here that fails says: an older proxy of the fleet would misunderstand the new one's values.

Then the format's number has to change, and these values must stay readable or become a counted miss.
"""

from __future__ import annotations

import base64
import zlib
from dataclasses import replace
from typing import Any

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.runtime import Runtime
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.cipher import Cipher
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.ids import (
    Place,
    place_of,
    with_place,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.owner import ANYBODY, Owner
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.packing import pack, unpack
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.results import Miss
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.settings import Settings
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.turns import (
    NO_TURNS,
    Chain,
    Turn,
    encode_turn,
)

from .support.recorded import (
    FIELDS,
    HEAD,
    KEY,
    LONG,
    OWNER,
    PLACES,
    PLAIN,
    RULES,
    SEALED,
    STARTED,
    TURNS,
    Recorded,
)
from .support.stores import connection_to

NEXT = Place(PLACES[0].conversation, "104")


def runtime_with(client: Any, **settings: Any) -> Runtime:
    return Runtime(Settings(timeout_seconds=10.0, **settings), connection_to(client))


def pieces_of(recorded: Recorded) -> list[tuple[bytes, bytes]]:
    """The header of each turn, and what is sealed."""
    values = [base64.b64decode(text) for text in recorded.turns.values()]
    return [(head + b"\n", sealed) for head, _, sealed in (value.partition(b"\n") for value in values)]


def shown(chain: Chain) -> tuple[Turn, ...]:
    """With each reply as a value."""
    return tuple(replace(turn, reply=turn.shown) for turn in chain.turns)


@pytest.mark.parametrize("recorded, keys", [(PLAIN, ()), (SEALED, (KEY,))], ids=["plain", "sealed"])
async def test_recorded_values_are_read_as_what_was_said(redis_client, recorded, keys):
    recorded.put_into(redis_client)
    store = runtime_with(redis_client, encryption_keys=keys).store
    for number, place in enumerate(PLACES, 1):
        chain = await store.read(place, OWNER)
        assert isinstance(chain, Chain), chain
        assert (shown(chain), chain.tip.turns, chain.tip.started) == (TURNS[:number], number, STARTED)
    await store.append(NEXT, [Turn("on")], chain, OWNER)
    assert shown(await store.read(NEXT, OWNER)) == (*TURNS, Turn("on"))


@pytest.mark.parametrize(
    "reader", [OWNER, Owner("K9gGyX8OAK8", "sfUaUR8doM0", "another"), Owner("K9gGyX8OAK8"), ANYBODY], ids=str
)
async def test_recorded_values_are_their_owner_s(redis_client, runtime, reader):
    PLAIN.put_into(redis_client)
    found = await runtime.store.read(PLACES[0], reader)
    assert isinstance(found, Chain) if reader.team else found is Miss.DENIED


def test_sealed_pieces_are_bound_to_header_turn_before_and_owner():
    before = b"0"
    for (plain_head, packed), (head, sealed), place in zip(pieces_of(PLAIN), pieces_of(SEALED), PLACES, strict=True):
        turn = place.turn.encode()
        context = f"{place.conversation} {OWNER.identity}".encode()
        opened = Cipher([KEY]).open(sealed, context, head + before + b"/" + turn)
        assert (b"P" + opened, plain_head.split()[2:]) == (packed, head.split()[2:])
        before = turn


def test_a_header_tells_turns_stored_bytes_text_bytes_and_crc():
    text = b""
    for number, (turn, (head, _)) in enumerate(zip(TURNS, pieces_of(PLAIN), strict=True)):
        text += encode_turn(turn, TURNS[number - 1] if number else None)
        stored = sum(len(packed) for _, packed in pieces_of(PLAIN)[: number + 1])
        assert head == b"%d %d %d %d\n" % (number + 1, stored, len(text), zlib.crc32(text))


def test_a_turn_is_written_as_it_was():
    answer, rules = (text.encode() for text in (LONG, RULES))
    assert [encode_turn(turn, before) for turn, before in zip(TURNS, (None, *TURNS), strict=False)] == [
        b'{"v":3,"input":"\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82 \\u0000 \xed\xa0\xbd","answer":[{"role":'
        b'"assistant","content":"%b"}],"maker":"claude","session":"trace","instructions":"%b",'
        b'"by":["K9gGyX8OAK8.sfUaUR8doM0.x6UDsJ6ORbE.."]}\n'
        b'{"response":{"instructions":"","store":true,"tools":[{"type":"function","name":"f","parameters":{"type":"object",'
        b'"properties":{}}}],"created_at":1,"output":[{"type":"message","content":[{"type":"output_text",'
        b'"text":""}]}]},"same":[[["instructions"],["instructions"]],'
        b'[["output",0,"content",0,"text"],["answer",0,"content"]]]}\n' % (answer, rules),
        b'{"v":3,"input":[{"role":"user","content":[{"type":"input_text","text":"again and again and again and again. '
        b'again and again and again and again. "}]},{"type":"function_call_output","call_id":"c1","output":"42"}],'
        b'"answer":[{"role":"assistant","content":null,"tool_calls":[{"id":"c2","type":"function","function":'
        b'{"name":"f","arguments":"{}"}}]}],"maker":"claude","session":"trace","instructions":true,"by":true}\n'
        b'{"response":{"status":"incomplete","output":[{"type":"function_call","call_id":"c2","name":"f",'
        b'"arguments":"\xe2\x80\xa8 \xed\xa0\xbd"}],"temperature":1.0},"gone":["tool_choice","parallel_tool_calls",'
        b'"metadata","tools","text","error","incomplete_details","instructions","max_output_tokens","reasoning",'
        b'"top_p","truncation","user","store"]}\n',
        b'{"v":3,"input":[{"type":"function_call_output","call_id":"c2","output":{"odd":[1.5,null]}}],"answer":[]}\n\n',
    ]


def test_a_place_is_in_an_id_as_it_was():
    """As upstream wraps it, in ARCHITECTURE.md too."""
    text = "litellm:custom_llm_provider:groq;model_id:m;response_id:chatcmpl-7;turn:CO5FuuZtEI4cpvOPMXQ"
    place = Place("CO5FuuZtEI4", "126013505586640")
    assert place_of(f"resp_{base64.b64encode(text.encode()).decode()}") == place
    assert with_place("chatcmpl-7", place) == "chatcmpl-7;turn:CO5FuuZtEI4cpvOPMXQ"


def test_pieces_are_unpacked_as_they_were():
    """Packed they may become other bytes, as another zlib makes them."""
    pieces = [bytes.fromhex("ca48cdc9c95748cc4b510000"), bytes.fromhex("ca80b0d21333f30000")]
    assert unpack(pieces, 21, 0x749D6535) == b"hello and hello again"


async def test_keys_and_fields_are_called_as_they_were(redis_client, runtime):
    await runtime.store.append(PLACES[0], TURNS[:1], NO_TURNS, OWNER)
    assert {key.decode() for key in redis_client.keys("*")} == {HEAD + name for name in ("turns", "tree", "lives")}
    stored = redis_client.hgetall(f"{HEAD}turns")
    assert stored.keys() == {b"101", b"about", b"by"}
    assert stored[b"by"] == FIELDS["by"]
    assert stored[b"about"].startswith(FIELDS["about"].partition(b" ")[0] + b" ")
    assert redis_client.zrange(f"{HEAD}tree", 0, -1, withscores=True) == [(b"101", 0.0)]
    assert redis_client.zrange(f"{HEAD}lives", 0, -1) == [b"101"]
    assert await runtime.store.delete(PLACES[0], OWNER) is None
    assert set(redis_client.hkeys(f"{HEAD}turns")) == {b"about", b"x101"}


async def test_values_of_earlier_editions_are_no_response_s(redis_client, runtime):
    """What 0.1, and 0.2 before it was released, wrote under an id: such ids have no place, and no key is theirs."""
    first = (
        b'J{"v":1,"conversation":"abc","path":[[0,0]],"leaf":"t0","owner":["alice","red","k1"],"session_id":"s",'
        b'"created":1700000000.0,"life_seconds":86400}'
    )
    second = (
        b'{"v":2,"c":"c0nversat10n","t":"102","n":2,"b":300,"s":653,"k":1361188362,"a":1700000000,'
        b'"o":["K9gGyX8OAK8","sfUaUR8doM0"]}\nP'
    )
    redis_client.set("litellm_patch:session:chatcmpl-1", first)
    redis_client.rpush("litellm_patch:turns:abc", b'J{"v":1,"id":"t0","input":"a"}')
    redis_client.set("litellm_patch:session:chatcmpl-2", second)
    redis_client.hset(
        "litellm_patch:{c0nversat10n}:turns", "102", b"P" + pack(b'{"v":2,"input":"a","answer":[]},', b"")
    )
    redis_client.zadd("litellm_patch:{c0nversat10n}:tree", {"102": 0})
    assert place_of("chatcmpl-1") is place_of("chatcmpl-2") is None
    assert await runtime.store.read(Place("c0nversat10", "102"), OWNER) is Miss.UNKNOWN
