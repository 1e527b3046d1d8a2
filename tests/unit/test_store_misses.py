"""All or nothing: whatever is missing, foreign, altered or cut short makes a miss, never another history."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from zlib import crc32

import pytest
from starlette.datastructures import QueryParams

from litellm.responses.litellm_completion_transformation.redis_session_patch.api.stored_responses import (
    OPERATIONS,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.doors import routes
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.ids import Place, wrapped_with_place
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.owner import Owner
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.packing import pack
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.results import Miss, OddValue
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.turns import Chain, Turn

from .support.bridge import client_id, no_redis, using
from .support.clients import Garbling
from .support.runtimes import counted, runtime_on
from .support.stores import ALICE, chain_of, follow, inputs_of, keys_of, load, say, store_on, talk

EACH = pytest.mark.parametrize("index", [0, 1, 2])
INPUTS = ["a" * 200, "b" * 200, "c" * 200]


@pytest.fixture
async def places(store) -> list[Place]:
    """A straight conversation of three turns."""
    return await talk(store, INPUTS)


@EACH
@pytest.mark.parametrize("name", ["turns", "tree"])
async def test_with_any_turn_gone_a_response_is_incomplete(redis_client, store, places, index, name):
    turns, tree, _ = keys_of(places[0])
    if name == "turns":
        redis_client.hdel(turns, places[index].turn)
    else:
        redis_client.zrem(tree, places[index].turn)
    assert await load(store, places[-1]) is Miss.INCOMPLETE


@pytest.mark.parametrize(("lost", "miss"), [(0, Miss.UNKNOWN), (1, Miss.INCOMPLETE), (2, Miss.UNKNOWN)])
async def test_without_one_of_its_keys_a_conversation_is_a_miss(redis_client, store, places, lost, miss):
    redis_client.delete(keys_of(places[0])[lost])
    assert [await load(store, place) for place in places] == [miss] * 3


@EACH
async def test_with_any_turn_of_another_conversation_instead_it_is_no_history(redis_client, store, places, index):
    stranger = (await say(store, "x")).turn
    redis_client.zadd(keys_of(places[0])[1], {places[index].turn: int(stranger)})
    assert await load(store, places[-1]) is Miss.INCOMPLETE


@pytest.mark.parametrize("before", [0, 1, 2])
async def test_a_tree_that_is_round_or_too_short_is_no_history(redis_client, store, places, before):
    tree = keys_of(places[0])[1]
    redis_client.zadd(tree, {places[0].turn: int(places[before].turn)})
    assert await load(store, places[-1]) is Miss.INCOMPLETE
    redis_client.zadd(tree, {places[0].turn: 0, places[2].turn: 0})
    assert await load(store, places[-1]) is Miss.INCOMPLETE


@pytest.mark.parametrize("garbage", [b"", b"P", b"\n", b"P{}", b"\nP\x00\x00", b"E", b"\nEshort", b"1 1 1 1 \nP"])
@EACH
async def test_with_any_turn_spoilt_a_response_is_no_history(redis_client, store, places, garbage, index):
    redis_client.hset(keys_of(places[0])[0], places[index].turn, garbage)
    assert isinstance(await load(store, places[-1]), Miss)


@EACH
async def test_with_any_byte_of_a_turn_changed_it_is_never_another_history(redis_client, store, places, index):
    turns, turn = keys_of(places[0])[0], places[index].turn
    expected, value = await chain_of(store, places[-1]), redis_client.hget(turns, turn)
    for position in range(len(value)):
        redis_client.hset(turns, turn, value[:position] + bytes([value[position] ^ 1]) + value[position + 1 :])
        found = await load(store, places[-1])
        assert isinstance(found, Miss) or found.turns == expected.turns, position


async def test_a_spoilt_turn_of_another_branch_does_no_harm(redis_client, store, places):
    sibling = await follow(store, places[0], "x")
    redis_client.hset(keys_of(places[0])[0], places[1].turn, b"garbage")
    assert await inputs_of(store, sibling) == [INPUTS[0], "x"]


@pytest.mark.parametrize(
    ("head", "miss"),
    [
        (b"2 1 1 1", Miss.INCOMPLETE),
        (b"4 1 1 1", Miss.INCOMPLETE),
        (b"0 1 1 1", Miss.INCOMPLETE),
        (b"-3 1 1 1", Miss.INCOMPLETE),
        (b"3.0 1 1 1", Miss.INCOMPLETE),
        (b"2000 1 1 1", Miss.INCOMPLETE),
        (b"2001 1 1 1", Miss.TOO_LARGE),
        (b"%d 1 1 1" % 10**400, Miss.TOO_LARGE),
        (b"3 %d 1 1" % 10**12, Miss.TOO_LARGE),
        (b"3 1 %d 1" % 10**12, Miss.TOO_LARGE),
        (b"3 1 1 1", Miss.UNREADABLE),
        (b"3 1 -1 1", Miss.INCOMPLETE),
        (b"3 1 1 x", Miss.UNREADABLE),
        (b"3 1 1", Miss.INCOMPLETE),
        (b"3 1 1 1 1", Miss.UNREADABLE),
        (b"", Miss.INCOMPLETE),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_a_header_that_says_what_cannot_be_is_a_miss(redis_client, store, places, head, miss):
    turns, turn = keys_of(places[0])[0], places[-1].turn
    redis_client.hset(turns, turn, head + b"\n" + redis_client.hget(turns, turn).partition(b"\n")[2])
    assert await load(store, places[-1]) is miss


def put_text(client: Any, place: Place, text: bytes, number: int = 1) -> None:
    """As the whole text of a response of one turn, under a header that fits."""
    piece = b"P" + pack(text, b"")
    client.hset(keys_of(place)[0], place.turn, b"%d %d %d %d\n" % (number, len(piece), len(text), crc32(text)) + piece)


async def test_a_bomb_is_not_unpacked(redis_client):
    strict = store_on(redis_client, max_conversation_bytes=100_000)
    place = await say(strict, "x")
    small = b'{"v":3,"input":"' + b" " * 99_980 + b'"}\n\n'
    assert len(small) == 100_000
    put_text(redis_client, place, small)
    assert (await chain_of(strict, place)).tip.bytes < 1_000
    put_text(redis_client, place, small.replace(b"}", b" " * 10_000_000 + b"}"))
    assert await load(strict, place) is Miss.TOO_LARGE


TURN = b'{"v":3,"input":"a"}\n\n'


@pytest.mark.parametrize("text", [b"", TURN[:-1], TURN + TURN, TURN.replace(b'"v":3', b'"v":2')], ids=bytes.decode)
async def test_a_text_that_is_not_the_turns_it_should_be_is_unreadable(redis_client, store, text):
    """What a turn may be is in test_turns.py."""
    place = await say(store, "a")
    put_text(redis_client, place, text)
    assert await load(store, place) is Miss.UNREADABLE


@pytest.mark.parametrize("operation", [("GET", "{response_id}"), ("GET", "input_items")], ids=["get", "input_items"])
async def test_a_reply_that_cannot_be_read_is_not_found_and_its_turn_is_a_history(
    redis_client, runtime, monkeypatch, operation
):
    first = await say(runtime.store, "a")
    put_text(redis_client, first, TURN.replace(b"\n\n", b"\nnot JSON\n"))
    last = await follow(runtime.store, first, Turn("b", reply={"status": "completed"}))
    assert await inputs_of(runtime.store, last) == ["a", "b"]

    async def alice(*_: Any) -> Owner:
        return ALICE

    monkeypatch.setattr(routes, "caller_at_route", alice)
    request = SimpleNamespace(query_params=QueryParams())
    asked = {"response_id": client_id(last if operation[1] == "input_items" else first), "request": request}
    with using(runtime):
        answer = await routes._reply(OPERATIONS[operation], {**asked, "user_api_key_dict": None}, deletes=False)
    assert answer.status_code == 404 and counted(runtime) == {"requests unreadable": 1}


@pytest.mark.parametrize("reply", [17, 0])
async def test_an_answer_that_no_script_gives_is_no_stored_turn(redis_client, reply):
    with pytest.raises(OddValue):
        await say(store_on(Garbling(redis_client, "append", reply)), "a")


@pytest.mark.parametrize("about", [b"", b"x", b"user:x.y", b" 1", b"1700000000", b"user:x.y soon"])
async def test_a_conversation_that_does_not_say_whose_it_is_is_nobody_s(redis_client, store, places, about):
    redis_client.hset(keys_of(places[0])[0], "about", about)
    assert await load(store, places[-1]) is Miss.DENIED


@pytest.mark.parametrize("number", [0, 1, 2], ids=["turns", "tree", "lives"])
async def test_keys_of_another_type_are_an_unreadable_miss_and_left_alone(redis_client, store, places, number):
    chain, key = await chain_of(store, places[-1]), keys_of(places[0])[number]
    redis_client.delete(key)
    redis_client.set(key, "a private text")
    assert await load(store, places[-1]) is Miss.UNREADABLE
    for asked in (say(store, "a private text", chain), store.delete(places[-1], ALICE)):
        with pytest.raises(OddValue) as caught:
            await asked
        assert "private" not in str(caught.value)
    assert redis_client.get(key) == b"a private text"


ODD_REPLIES = [17, None, "found", [], [b"a", 1], [b"found"], [b"found", b"1", 1, b"1", b"P"], [b"large"], {}, 1.5]


@pytest.mark.parametrize("reply", ODD_REPLIES, ids=str)
async def test_a_reply_of_another_type_is_an_unreadable_miss(redis_client, store, reply):
    place = await say(store, "a")
    assert await load(store_on(Garbling(redis_client, "read", reply)), place) is Miss.UNREADABLE


@pytest.mark.parametrize(
    "text",
    ["\x00", "\ud83d", "\udc00 alone", "\u2028 \u05e2\u05d1 \U0001f468\u200d\U0001f469", "", "0", '{"a":1}', "\n"],
)
async def test_odd_characters_come_back(store, text):
    items = [{"role": "user", "content": text * 50}]
    place = await follow(store, await say(store, text), items)
    chain = await load(store, place)
    assert isinstance(chain, Chain) and [turn.items for turn in chain.turns] == [text, items]


@pytest.mark.parametrize(("method", "status"), [("DELETE", 503), ("GET", None)])
async def test_while_redis_is_away_nothing_is_deleted_by_its_provider_alone(monkeypatch, method, status):
    async def alice(*_: Any) -> Owner:
        return ALICE

    monkeypatch.setattr(routes, "caller_at_route", alice)
    response_id = wrapped_with_place("resp_x", Place("0123456789a", "1"), None, "openai", "m")
    given = {"response_id": response_id, "request": SimpleNamespace(query_params=QueryParams())}
    with using(runtime_on(no_redis())):
        operation = OPERATIONS[method, "{response_id}"]
        answer = await routes._reply(operation, {**given, "user_api_key_dict": None}, deletes=method == "DELETE")
    assert getattr(answer, "status_code", None) == status
