"""What a provider with a Responses endpoint of its own goes on from, and whose account it is."""

from __future__ import annotations

import pytest

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
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.turns import Chain, Turn

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


@pytest.mark.parametrize("other", [{"api_base": "https://b"}, {"api_key": "l"}, {"organization": "o"}])
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
    ],
    ids=["all is known", "nobody knows what came before", "a first turn", "nobody's", "not to be stored"],
)
def test_only_what_can_be_found_here_has_a_place(of_exchange: dict, expected: bool) -> None:
    assert call_after(BRIDGED, **of_exchange).has_place is expected
