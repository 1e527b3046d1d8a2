"""A turn of LangChain's model for OpenAI, with a tool: URL KEY MODEL plain|stream FILE TEXT.

FILE: the messages so far, and then with this turn's.
"""

from __future__ import annotations

import json
import sys
from functools import reduce
from operator import add
from pathlib import Path

from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage, messages_from_dict, messages_to_dict
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

url, key, name, form, file, text = sys.argv[1:]


@tool
def look_up(x: str) -> str:
    """Looks something up."""
    return f"found {x}"


model = ChatOpenAI(model=name, base_url=url, api_key=key, use_responses_api=True, max_retries=0).bind_tools([look_up])
before = messages_from_dict(json.loads(Path(file).read_text())) if Path(file).exists() else [SystemMessage("Be brief.")]
messages = [*before, HumanMessage(text)]
while True:
    answer = model.invoke(messages) if form == "plain" else reduce(add, model.stream(messages))
    messages.append(answer)
    if not answer.tool_calls:
        break
    messages += [ToolMessage(look_up.invoke(call["args"]), tool_call_id=call["id"]) for call in answer.tool_calls]
Path(file).write_text(json.dumps(messages_to_dict(messages)))
print(answer.text)
