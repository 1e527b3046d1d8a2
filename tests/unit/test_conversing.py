"""A request in a conversation object: what it finds, how long it holds the object, and when it lets go."""

from __future__ import annotations

import asyncio
import gc
import json
from dataclasses import replace
from typing import Any

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.doors import leaving
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis import defects
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.scripts import OBJECT
from litellm.responses.litellm_completion_transformation.redis_session_patch.request import conversing
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.exchange import Exchange, Source
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.lookup import begin
from litellm.responses.litellm_completion_transformation.redis_session_patch.values import refusals
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.ids import (
    Place,
    conversation_id,
    conversation_of,
    item_id_at,
    new_conversation,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.owner import NOBODY
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.results import StoreUnavailable
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.turns import Chain, Turn

from .support.bridge import ALICE, BOB, answered, no_redis, reply_of, using, wrapped
from .support.runtimes import counted, runtime_on
from .support.stores import conversation_keys
from .support.waiting import until

pytestmark = pytest.mark.usefixtures("used_runtime")


async def made(runtime: Any, *texts: str) -> str:
    name = new_conversation()
    turns = [Turn([{"role": "user", "content": text}], by=(ALICE.tag,)) for text in texts]
    await runtime.store.make(name, {}, turns, ALICE)
    return conversation_id(name)


async def entered(given: Any, caller: Any = ALICE, **data: Any) -> Exchange:
    exchange = Exchange(caller)
    await begin(exchange, {"input": "hello", "conversation": given, **data})
    return exchange


def holder(runtime: Any, object_id: str) -> bytes | None:
    with runtime.open_client(5) as client:
        held = client.hget(conversation_keys(runtime.prefix, conversation_of(object_id) or "")[0], "held")
    return held.split()[0] if held else None


@pytest.mark.parametrize("as_object", [False, True])
async def test_its_turns_are_the_history_and_the_turn_s_place_is_behind_them(runtime, as_object):
    object_id = await made(runtime, "a", "b")
    exchange = await entered({"id": object_id} if as_object else object_id)
    assert exchange.history is not None and exchange.history.source is Source.REDIS
    assert [turn.items[0]["content"] for turn in exchange.chain.turns] == ["a", "b"]
    assert exchange.conversation_shown == {"id": object_id}
    assert exchange.place.conversation == conversation_of(object_id)
    assert holder(runtime, object_id) == exchange.place.turn.encode()
    await conversing.let_go(exchange)
    assert holder(runtime, object_id) is None and counted(runtime) == {"lookups found": 1}


async def test_an_empty_one_has_no_history(runtime):
    exchange = await entered(await made(runtime))
    assert exchange.history is None and exchange.conversation_shown is not None
    await conversing.let_go(exchange)


REFUSED = {
    "unknown": (f"conv_{'0' * 11}", ALICE, {}, refusals.CONVERSATION),
    "of another form": ("conv_1", ALICE, {}, refusals.CONVERSATION),
    "no id": ("thread_1", ALICE, {}, refusals.CONVERSATION_FORM),
    "a number": (7, ALICE, {}, refusals.CONVERSATION_FORM),
    "an object without one": ({}, ALICE, {}, refusals.CONVERSATION_FORM),
    "with a previous response": ("conv_1", ALICE, {"previous_response_id": wrapped("x")}, refusals.CONVERSATION_TOO),
    "of nobody": ("conv_1", NOBODY, {}, refusals.CONVERSATION),
}


@pytest.mark.parametrize("kind", REFUSED)
async def test_what_leads_nowhere_is_to_be_refused_and_holds_nothing(runtime, kind):
    given, caller, data, code = REFUSED[kind]
    exchange = await entered(given, caller, **data)
    assert (exchange.refused, exchange.hold, exchange.conversation_shown) == (code, None, None)
    await conversing.let_go(exchange)
    assert defects.counted() == 0


async def test_somebody_else_s_is_unknown_and_is_not_held(runtime):
    object_id = await made(runtime, "a")
    exchange = await entered(object_id, BOB)
    assert exchange.refused == refusals.CONVERSATION and holder(runtime, object_id) is None
    assert counted(runtime) == {"lookups denied": 1}


async def test_a_second_request_is_refused_and_takes_the_first_one_nothing(runtime):
    object_id = await made(runtime, "a")
    first, second = await entered(object_id), await entered(object_id)
    assert second.refused == refusals.CONVERSATION_LOCKED
    await conversing.let_go(second)
    assert holder(runtime, object_id) == first.place.turn.encode()
    await conversing.let_go(first)


async def test_while_redis_cannot_be_asked_it_is_to_be_tried_again():
    with using(runtime_on(no_redis())):
        exchange = await entered("conv_0123456789a")
    assert exchange.refused == refusals.CANNOT_ASK_CONVERSATION
    assert refusals.answer_of(exchange.refused, "")[0] == 503


async def test_a_hold_is_renewed_while_its_request_is_there_and_no_longer(runtime, monkeypatch):
    monkeypatch.setattr(conversing, "HOLD_SECONDS", 0.03)
    object_id, renewed = await made(runtime, "a"), list[Any]()

    async def hold(place: Any, seconds: int) -> None:
        renewed.append(seconds)

    monkeypatch.setattr(runtime.store, "hold", hold)
    exchange: Exchange | None = await entered(object_id)
    await until(lambda: len(renewed) > 3)
    renewal = exchange.hold.renewal
    exchange = None
    gc.collect()
    await asyncio.wait_for(renewal, 5)
    assert set(renewed) == {0.03}


@pytest.mark.parametrize("is_stored", [True, False])
async def test_a_turn_that_is_in_it_lets_go_by_the_same_command(runtime, is_stored):
    object_id = await made(runtime, "a")
    exchange = await entered(object_id, store=is_stored)
    call = answered(exchange)
    reply = {**reply_of(exchange), "conversation": exchange.conversation_shown}
    assert call.exchange is exchange
    assert await leaving.leave(exchange, reply, _Headers()) == reply
    assert exchange.is_kept and holder(runtime, object_id) is None
    listing = await runtime.store.list_turns(exchange.place.conversation, ALICE, 5)
    assert listing.turns[0].turn.items == "hello" and counted(runtime)["turns stored"] == 1
    assert isinstance(await runtime.store.read(exchange.place, ALICE), Chain) is is_stored
    await conversing.let_go(exchange)


class _Headers:
    def __init__(self) -> None:
        self.headers: dict[str, str] = {}


@pytest.mark.parametrize("kind", ["reply", "stream", "stream in text"])
async def test_a_reply_that_could_not_be_stored_does_not_say_that_it_is_in_it(runtime, kind):
    object_id = await made(runtime, "a")
    exchange = await entered(object_id)
    answered(exchange)
    await runtime.store.delete(Place(exchange.place.conversation, OBJECT), ALICE)
    reply = {**reply_of(exchange), "conversation": exchange.conversation_shown}
    if kind == "reply":
        left = await leaving.leave(exchange, reply, _Headers())
        assert left == {**reply, "conversation": None}
    else:
        event = {"type": "response.completed", "response": reply}
        chunk = "data: " + json.dumps(event) + "\n\n"
        sent = await leaving.store_last_event(exchange, chunk if kind == "stream in text" else chunk.encode())
        assert isinstance(sent, str) is (kind == "stream in text")
        text = sent if isinstance(sent, str) else sent.decode()
        assert '"conversation": null' in text and text.startswith("data: ") and text.endswith("\n\n")
    assert counted(runtime)["turns skipped"] == 1
    await conversing.let_go(exchange)


@pytest.mark.parametrize("ends", ["before it is known", "with the request"])
async def test_a_hold_that_redis_could_not_let_go_is_let_go_when_it_is_back(runtime, monkeypatch, ends):
    object_id, store = await made(runtime, "a"), runtime.store
    hold, talk = store.hold, store.talk

    async def is_away(*_: Any) -> None:
        raise StoreUnavailable("away")

    async def too_late(*asked: Any) -> None:
        await talk(*asked)
        raise StoreUnavailable("too late")

    monkeypatch.setattr(store, "hold", is_away)
    if ends == "before it is known":
        monkeypatch.setattr(store, "talk", too_late)
    exchange = await entered(object_id)
    assert (exchange.refused is not None) is (ends == "before it is known")
    await conversing.let_go(exchange)
    assert holder(runtime, object_id) is not None
    monkeypatch.setattr(store, "hold", hold)
    await until(lambda: holder(runtime, object_id) is None)


async def test_for_a_count_it_is_read_and_not_held(runtime):
    object_id = await made(runtime, "a")
    first = await entered(object_id)
    counting = Exchange(ALICE)
    await begin(counting, {"input": "hello", "conversation": object_id}, holds=False)
    assert [turn.items[0]["content"] for turn in counting.chain.turns] == ["a"] and counting.hold is None
    await conversing.let_go(counting)
    assert holder(runtime, object_id) == first.place.turn.encode()
    await conversing.let_go(first)


async def test_who_took_part_in_an_item_that_is_referred_to_takes_part_in_the_turn(runtime):
    other = replace(ALICE, end_user="eu1")
    place = await say_as(runtime, other)
    exchange = Exchange(ALICE)
    await begin(exchange, {"input": [{"type": "item_reference", "id": item_id_at("message", place, 0, is_input=True)}]})
    assert exchange.by == (ALICE.tag, other.tag)


async def say_as(runtime: Any, owner: Any) -> Place:
    place = Place(new_conversation(), "1")
    await runtime.store.append(place, [Turn("hello", by=(owner.tag,))], Chain(()), owner)
    return place
