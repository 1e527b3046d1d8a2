"""A conversation moves between models with a Responses endpoint of their own and bridged ones."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab.answers import Answer, ToolCall
from lab.asking import Asker, asking
from lab.native_models import NATIVE_PAIR
from lab.provider import Provider
from lab.proxies import ProxyPool
from lab.proxy import MODELS, ProxyOptions

from .checks import marker

NATIVE, OTHER = "native-model", "native-other"
TOOLS = [{"type": "function", "name": "look_up", "parameters": {"type": "object", "properties": {}}}]
STREAMS = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])


@pytest.fixture
def natives(proxies: ProxyPool, native_options: ProxyOptions, provider: Provider) -> Iterator[Asker]:
    with asking(proxies.get(native_options), provider) as asker:
        yield asker


@STREAMS
def test_a_provider_that_holds_the_conversation_gets_its_own_id_and_the_new_input_alone(
    stream: bool, natives: Asker
) -> None:
    asker = natives.with_manner(NATIVE, stream)
    first = asker.ask("One.")
    second = asker.ask("Two.", first)
    third = asker.ask("Three.", second)
    assert [each.status for each in (first, second, third)] == [200] * 3
    assert third.request.body["input"] == "Three."
    assert third.said == ["One.", first.reply.text, "Two.", second.reply.text, "Three."]
    assert third.reply.body["previous_response_id"] == second.id


@STREAMS
@pytest.mark.parametrize("after", [*MODELS, OTHER])
@pytest.mark.parametrize("before", [*MODELS, NATIVE])
def test_the_history_goes_along(before: str, after: str, stream: bool, natives: Asker) -> None:
    said = marker()
    first = natives.with_manner(before, stream).ask(said)
    second = natives.with_manner(after, stream).ask("And then?", first)
    assert second.said == [said, first.reply.text, "And then?"]
    third = natives.with_manner(before, stream).ask("And?", second)
    assert third.said == [said, first.reply.text, "And then?", second.reply.text, "And?"]
    if before == NATIVE:  # which holds the beginning
        assert len(third.request.body["input"]) == 3 and third.request.body["previous_response_id"]


@STREAMS
@pytest.mark.parametrize("after", [*MODELS, OTHER, NATIVE])
@pytest.mark.parametrize("before", [*MODELS, NATIVE])
def test_a_call_of_one_model_is_answered_to_another(before: str, after: str, stream: bool, natives: Asker) -> None:
    call = Answer(tool_calls=(ToolCall("look_up", '{"id": 7}'),), thinking="hm")
    first = natives.with_manner(before, stream).ask(marker(), answer=call, tools=TOOLS)
    (made,) = first.reply.calls
    result = {"type": "function_call_output", "call_id": made["call_id"], "output": "It is blue."}
    second = natives.with_manner(after, stream).ask([result], first, tools=TOOLS)
    assert second.status == 200, second.reply.body
    user, called, answered = second.conversation
    assert [each.name for each in called.calls] == ["look_up"] and called.calls[0].arguments == '{"id": 7}'
    assert answered.results[0].text == "It is blue." and user.text
    third = natives.with_manner(before, stream).ask("And?", second, tools=TOOLS)
    assert third.status == 200, third.reply.body
    assert third.said[-3:] == ["It is blue.", second.reply.text, "And?"]


def test_a_provider_that_has_forgotten_gets_the_whole(natives: Asker) -> None:
    asker = natives.with_manner(NATIVE)
    first = asker.ask("One.", answer=Answer("First.", thinking="hm"))
    second = asker.ask("Two.", first)
    natives.provider.forget("one")
    third = asker.ask("Three.", second)
    assert third.status == 200, third.reply.body
    refused, taken = third.requests
    assert refused.refused and not taken.refused
    texts = [text for message in taken.conversation for text in message.texts]
    assert texts == ["One.", "First.", "Two.", second.reply.text, "Three."]


def test_the_next_deployment_goes_on(natives: Asker) -> None:
    asker = natives.with_manner(NATIVE_PAIR)
    first = asker.ask("One.")
    for account in ("one", "two", "one"):
        with natives.provider.down(account):
            second = asker.ask("Two.", first)
            while second.status != 200:
                second = asker.ask("Two.", first)
        assert second.said == ["One.", first.reply.text, "Two."]
