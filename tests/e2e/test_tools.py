"""Tool calls and their results reach the provider once, with ids that match, however they are spread over turns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import cycle
from typing import Any

import pytest
from redis import Redis

from compatibility.scenes import FOUND, SEARCH
from lab.answers import Answer, ToolCall
from lab.asking import Asker, asking
from lab.exchange import Exchange
from lab.lines import Manner
from lab.provider import Provider
from lab.proxy import Proxy
from lab.wire import Call, Result

from .upstream import HAS_CUSTOM_TOOLS, SEARCHES_TOOLS

NO_RESULT = "This call has no result."

TOOLS = [
    {"type": "function", "name": name, "parameters": {"type": "object", "properties": {}}}
    for name in ("look_up", "add")
]
CUSTOM_TOOLS = [{"type": "custom", "name": "run", "description": "runs code"}]


class Turns:
    """Asks each turn of another process than the one before: no process's memory can help."""

    def __init__(self, askers: list[Asker]) -> None:
        self._askers = cycle(askers)
        self.last: Exchange | None = None

    def ask(self, said: Any, answer: Answer | None = None, tools: list[dict] = TOOLS) -> Exchange:
        self.last = next(self._askers).ask(said, self.last, answer=answer, tools=tools)
        return self.last


@pytest.fixture
def turns(manner: Manner, two_proxies: list[Proxy], provider: Provider) -> Iterator[Turns]:
    with ExitStack() as stack:
        yield Turns([stack.enter_context(asking(proxy, provider, manner)) for proxy in two_proxies])


def called(*arguments: str) -> Answer:
    return Answer("", tuple(ToolCall("look_up", f'{{"x": "{each}"}}') for each in arguments))


def result_of(call: dict[str, Any], text: str) -> dict[str, str]:
    kind = "custom_tool_call_output" if call["type"] == "custom_tool_call" else "function_call_output"
    return {"type": kind, "call_id": call["call_id"], "output": text}


def check_calls(exchange: Exchange, results: dict[str, tuple[str, str]]) -> None:
    """``results``: by the id of each call, its argument and its result, in order; each is there once."""
    has_ids = exchange.request.format != "gemini"
    messages = exchange.conversation
    assert [call for message in messages for call in message.calls] == [
        Call("look_up", f'{{"x": "{argument}"}}', call_id if has_ids else None)
        for call_id, (argument, _) in results.items()
    ]
    answered = [result for message in messages for result in message.results]
    assert sorted(answered, key=lambda one: one.text) == sorted(
        (Result(text, call_id if has_ids else None) for call_id, (_, text) in results.items()), key=lambda one: one.text
    )


def test_one_call_and_its_result(turns: Turns) -> None:
    (call,) = turns.ask("Look it up.", called("a")).reply.calls
    answered = turns.ask([result_of(call, "found a")])
    last = turns.ask("And?")
    assert answered.said == ["Look it up.", "found a"]
    assert last.said == ["Look it up.", "found a", answered.reply.text, "And?"]
    for exchange in (answered, last):
        check_calls(exchange, {call["call_id"]: ("a", "found a")})


def test_parallel_calls_answered_together(turns: Turns) -> None:
    one, other = turns.ask("Look both up.", called("a", "b")).reply.calls
    answered = turns.ask([result_of(one, "found a"), result_of(other, "found b"), {"role": "user", "content": "So?"}])
    last = turns.ask("And?")
    assert last.said == ["Look both up.", "found a", "found b", "So?", answered.reply.text, "And?"]
    for exchange in (answered, last):
        check_calls(exchange, {one["call_id"]: ("a", "found a"), other["call_id"]: ("b", "found b")})


def test_a_call_that_leads_to_another_call(turns: Turns) -> None:
    (one,) = turns.ask("Look it up.", called("a")).reply.calls
    (other,) = turns.ask([result_of(one, "found a")], called("b")).reply.calls
    answered = turns.ask([result_of(other, "found b")])
    last = turns.ask("And?")
    assert last.said == ["Look it up.", "found a", "found b", answered.reply.text, "And?"]
    for exchange in (answered, last):
        check_calls(exchange, {one["call_id"]: ("a", "found a"), other["call_id"]: ("b", "found b")})


def check_is_as_told_whole(
    exchange: Exchange, asker: Asker, items: list[dict[str, Any]], tools: list[dict[str, Any]] = TOOLS
) -> None:
    """The oracle: a client with no memory sends everything."""
    expected = asker.ask(items, tools=tools)
    assert (exchange.status, exchange.conversation) == (expected.status, expected.conversation)


@pytest.mark.parametrize(
    "between", [[], [{"role": "user", "content": "Still looking?"}]], ids=["at once", "after a word"]
)
def test_parallel_calls_answered_over_two_turns(between: list[dict], turns: Turns) -> None:
    """Until its result comes, a call has one that says so: providers refuse a call without."""
    one, other = turns.ask("Look both up.", called("a", "b")).reply.calls
    second = turns.ask([result_of(one, "found a"), *between])
    late = turns.ask([result_of(other, "found b"), {"role": "user", "content": "So?"}])
    said = [each["content"] for each in between]
    assert second.said == ["Look both up.", "found a", NO_RESULT, *said]
    assert late.said == ["Look both up.", "found a", "found b", *said, second.reply.text, "So?"]
    check_calls(second, {one["call_id"]: ("a", "found a"), other["call_id"]: ("b", NO_RESULT)})
    check_calls(late, {one["call_id"]: ("a", "found a"), other["call_id"]: ("b", "found b")})


