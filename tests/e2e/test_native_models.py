"""A conversation moves between models with a Responses endpoint of their own and bridged ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from lab.answers import Answer, ToolCall
from lab.asking import Asker, asking
from lab.custom_auth import bearer
from lab.native_models import NATIVE, NATIVE_PAIR
from lab.native_models import NATIVE_OTHER as OTHER
from lab.provider import Provider
from lab.proxies import ProxyPool
from lab.proxy import MODELS, ProxyOptions

from .checks import marker
from .test_inputs import TOOLS

STREAMS = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])


@pytest.fixture
def natives(proxies: ProxyPool, native_options: ProxyOptions, provider: Provider) -> Iterator[Asker]:
    with asking(proxies.get(native_options), provider) as asker:
        yield asker


@pytest.fixture(scope="module")
def cached(native_options: ProxyOptions) -> ProxyOptions:
    """LiteLLM keeps responses, whoever asks; the bearer token says who that is."""
    settings = {"cache": True, "cache_params": {"type": "local"}}
    return replace(native_options, custom_auth=True, litellm_settings=settings)


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


@STREAMS
def test_a_call_that_nobody_answers_stops_no_conversation(stream: bool, natives: Asker) -> None:
    call = Answer(tool_calls=(ToolCall("look_up"),))
    first = natives.with_manner(NATIVE, stream).ask("One.", answer=call, tools=TOOLS)
    second = natives.with_manner("chat-model").ask("Never mind.", first, tools=TOOLS)
    third = natives.with_manner(NATIVE, stream).ask("Three.", second, tools=TOOLS)
    assert third.status == 200, third.reply.body
    assert third.said == ["One.", "This call has no result.", "Never mind.", second.reply.text, "Three."]


@pytest.mark.parametrize("after", [OTHER, NATIVE])
def test_a_shell_that_the_client_runs_goes_along(after: str, natives: Asker) -> None:
    shell = {
        "type": "shell_call",
        "id": "sh_1",
        "call_id": "call_sh",
        "status": "completed",
        "action": {"commands": ["ls"], "timeout_ms": None, "max_output_length": None},
    }
    done = {"outcome": {"type": "exit", "exit_code": 0}, "stdout": "a file", "stderr": ""}
    tools = [{"type": "shell"}]
    first = natives.with_manner(NATIVE).ask("List.", answer=Answer("", blocks=(shell,)), tools=tools)
    result = {"type": "shell_call_output", "call_id": "call_sh", "output": [done]}
    natives.provider.forget("one")
    second = natives.with_manner(after).ask([result], first, tools=tools)
    assert second.status == 200, second.reply.body
    kinds = [item["type"] for item in second.requests[-1].body["input"]]
    assert kinds == ["message", "shell_call", "shell_call_output"]
    third = natives.with_manner(OTHER).ask("And?", second, tools=tools)
    assert third.status == 200, third.reply.body


def test_what_refers_to_the_provider_s_items_stays_with_it(natives: Asker) -> None:
    """Nobody else could tell what the model saw."""
    asker = natives.with_manner(NATIVE)
    first = asker.ask("One.")
    reference = {"type": "item_reference", "id": first.reply.output[0]["id"]}
    second = asker.ask([{"role": "user", "content": "One."}, reference, {"role": "user", "content": "Two."}])
    assert second.said == ["One.", first.reply.text, "Two."]
    assert asker.ask("Three.", second).said == [*second.said, second.reply.text, "Three."]
    elsewhere = natives.with_manner("chat-model").ask("Three.", second)
    assert elsewhere.said == ["Three."] and elsewhere.reply.headers["x-litellm-session-history"] == "none"


@pytest.mark.parametrize("before", MODELS)
def test_what_refers_to_a_bridged_model_s_items_is_sent_as_the_provider_takes_it(before: str, natives: Asker) -> None:
    call = Answer(tool_calls=(ToolCall("look_up", "{}"),), thinking="hm")
    first = natives.with_manner(before).ask("One.", answer=call, tools=TOOLS)
    references = [{"type": "item_reference", "id": item["id"]} for item in first.reply.output]
    made = first.reply.calls[0]["call_id"]
    result = {"type": "function_call_output", "call_id": made, "output": "It is blue."}
    second = natives.with_manner(NATIVE).ask([{"role": "user", "content": "One."}, *references, result], tools=TOOLS)
    assert second.status == 200, second.reply.body
    _, called, answered = second.conversation
    assert [each.name for each in called.calls] == ["look_up"] and answered.results[0].text == "It is blue."


def test_a_refusal_is_part_of_the_conversation(natives: Asker) -> None:
    refusal = {"type": "refusal", "refusal": "I cannot."}
    message = {"type": "message", "id": "msg_r", "role": "assistant", "status": "completed", "content": [refusal]}
    first = natives.with_manner(NATIVE).ask("One.", answer=Answer("", blocks=(message,)))
    for model in MODELS:
        assert natives.with_manner(model).ask("Why?", first).said == ["One.", "I cannot.", "Why?"]


@STREAMS
def test_a_cached_answer_is_nobody_else_s(
    stream: bool, natives: Asker, proxies: ProxyPool, cached: ProxyOptions
) -> None:
    asked = marker()
    with asking(proxies.get(cached), natives.provider, key=bearer(user="ada")) as asker:
        asker = asker.with_manner(NATIVE, stream)
        first, others = asker.ask(asked), asker.as_key(bearer(user="bob")).ask(asked)
        assert first.id != others.id
        assert asker.as_key(bearer(user="bob")).ask("And?", others).said == [asked, others.reply.text, "And?"]
