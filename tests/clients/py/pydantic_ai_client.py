"""A turn of a pydantic-ai agent on OpenAI's Responses API, with a tool: URL KEY MODEL plain|stream FILE TEXT.

FILE: the messages so far, and then with this turn's.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessagesTypeAdapter
from pydantic_ai.models.openai import OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

url, key, name, form, file, text = sys.argv[1:]
model = OpenAIResponsesModel(name, provider=OpenAIProvider(base_url=url, api_key=key))
agent = Agent(model, instructions="Be brief.")


@agent.tool_plain
def look_up(x: str) -> str:
    """Looks something up."""
    return f"found {x}"


async def main() -> None:
    before = ModelMessagesTypeAdapter.validate_json(Path(file).read_bytes()) if Path(file).exists() else None
    if form == "plain":
        result = await agent.run(text, message_history=before)
        said = result.output
    else:
        async with agent.run_stream(text, message_history=before) as result:
            said = await result.get_output()
    Path(file).write_bytes(result.all_messages_json())
    print(said)


asyncio.run(main())
