"""Conversations longer than their models' windows, of clients as they are, on three wire formats."""

from __future__ import annotations

import functools
import itertools
import json
import os
from collections.abc import AsyncIterator, Sequence
from typing import Any

import agents
import openai
import pytest
from agents.memory import OpenAIResponsesCompactionSession

import litellm
from lab.answers import Answer, ToolCall
from lab.exchange import texts_of
from lab.provider import Provider
from lab.proxy import Proxy
from lab.recording import Recorded

from .test_compaction import every_compacted_model, every_model
from .test_real_clients import look_up

TURNS = int(os.environ.get("LONG_TURNS", "60"))  # as many as a day of work has: 200
THRESHOLD, WINDOW = 4_000, 8_000
SUMMARY = "Write a summary of this conversation"
TOOLS: Any = [
    {"type": "function", "name": "look_up", "parameters": {"type": "object", "properties": {"x": {"type": "string"}}}}
]


@pytest.fixture
async def sdk(proxy: Proxy, provider: Provider) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{proxy.url}/v1", api_key=proxy.key, max_retries=0) as client:
        yield client


@every_model
async def test_the_agents_sdk_compacts_its_session(model: str, sdk: openai.AsyncOpenAI, provider: Provider) -> None:
    session = OpenAIResponsesCompactionSession(
        "long", agents.SQLiteSession("long"), client=sdk, should_trigger_compaction=lambda given: False
    )
    session.model = model  # Its constructor takes names of OpenAI's only.
    agent = agents.Agent(
        name="helper", model=agents.OpenAIResponsesModel(model=model, openai_client=sdk), tools=[look_up]
    )
    config = agents.RunConfig(tracing_disabled=True)
    provider.script(Answer("", (ToolCall("look_up", '{"x": "a"}'),)))
    for text in ("Look it up.", "one", "two"):
        last = await agents.Runner.run(agent, text, session=session, run_config=config)
    for number in range(3):
        told = texts_of(provider.requests()[-1].conversation)
        provider.script(Answer(f"Summary {number}."))
        await session.run_compaction({"force": True})
        assert texts_of(provider.requests()[-1].conversation)[:-1] == [*told, last.final_output]
        assert [item.get("type") for item in await session.get_items()].count("compaction") == 1
        last = await agents.Runner.run(agent, f"after {number}", session=session, run_config=config)
        summary, *rest = texts_of(provider.requests()[-1].conversation)
        assert summary.endswith(f"Summary {number}.") and rest[-1] == f"after {number}"


@functools.cache
def tokens(message: str) -> int:
    return int(litellm.token_counter("gpt-4o", text=message))


def sent(requests: Sequence[Recorded]) -> tuple[list[list[str]], list[list[str]]]:
    """The messages of a conversation's requests, in their order; and of those for its summaries."""
    turns: list[list[str]] = []
    summaries: list[list[str]] = []
    for request in requests:
        messages = [
            json.dumps(message, sort_keys=True) for message in request.body.get("messages") or request.body["contents"]
        ]
        (summaries if SUMMARY in messages[-1] else turns).append(messages)
    return turns, summaries


async def walk(sdk: openai.AsyncOpenAI, model: str, provider: Provider, **params: Any) -> None:
    """TURNS questions, each of which the model answers after a call of a tool."""
    provider.always(Answer("It asked and looked up much."), when=SUMMARY)
    previous: Any = openai.omit
    for number in range(TURNS):
        provider.script(Answer("", (ToolCall("look_up", json.dumps({"x": str(number)})),)), when=f"question {number} ")
        calling = await sdk.responses.create(
            model=model, input=f"question {number} {'word ' * 60}", previous_response_id=previous, tools=TOOLS, **params
        )
        (call,) = (item for item in calling.output if item.type == "function_call")
        result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": f"found {number}"}
        answer = await sdk.responses.create(
            model=model, input=[result], previous_response_id=calling.id, tools=TOOLS, **params
        )
        previous = answer.id


@every_compacted_model
async def test_two_hundred_turns_with_tools_fit_a_small_window(
    model: str, sdk: openai.AsyncOpenAI, provider: Provider
) -> None:
    """The stand-ins refuse what real providers refuse: a call without its result, say."""
    await walk(sdk, model, provider, context_management=[{"type": "compaction", "compact_threshold": THRESHOLD}])
    turns, summaries = sent(provider.requests())
    assert len(turns) == 2 * TURNS and summaries
    assert max(sum(map(tokens, messages)) for messages in (*turns, *summaries)) <= WINDOW
    said = without = sum(map(tokens, turns[0]))
    starts = 0
    for before, now in itertools.pairwise(turns):
        new = now[len(before) :]
        if now[: len(before)] != before:
            starts += 1
            newest = before[before.index(now[1]) :]
            assert "The conversation so far was compacted" in now[0] and now[-1] not in before
            assert now[1 : 1 + len(newest)] == newest
            new = now[1 + len(newest) :]
        said += sum(map(tokens, new))
        without += said
    assert starts == len(summaries)
    for_turns, for_summaries = (sum(map(tokens, itertools.chain(*requests))) for requests in (turns, summaries))
    print(f"{model}: {TURNS} turns, {starts} summaries; tokens sent: {for_turns}, {for_summaries} for summaries")
    print(f"without: {without}")
    assert for_turns + for_summaries < without
