"""Items that a client refers to by their ids: those of a stored response of its own are put into its input."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.api.stored_responses import items_of
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.store import SessionStore
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.exchange import Exchange
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.lookup import begin
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.references import (
    referred_to,
    resolved,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.ids import (
    Place,
    item_id_at,
    new_conversation,
    new_turn,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.owner import NOBODY, Owner
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.results import StoreError
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.turns import NO_TURNS, Chain, Turn

from .support.bridge import ALICE, BOB, call_item, message_item, no_redis, result_item, using
from .support.messages import user
from .support.runtimes import runtime_on
from .support.stores import chain_of, place_after

INPUT = [user("look"), result_item("c0")]
OUTPUT = [message_item("I do."), call_item("c1")]


def reference(item_id: str) -> dict[str, Any]:
    return {"type": "item_reference", "id": item_id}


def output_ids(place: Place) -> list[str]:
    return [item_id_at(item["type"], place, number, is_input=False) for number, item in enumerate(OUTPUT)]


def output_at(place: Place) -> list[dict[str, Any]]:
    """As the client got it."""
    return [{**item, "id": item_id} for item, item_id in zip(OUTPUT, output_ids(place), strict=True)]


def input_ids(place: Place) -> list[str]:
    return [item_id_at(item.get("type", "message"), place, number, is_input=True) for number, item in enumerate(INPUT)]


async def kept(store: SessionStore, said: Any = INPUT, after: Chain = NO_TURNS) -> Place:
    """Of a stored response of hers with OUTPUT as its output."""
    place = place_after(after)
    await store.append(place, [Turn(said, reply={"output": output_at(place)}, by=(ALICE.tag,))], after, ALICE)
    return place


def count_reads(runtime: Any) -> list[Place]:
    """Which turns Redis is asked for, from now on."""
    asked: list[Place] = []
    read = runtime.store.read

    async def noted(place: Place, reader: Owner) -> Any:
        asked.append(place)
        return await read(place, reader)

    runtime.store.read = noted
    return asked


@pytest.mark.parametrize("kind", [{"type": "item_reference"}, {"type": None}, {}], ids=["reference", "null", "no type"])
def test_an_item_of_an_id_alone_refers_to_another_one(kind):
    assert referred_to({**kind, "id": "msg_x"}) == "msg_x"


@pytest.mark.parametrize(
    "item",
    [
        {"type": "item_reference", "id": "msg_x", "status": "completed"},
        {"id": "msg_x", "role": "user", "content": "hello"},
        {"type": "message", "id": "msg_x"},
        {"type": "item_reference"},
        {"type": "item_reference", "id": None},
        {"type": "item_reference", "id": 7},
        {},
        "msg_x",
        None,
        ["id"],
    ],
    ids=str,
)
def test_what_says_more_or_less_than_an_id_is_no_reference(item):
    assert referred_to(item) is None


async def test_an_output_item_is_there_as_the_client_got_it(runtime):
    place = await kept(runtime.store)
    said = [user("a"), *map(reference, output_ids(place)), user("b")]
    assert (await resolved(runtime, ALICE, said)).items == [user("a"), *output_at(place), user("b")]
    assert said[1] == reference(output_ids(place)[0]), "what the client sent is not changed"


@pytest.mark.parametrize("said", ["look", INPUT], ids=["a text", "items"])
async def test_an_input_item_is_found_by_the_id_that_it_is_listed_with(runtime, said):
    place = await kept(runtime.store, said)
    ids = [item["id"] for item in items_of(await chain_of(runtime.store, place))]
    found = (await resolved(runtime, ALICE, list(map(reference, ids)))).items
    items = said if isinstance(said, list) else [user(said)]
    assert found == [{**item, "id": item_id} for item, item_id in zip(items, ids, strict=True)]
    assert ids == input_ids(place)[: len(ids)]


async def test_items_of_every_turn_of_a_conversation_and_of_others_are_found(runtime):
    first = await kept(runtime.store, "one")
    second = await kept(runtime.store, "two", await chain_of(runtime.store, first))
    other = await kept(runtime.store, "three")
    assert first.conversation == second.conversation != other.conversation
    found = (await resolved(runtime, ALICE, [reference(input_ids(place)[0]) for place in (first, second, other)])).items
    assert [item["content"] for item in found] == ["one", "two", "three"]


async def test_an_id_alone_is_a_reference_too(runtime):
    place = await kept(runtime.store)
    assert (await resolved(runtime, ALICE, [{"id": output_ids(place)[0]}])).items == output_at(place)[:1]


async def test_an_item_of_somebody_else_stays_a_reference(runtime):
    place = await kept(runtime.store)
    said = [*map(reference, [*output_ids(place), *input_ids(place)])]
    assert (await resolved(runtime, BOB, said)).items == said


async def test_an_item_of_a_deleted_response_stays_a_reference(runtime):
    place = await kept(runtime.store)
    await runtime.store.delete(place, ALICE)
    said = [*map(reference, [*output_ids(place), *input_ids(place)])]
    assert (await resolved(runtime, ALICE, said)).items == said


async def test_an_item_of_a_damaged_conversation_stays_a_reference(runtime, redis_client):
    place = await kept(runtime.store)
    (turns,) = redis_client.keys("*:turns")
    head, _, _ = redis_client.hget(turns, place.turn).partition(b"\n")
    redis_client.hset(turns, place.turn, head + b"\ngarbage")
    said = [*map(reference, [*output_ids(place), *input_ids(place)])]
    assert (await resolved(runtime, ALICE, said)).items == said


@pytest.mark.parametrize("reply", [None, "no JSON", '{"response": 7}', {}, {"output": None}], ids=str)
async def test_an_output_item_of_a_reply_that_nobody_can_read_stays_a_reference(runtime, reply):
    place = await kept(runtime.store)
    chain = await chain_of(runtime.store, place)

    async def damaged(*args: Any) -> Chain:
        return replace(chain, turns=(replace(chain.turns[0], reply=reply),))

    runtime.store.read = damaged
    said = [*map(reference, output_ids(place)), user("a")]
    assert (await resolved(runtime, ALICE, said)).items == said


async def test_an_item_that_its_response_does_not_have_stays_a_reference(runtime):
    place = await kept(runtime.store)
    said = [reference(item_id_at("message", place, 2, is_input=is_input)) for is_input in (False, True)]
    said.append(reference(item_id_at("reasoning", place, 0, is_input=False)))
    assert (await resolved(runtime, ALICE, said)).items == said


@pytest.mark.parametrize("item_id", ["msg_0123456789abcdef", "rs_x", ""])
async def test_an_id_that_says_no_place_stays_a_reference_and_redis_is_not_asked(runtime, item_id):
    asked, said = count_reads(runtime), [user("a"), reference(item_id)]
    assert (await resolved(runtime, ALICE, said)).items == said and asked == []


@pytest.mark.parametrize("said", ["hello", None, {"id": "x"}, [], [user("a"), "b", None, 7]], ids=str)
async def test_an_input_without_a_reference_is_the_client_s_own_object(runtime, said):
    asked = count_reads(runtime)
    assert (await resolved(runtime, ALICE, said)).items is said and asked == []


async def test_redis_is_asked_once_for_a_turn_whatever_many_of_its_items_are_named(runtime):
    first, second = await kept(runtime.store), await kept(runtime.store)
    unknown = Place(new_conversation(), new_turn())
    ids = [each for place in (first, second, unknown) for each in (*output_ids(place), *input_ids(place))]
    asked = count_reads(runtime)
    found = (await resolved(runtime, ALICE, [*map(reference, ids), *map(reference, reversed(ids))])).items
    assert asked == [first, second, unknown]
    assert [item["id"] for item in found] == [*ids, *reversed(ids)]
    assert [referred_to(item) is None for item in found[: len(ids)]] == [True] * 8 + [False] * 4


@pytest.mark.parametrize("caller", [NOBODY, Owner(claimed_end_user="eve")])
async def test_for_one_of_whom_nothing_is_known_redis_is_not_asked(runtime, caller):
    said, asked = [reference(output_ids(await kept(runtime.store))[0])], count_reads(runtime)
    assert (await resolved(runtime, caller, said)).items is said and asked == []


async def test_a_store_that_cannot_be_asked_is_an_error():
    with pytest.raises(StoreError):
        await resolved(runtime_on(no_redis()), ALICE, [reference(output_ids(Place("c0nversat-_", "1"))[0])])


async def taken(runtime: Any, *said: Any) -> tuple[Exchange, list[Any]]:
    """A request, and its input when LiteLLM gets it."""
    exchange, data = Exchange(ALICE), {"input": list(said)}
    with using(runtime):
        await begin(exchange, data)
    return exchange, data["input"]


async def test_what_was_referred_to_is_what_the_client_said(runtime):
    place = await kept(runtime.store)
    exchange, its_input = await taken(runtime, reference(output_ids(place)[0]), user("a"))
    assert its_input == [output_at(place)[0], user("a")]
    assert (json.loads(exchange.said.text), exchange.said_items) == (its_input, 2)
    assert not exchange.is_item_unavailable


@pytest.mark.parametrize("is_there", [True, False], ids=["a store", "no store"])
async def test_what_is_not_found_is_said_as_the_client_sent_it(runtime, is_there):
    said = [reference(output_ids(Place("c0nversat-_", "1"))[0])]
    exchange, its_input = await taken(runtime if is_there else None, *said)
    assert its_input == json.loads(exchange.said.text) == said and not exchange.is_item_unavailable


async def test_of_a_store_that_cannot_be_asked_the_request_knows_and_its_input_stays():
    said = [reference(output_ids(Place("c0nversat-_", "1"))[0]), user("a")]
    exchange, its_input = await taken(runtime_on(no_redis()), *said)
    assert its_input == json.loads(exchange.said.text) == said and exchange.is_item_unavailable
