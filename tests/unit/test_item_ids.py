"""Ids of a response's output items: each has its place in it, and is the same in all events and in the response."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from litellm.types.llms.openai import (
    BaseLiteLLMOpenAIResponseObject,
    OutputItemAddedEvent,
    OutputItemDoneEvent,
    OutputTextDeltaEvent,
    ResponseCompletedEvent,
    ResponsesAPIResponse,
)
from pydantic import ConfigDict

from litellm.responses.litellm_completion_transformation.redis_session_patch.redis import defects
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.exchange import Exchange
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.ids import ItemPlace, item_place_of

from .support.bridge import all_events, call_in, event, exchange_of, text_event


class FrozenItem(BaseLiteLLMOpenAIResponseObject):
    """As LiteLLM's item of a tool search, from 1.109."""

    model_config = ConfigDict(extra="allow", frozen=True)

    id: Any = None


as_dict_or_object = pytest.mark.parametrize(
    "make", [dict, SimpleNamespace, BaseLiteLLMOpenAIResponseObject, FrozenItem]
)


def item(upstreams: Any, kind: str = "message", make: Any = SimpleNamespace) -> Any:
    return make(id=upstreams, type=kind)


def id_of(given: Any) -> Any:
    return given["id"] if isinstance(given, dict) else given.id


def in_event(exchange: Exchange, *given: Any) -> list[Any]:
    """The ids that items get one by one."""
    for each in given:
        exchange.put_place_into(each)
    return [id_of(each) for each in given]


def in_response(exchange: Exchange, *given: Any) -> list[Any]:
    """The ids that the items of a whole response get."""
    exchange.put_places_into(given, 0)
    return [id_of(each) for each in given]


@as_dict_or_object
def test_an_item_s_id_says_what_it_is_and_where(make):
    exchange = exchange_of()
    ids = in_event(exchange, *(item(f"x{kind}", kind, make) for kind in ("message", "function_call", "of_tomorrow")))
    assert [each.partition("_")[0] for each in ids] == ["msg", "fc", "item"]
    assert [item_place_of(each) for each in ids] == [ItemPlace(exchange.place, False, number) for number in range(3)]


@as_dict_or_object
def test_an_item_is_handed_out_with_its_id(make):
    exchange, one = exchange_of(), item("x", make=make)
    exchange.put_place_into(one)
    shown = one if isinstance(one, dict) else one.model_dump() if hasattr(one, "model_dump") else vars(one)
    assert shown["id"] == exchange.item_ids["x"] == id_of(one)


@as_dict_or_object
def test_wherever_upstream_names_an_item_its_id_is_the_same(make):
    exchange = exchange_of()
    first, other = in_event(exchange, item("x"), item("y"))
    assert in_event(exchange, item("y", make=make), item("x", make=make)) == [other, first]
    assert in_response(exchange, item("y", make=make), item("x", make=make)) == [other, first]
    assert first != other


def test_an_item_that_has_its_id_keeps_it():
    """Upstream sends one object in several events."""
    exchange, one = exchange_of(), item("x")
    assert in_event(exchange, one) == in_event(exchange, one) == in_response(exchange, one)
    assert len(exchange.item_ids) == 1


@pytest.mark.parametrize("given", [{"type": "message"}, {"id": None}, {"id": 7}, SimpleNamespace(), "of tomorrow"])
def test_an_item_without_an_id_is_left_as_it_is(given):
    exchange, before = exchange_of(), repr(given)
    exchange.put_place_into(given)
    exchange.put_places_into([given], 0)
    assert repr(given) == before and exchange.item_ids == {}


@as_dict_or_object
def test_other_ids_in_a_response_than_in_its_events_are_those_of_the_events_by_kind_in_order(make):
    exchange = exchange_of()
    kinds = ["reasoning", "message", "function_call", "function_call"]
    reason, text, *calls = in_event(exchange, *(item(f"in event {at}", kind) for at, kind in enumerate(kinds)))
    kinds = ["message", "function_call", "reasoning", "function_call"]
    output = [item(f"in response {at}", kind, make) for at, kind in enumerate(kinds)]
    assert in_response(exchange, *output) == [text, calls[0], reason, calls[1]]


