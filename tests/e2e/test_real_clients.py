"""Clients that people use: OpenAI's own SDK and its Agents SDK, with a tool's round trip."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import agents
import openai
import pytest
from openai.types.responses import Response

from lab.answers import Answer, ToolCall
from lab.exchange import texts_of
from lab.lines import Manner
from lab.provider import Provider
from lab.proxy import Proxy

TOOLS = [
    {"type": "function", "name": "look_up", "parameters": {"type": "object", "properties": {"x": {"type": "string"}}}}
]
CALL = Answer("", (ToolCall("look_up", '{"x": "a"}'),))


@pytest.fixture
def sdk(proxy: Proxy, provider: Provider) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{proxy.url}/v1", api_key=proxy.key, max_retries=0) as client:
        yield client


@pytest.fixture
async def async_sdk(proxy: Proxy, provider: Provider) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{proxy.url}/v1", api_key=proxy.key, max_retries=0) as client:
        yield client


def create(sdk: openai.OpenAI, manner: Manner, **params: Any) -> Response:
    if not manner.stream:
        return sdk.responses.create(model=manner.model, **params)
    with sdk.responses.create(model=manner.model, stream=True, **params) as events:
        *_, last = events
    assert last.type == "response.completed"
    return last.response


def check_last_request(provider: Provider, said: list[str], tool_calls: int) -> None:
    """The provider was last sent ``said``, and each call and result once."""
    conversation = provider.requests()[-1].conversation
    assert texts_of(conversation) == said
    calls = [call for message in conversation for call in message.calls]
    results = [result for message in conversation for result in message.results]
    assert [(call.name, call.arguments) for call in calls] == [("look_up", '{"x": "a"}')] * tool_calls
    assert [result.call_id for result in results] == [call.id for call in calls]


def test_openai_s_sdk_holds_a_conversation(manner: Manner, sdk: openai.OpenAI, provider: Provider) -> None:
    said: list[str] = []
    previous = None
    for number in range(3):
        response = create(sdk, manner, input=f"turn {number}", previous_response_id=previous)
        check_last_request(provider, [*said, f"turn {number}"], tool_calls=0)
        said += [f"turn {number}", response.output_text]
        previous = response.id


def test_openai_s_sdk_calls_a_tool(manner: Manner, sdk: openai.OpenAI, provider: Provider) -> None:
    provider.script(CALL)
    first = create(sdk, manner, input="Look it up.", tools=TOOLS)
    (call,) = [item for item in first.output if item.type == "function_call"]
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "found"}
    second = create(sdk, manner, input=[result], previous_response_id=first.id, tools=TOOLS)
    check_last_request(provider, ["Look it up.", "found"], tool_calls=1)
    create(sdk, manner, input="And?", previous_response_id=second.id, tools=TOOLS)
    check_last_request(provider, ["Look it up.", "found", second.output_text, "And?"], tool_calls=1)


@agents.function_tool
def look_up(x: str) -> str:
    """Looks something up."""
    return f"found {x}"


async def run(agent: agents.Agent, said: str, stream: bool, previous: str | None) -> Any:
    link = {"previous_response_id": previous, "auto_previous_response_id": True}
    config = agents.RunConfig(tracing_disabled=True)
    if not stream:
        return await agents.Runner.run(agent, said, run_config=config, **link)
    running = agents.Runner.run_streamed(agent, said, run_config=config, **link)
    async for _ in running.stream_events():
        pass
    return running


async def test_an_agent_uses_a_tool_and_goes_on(
    manner: Manner, async_sdk: openai.AsyncOpenAI, provider: Provider
) -> None:
    model = agents.OpenAIResponsesModel(model=manner.model, openai_client=async_sdk)
    agent = agents.Agent(name="helper", model=model, tools=[look_up])
    provider.script(CALL)
    first = await run(agent, "Look it up.", manner.stream, None)
    check_last_request(provider, ["Look it up.", "found a"], tool_calls=1)
    second = await run(agent, "And?", manner.stream, first.last_response_id)
    told = ["Look it up.", "found a", first.final_output, "And?"]
    check_last_request(provider, told, tool_calls=1)
    await run(agent, "Thanks.", manner.stream, second.last_response_id)
    check_last_request(provider, [*told, second.final_output, "Thanks."], tool_calls=1)
    assert len(provider.requests()) == 4, "each message went out once"
