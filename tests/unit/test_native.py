"""What a provider with a Responses endpoint of its own goes on from, and whose account it is."""

from __future__ import annotations

import inspect
from types import SimpleNamespace
from typing import Any, cast

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.doors import native as door
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.exchange import (
    Exchange,
    History,
    Source,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.native import (
    NativeCall,
    account_of,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.owner import NOBODY, Owner
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.turns import (
    Chain,
    Turn,
    take_down,
)

ADA = Owner(user="ada")


def native(held_id: str | None, account: str = "one") -> Turn:
    return Turn("q", account=account, held_id=held_id)


def call_after(*turns: Turn, **of_exchange: object) -> NativeCall:
    exchange = Exchange(ADA, previous_id="resp_before", history=History(Source.REDIS, Chain(turns)))
    for name, value in of_exchange.items():
        setattr(exchange, name, value)
    return NativeCall(exchange, {}, "openai", "one")


BRIDGED = Turn("q", ({"role": "assistant", "content": "a"},))


@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        ([native("resp_1")], ("resp_1", 1)),
        ([native("resp_1"), native("resp_2")], ("resp_2", 2)),
        ([native("resp_1"), BRIDGED], ("resp_1", 1)),
        ([native("resp_1"), native("resp_2", "two"), BRIDGED], ("resp_1", 1)),
        ([native("resp_1"), native(None)], ("resp_1", 1)),
        ([native("resp_2", "two")], (None, 0)),
        ([BRIDGED], (None, 0)),
        ([], (None, 0)),
    ],
    ids=["its own", "the newest", "before a bridged one", "before others", "not kept", "another's", "bridged", "none"],
)
def test_it_goes_on_from_the_newest_response_that_its_account_holds(
    turns: list[Turn], expected: tuple[str | None, int]
) -> None:
    assert call_after(*turns).goes_on_from() == expected


PARAMS = {"api_base": "https://a", "api_key": "k", "organization": None}


OTHERS = [
    {"api_base": "https://b"},
    {"api_key": "l"},
    {"organization": "o"},
    {"extra_headers": {"OpenAI-Project": "p"}},
]


@pytest.mark.parametrize("other", OTHERS)
def test_an_account_is_an_address_and_a_key(other: dict) -> None:
    one = account_of("openai", PARAMS)
    assert one == account_of("openai", {**PARAMS, "model": "another", "timeout": 5})
    assert one != account_of("openai", {**PARAMS, **other})
    assert one != account_of("azure", PARAMS)


@pytest.mark.parametrize(
    ("of_exchange", "expected"),
    [
        ({}, True),
        ({"history": None}, False),
        ({"history": None, "previous_id": None}, True),
        ({"caller": NOBODY}, False),
        ({"is_to_be_stored": False}, False),
        ({"refers_elsewhere": True}, False),
    ],
    ids=[
        "all is known",
        "nobody knows what came before",
        "a first turn",
        "nobody's",
        "not to be stored",
        "it refers to what the provider has",
    ],
)
def test_only_what_can_be_found_here_has_a_place(of_exchange: dict, expected: bool) -> None:
    assert call_after(BRIDGED, **of_exchange).has_place is expected


class Refusal(Exception):
    def __init__(self, message: str, status_code: int = 400) -> None:
        super().__init__(message)
        self.message, self.status_code = message, status_code


POLICY = "Invalid prompt: your prompt was flagged. See https://platform.openai.com/docs/guides/reasoning#advice"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Refusal("Previous response with id 'resp_AbC' not found."), True),
        (Refusal("No such object: resp_AbC", 404), True),
        (Refusal("Previous response cannot be used for this organization due to Zero Data Retention."), True),
        (Refusal("gone: previous_response_id", 410), True),
        (Refusal("Reasoning input items can only be provided to a reasoning or computer use model."), True),
        (Refusal("The encrypted content gAAA could not be verified."), True),
        (Refusal("Item 'fc_1' was provided without its required 'reasoning' item: 'rs_1'."), True),
        (Refusal(POLICY), False),
        (Refusal("Unsupported parameter: 'reasoning.effort'"), False),
        (Refusal("Previous response with id 'resp_AbC' not found.", 500), False),
        (ConnectionError("previous response"), False),
    ],
    ids=lambda each: str(each)[:40],
)
async def test_only_a_refusal_of_what_it_was_to_go_on_from_is_asked_again(error: Exception, expected: bool) -> None:
    call = call_after(native("resp_AbC"))
    call.is_served = call.is_held = True
    call.exchange.said = take_down("new")

    def handler(input: Any, response_api_optional_request_params: Any) -> None: ...

    given = {"input": "new", "response_api_optional_request_params": {"previous_response_id": "resp_AbC"}}
    bound = inspect.signature(handler).bind(**given)
    asked = door._Asked(cast(Any, None), call, bound, "new")
    assert await door._is_to_be_asked_again(asked, error) is expected
    assert (bound.arguments["response_api_optional_request_params"] == {}) is expected
    assert len(bound.arguments["input"]) == (2 if expected else 3), "the history, or the text as it was"


@pytest.mark.parametrize(("status", "expected"), [("completed", True), (None, True), ("failed", False)])
def test_a_reply_that_does_not_say_how_it_ended_is_an_answer(status: str | None, expected: bool) -> None:
    call = call_after(BRIDGED)
    call.take_answer(SimpleNamespace(status=status, output=[], store=True), "resp_1")
    assert (call.is_answered, call.own_id) == (expected, "resp_1")