def test_a_result_that_arrives_after_other_turns(turns: Turns) -> None:
    (call,) = turns.ask("Look it up.", called("a")).reply.calls
    second = turns.ask("Meanwhile, talk.")
    third = turns.ask("Go on.")
    late = turns.ask([result_of(call, "found a"), {"role": "user", "content": "So?"}])
    talk = ["Meanwhile, talk.", second.reply.text, "Go on.", third.reply.text]
    assert second.said == ["Look it up.", NO_RESULT, "Meanwhile, talk."]
    assert late.said == ["Look it up.", "found a", *talk, "So?"]
    check_calls(late, {call["call_id"]: ("a", "found a")})


def test_a_call_that_upstream_put_back_stays_in_the_conversation(asker: Asker, redis: Redis) -> None:
    """Its conversation is gone from Redis, and the process that answered still has the call in its memory."""
    first = asker.ask("Look it up.", answer=called("a"), tools=TOOLS)
    (call,) = first.reply.calls
    redis.delete(*redis.scan_iter("litellm_patch:*", count=1_000))
    answered = asker.ask([result_of(call, "found a")], first, tools=TOOLS)
    last = asker.ask("And?", answered)
    assert answered.said == ["found a"]
    assert last.said == ["found a", answered.reply.text, "And?"]
    for exchange in (answered, last):
        check_calls(exchange, {call["call_id"]: ("a", "found a")})


@pytest.mark.skipif(not HAS_CUSTOM_TOOLS, reason="this release has no custom tools on the bridge (no custom_tools.py)")
def test_a_custom_tool_s_call_and_its_result(turns: Turns) -> None:
    first = turns.ask("Run it.", Answer("", (ToolCall("run", '{"content": "print(1)"}'),)), tools=CUSTOM_TOOLS)
    (call,) = [item for item in first.reply.output if item["type"] == "custom_tool_call"]
    assert call["input"] == "print(1)"
    answered = turns.ask([result_of(call, "1")], tools=CUSTOM_TOOLS)
    last = turns.ask("And?", tools=CUSTOM_TOOLS)
    assert last.said == ["Run it.", "1", answered.reply.text, "And?"]
    for exchange in (answered, last):
        has_ids = exchange.request.format != "gemini"
        sent_id = call["call_id"] if has_ids else None
        calls = [each for message in exchange.conversation for each in message.calls]
        assert [(each.name, each.id) for each in calls] == [("run", sent_id)]
        assert [each for message in exchange.conversation for each in message.results] == [Result("1", sent_id)]


@pytest.mark.skipif(not SEARCHES_TOOLS, reason="this release has no searches for tools (no client_tool_search.py)")
def test_a_search_of_the_client_s_for_tools(turns: Turns) -> None:
    searched = Answer("", (ToolCall("tool_search", '{"query": "weather"}'),))
    first = turns.ask("What is the weather?", searched, tools=SEARCH)
    (call,) = [item for item in first.reply.output if item["type"] == "tool_search_call"]
    found = {"type": "tool_search_output", "execution": "client", "call_id": call["call_id"], "tools": [FOUND]}
    answered = turns.ask([found], tools=SEARCH)
    last = turns.ask("And tomorrow?", tools=SEARCH)
    text = "Loaded these tools, which are now callable: tell_weather"
    assert last.said == ["What is the weather?", text, answered.reply.text, "And tomorrow?"]
    for exchange in (answered, last):
        sent_id = call["call_id"] if exchange.request.format != "gemini" else None
        calls = [each for message in exchange.conversation for each in message.calls]
        assert [(each.name, each.id) for each in calls] == [("tool_search", sent_id)]
        assert [each for message in exchange.conversation for each in message.results] == [Result(text, sent_id)]
        assert "tell_weather" in str(exchange.request.body["tools"])


@pytest.mark.skipif(HAS_CUSTOM_TOOLS, reason="this release has custom tools on the bridge (custom_tools.py)")
def test_without_custom_tools_on_the_bridge_their_results_are_lost(turns: Turns, manner: Manner) -> None:
    """Upstream's defect: it refuses Claude's requests, DeepSeek refuses its own, and Gemini's calls are a function's,
    whose results it drops.
    """
    first = turns.ask("Run it.", Answer("", (ToolCall("run", '{"content": "print(1)"}'),)), tools=CUSTOM_TOOLS)
    if manner.model == "claude-model":
        assert (first.status, first.request) == (500, None)
        return
    if manner.model == "chat-model":
        assert (first.status, first.request.refused) == (400, "deepseek-tool-kind")
        return
    *_, call = first.reply.output
    assert call["type"] == "function_call"
    result = {"type": "custom_tool_call_output", "call_id": call["call_id"], "output": "1"}
    answered = turns.ask([result], tools=CUSTOM_TOOLS)
    assert answered.said == ["Run it.", "This call has no result."]


def test_two_workers_share_their_tool_calls(manner: Manner, second_proxy: Proxy, provider: Provider) -> None:
    assert second_proxy.options.num_workers == 2
    for _ in range(6):  # the system chooses the worker for each new connection
        with ExitStack() as stack:
            askers = [stack.enter_context(asking(second_proxy, provider, manner)) for _ in range(3)]
            turns = Turns(askers)
            (call,) = turns.ask("Look it up.", called("a")).reply.calls
            answered = turns.ask([result_of(call, "found a")])
            last = turns.ask("And?")
        assert last.said == ["Look it up.", "found a", answered.reply.text, "And?"]
        check_calls(last, {call["call_id"]: ("a", "found a")})