def test_many_items_of_a_kind_are_known_in_their_order():
    exchange = exchange_of()
    shown = in_event(exchange, *(item(f"in event {number}", "function_call") for number in range(12)))
    output = [item(f"in response {number}", "function_call") for number in range(12)]
    assert in_response(exchange, *output) == shown and len(set(shown)) == 12


def test_what_a_response_has_and_no_event_had_gets_an_id_of_its_own():
    exchange = exchange_of()
    (shown,) = in_event(exchange, item("x", "function_call"))
    first, second, text = in_response(exchange, item("y", "function_call"), item("z", "function_call"), item("t"))
    assert first == shown and len({first, second, text}) == 3
    assert {item_place_of(each).place for each in (second, text)} == {exchange.place}


def test_a_response_without_events_before_it_has_an_id_for_each_item():
    exchange = exchange_of()
    ids = in_response(exchange, item("x", make=dict), item("y", "function_call"), item("z", "function_call"))
    assert [item_place_of(each).number for each in ids] == [0, 1, 2]


def completed(*output: Any) -> ResponseCompletedEvent:
    response = ResponsesAPIResponse(id="chatcmpl-1", created_at=1, output=list(output))
    return ResponseCompletedEvent(type="response.completed", response=response)


@pytest.mark.parametrize("in_the_response", ["msg_upstreams", "chatcmpl-1"], ids=["same id", "another id"])
async def test_a_streamed_item_has_one_id_from_its_first_event_to_the_response(runtime, in_the_response):
    """With upstream's own events; up to about 1.99 the response has another id than they."""

    def upstreams(item_id: str) -> Any:
        return BaseLiteLLMOpenAIResponseObject(id=item_id, type="message", role="assistant", content=[])

    call, place = call_in(exchange_of()), {"item_id": "msg_upstreams", "output_index": 0, "content_index": 0}
    events = await all_events(
        runtime,
        call,
        [
            OutputItemAddedEvent(type="response.output_item.added", output_index=0, item=upstreams("msg_upstreams")),
            OutputTextDeltaEvent(type="response.output_text.delta", delta="Hi.", **place),
            OutputItemDoneEvent(
                type="response.output_item.done", output_index=0, sequence_number=1, item=upstreams("msg_upstreams")
            ),
            completed({"id": in_the_response, "type": "message", "role": "assistant", "content": []}),
        ],
    )
    added, delta, done, last = events
    ids = [added.item.id, delta.item_id, done.item.id, id_of(last.response.output[0])]
    assert len(set(ids)) == 1 and item_place_of(ids[0]) == ItemPlace(call.exchange.place, False, 0)
    assert delta.model_dump()["item_id"] == ids[0] and call.streamed == "Hi." and defects.counted() == 0


async def test_an_event_of_an_item_that_nobody_has_shown_names_it_as_upstream_does(runtime):
    call = call_in(exchange_of())
    (sent,) = await all_events(runtime, call, [event("output_text.delta", delta="Hi.", item_id="msg_upstreams")])
    assert sent.item_id == "msg_upstreams" and call.exchange.item_ids == {} and call.streamed == "Hi."
    assert defects.counted() == 0


async def test_an_event_without_an_item_is_as_it_was(runtime):
    call = call_in(exchange_of())
    sent = await all_events(runtime, call, [text_event("Hi."), event("content_part.added", item=None, item_id=None)])
    assert vars(sent[1])["item_id"] is None and defects.counted() == 0


def test_what_a_second_stream_ends_with_is_its_own_item():
    """Behind a round of tools that said something, or a fallback; older releases give it another id at its end."""
    exchange = exchange_of()
    first, second, at_its_end = (item(each) for each in ("x", "y", "z"))
    in_event(exchange, first)
    before = len(exchange.item_ids)
    in_event(exchange, second)
    exchange.put_places_into([at_its_end], before)
    assert id_of(at_its_end) == id_of(second) != id_of(first)
