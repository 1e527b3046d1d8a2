"""The Agents SDK's `OpenAIConversationsSession`, as it is: its state is a conversation object of ours."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import agents
import openai
import pytest

from lab.exchange import texts_of
from lab.lines import Manner
from lab.provider import Provider
from lab.proxy import Proxy

from .test_real_clients import CALL, look_up

# Run by another Python, which has nothing but the session's id.
RESUME = """
import asyncio, sys
import agents, openai

def look_up(x: str) -> str:
    return f"found {x}"

async def main(url, key, model, session_id):
    client = openai.AsyncOpenAI(base_url=url, api_key=key, max_retries=0)
    session = agents.OpenAIConversationsSession(conversation_id=session_id, openai_client=client)
    used = agents.OpenAIResponsesModel(model=model, openai_client=client)
    # Up to 1.10x a Claude that has called a tool refuses requests without tools.
    agent = agents.Agent(name="later", model=used, tools=[agents.function_tool(look_up)])
    config = agents.RunConfig(tracing_disabled=True)
    result = await agents.Runner.run(agent, "And in another process?", session=session, run_config=config)
    print(result.final_output)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
async def sdk(proxy: Proxy, provider: Provider) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{proxy.url}/v1", api_key=proxy.key, max_retries=0) as client:
        yield client


async def run(agent: agents.Agent, said: Any, manner: Manner, session: Any) -> str:
    config = agents.RunConfig(tracing_disabled=True)
    if not manner.stream:
        return str((await agents.Runner.run(agent, said, session=session, run_config=config)).final_output)
    running = agents.Runner.run_streamed(agent, said, session=session, run_config=config)
    async for _ in running.stream_events():
        pass
    return str(running.final_output)


def sent(provider: Provider) -> list[str]:
    return texts_of(provider.requests()[-1].conversation)


def texts_in(items: list[Any]) -> list[str]:
    parts = [part for item in items if item.get("type") == "message" for part in item["content"]]
    return [part.get("text") or "" for part in parts]


async def test_two_agents_share_a_session_with_tools_and_it_is_resumed_elsewhere(
    manner: Manner, sdk: openai.AsyncOpenAI, provider: Provider, proxy: Proxy
) -> None:
    model = agents.OpenAIResponsesModel(model=manner.model, openai_client=sdk)
    helper = agents.Agent(name="helper", model=model, tools=[look_up])
    writer = agents.Agent(name="writer", model=model, instructions="Write well.", tools=[look_up])
    session = agents.OpenAIConversationsSession(openai_client=sdk)
    provider.script(CALL)
    first = await run(helper, "Look it up.", manner, session)
    told = ["Look it up.", "found a", first]
    second = await run(writer, "Write it down.", manner, session)
    assert [text for text in sent(provider) if text != "Write well."] == [*told, "Write it down."]
    calls = [call for part in provider.requests()[-1].conversation for call in part.calls]
    assert [(call.name, call.arguments) for call in calls] == [("look_up", '{"x": "a"}')]
    told += ["Write it down.", second]
    items = await session.get_items()
    assert list(filter(None, texts_in(items))) == [text for text in told if text != "found a"]
    kinds = [item["type"] for item in items]
    assert kinds.count("function_call") == kinds.count("function_call_output") == 1
    assert await session.get_items(limit=2) == items[-2:]
    command = [sys.executable, "-c", RESUME, f"{proxy.url}/v1", proxy.key, manner.model, session.session_id]
    resumed = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert resumed.returncode == 0, resumed.stderr
    third = resumed.stdout.strip()
    assert sent(provider) == [*told, "And in another process?"]
    assert texts_in(await session.get_items(limit=2)) == ["And in another process?", third]


async def test_items_are_popped_and_a_session_is_cleared(
    manner: Manner, sdk: openai.AsyncOpenAI, provider: Provider
) -> None:
    model = agents.OpenAIResponsesModel(model=manner.model, openai_client=sdk)
    agent = agents.Agent(name="helper", model=model)
    session = agents.OpenAIConversationsSession(openai_client=sdk)
    first = await run(agent, "one", manner, session)
    second = await run(agent, "two", manner, session)
    popped = [await session.pop_item(), await session.pop_item()]
    assert texts_in([item for item in popped if item is not None]) == [second, "two"]
    third = await run(agent, "three", manner, session)
    assert sent(provider) == ["one", first, "three"]
    assert texts_in(await session.get_items()) == ["one", first, "three", third]
    cleared = session.session_id
    await session.clear_session()
    with pytest.raises(openai.NotFoundError):
        await sdk.conversations.retrieve(cleared)
    assert await session.get_items() == [] and await session.pop_item() is None
    await run(agent, "four", manner, session)
    assert sent(provider) == ["four"] and session.session_id != cleared


async def test_an_agent_runs_in_a_conversation(manner: Manner, sdk: openai.AsyncOpenAI, provider: Provider) -> None:
    """The SDK's other way: the server holds the history, and only what is new is sent."""
    model = agents.OpenAIResponsesModel(model=manner.model, openai_client=sdk)
    agent = agents.Agent(name="helper", model=model, tools=[look_up])
    conversation = (await sdk.conversations.create()).id
    config = agents.RunConfig(tracing_disabled=True)
    provider.script(CALL)

    async def go_on(said: str) -> str:
        if not manner.stream:
            result = await agents.Runner.run(agent, said, conversation_id=conversation, run_config=config)
            return str(result.final_output)
        running = agents.Runner.run_streamed(agent, said, conversation_id=conversation, run_config=config)
        async for _ in running.stream_events():
            pass
        return str(running.final_output)

    first = await go_on("Look it up.")
    await go_on("And?")
    assert sent(provider) == ["Look it up.", "found a", first, "And?"]
    assert len(provider.requests()) == 3
