"""A turn of LiteLLM's own SDK, to which the proxy is an OpenAI, with a tool: URL KEY MODEL plain|stream FILE TEXT.

FILE: the id of the response that it follows, and then its own.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import litellm

url, key, name, form, file, text = sys.argv[1:]
TOOL = {
    "type": "function",
    "name": "look_up",
    "description": "Looks something up.",
    "parameters": {"type": "object", "properties": {"x": {"type": "string"}}},
}


def ask(said: Any, previous: str | None) -> Any:
    reply = litellm.responses(
        model=f"openai/{name}",
        api_base=url,
        api_key=key,
        input=said,
        instructions="Be brief.",
        tools=[TOOL],
        previous_response_id=previous,
        stream=form == "stream",
    )
    if form == "stream":
        *_, last = reply
        reply = last.response
    return reply


response = ask(text, Path(file).read_text() if Path(file).exists() else None)
while calls := [item for item in response.output if item.type == "function_call"]:
    results = [
        {"type": "function_call_output", "call_id": call.call_id, "output": f"found {json.loads(call.arguments)['x']}"}
        for call in calls
    ]
    response = ask(results, response.id)
Path(file).write_text(response.id)
print("".join(part.text for item in response.output if item.type == "message" for part in item.content))
