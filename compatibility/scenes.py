"""What is played on a running proxy: each scene once for each wire format, plain and as a stream.

Every follow-up is sent the moment its id is known. A scene holds when the provider received, on each turn, what it
would have received from a client that sends everything itself.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

from compatibility.talk import SceneFailed, Talk, tools_of
from lab.answers import Answer, ToolCall
from lab.native_models import NATIVE
from lab.player import Turn
from patches.manifest import FOLDER

LONG_CHARACTERS = 17_000
TOOLS = [{"type": "function", "name": "look_up", "parameters": {"type": "object", "properties": {}}}]
SEARCH = [{"type": "tool_search", "execution": "client"}]
FOUND = {"type": "function", "name": "tell_weather", "parameters": {"type": "object", "properties": {}}}
SUMMARY = "What was said so far, in short."
CALL = Answer(tool_calls=(ToolCall("look_up", '{"order": 7}'),))


def _user(text: str) -> dict:
    return {"role": "user", "content": text}


def _result_for(turn: Turn) -> dict:
    """Raises SceneFailed where the client was given no call."""
    if not (calls := turn.messages[-1].get("tool_calls")):
        raise SceneFailed("the client was given no call")
    return {"role": "tool", "tool_call_id": calls[0]["id"], "content": "on its way"}


async def play_string(talk: Talk) -> None:
    await play_list(talk.as_text())


async def play_list(talk: Talk) -> None:
    turn = await talk.say(_user("My favourite number is 83."))
    turn = await talk.say(_user("And my favourite colour is blue."), after=turn)
    await talk.say(_user("What are they?"), after=turn)


async def play_tool(talk: Talk) -> None:
    turn = await talk.say(_user("Where is order 7?"), answer=CALL, tools=TOOLS)
    turn = await talk.say(_result_for(turn), after=turn, tools=TOOLS)
    await talk.say(_user("Thank you. When?"), after=turn, tools=TOOLS)


async def play_branch(talk: Talk) -> None:
    root = await talk.say(_user("Here is a story."))
    one, other = await asyncio.gather(
        talk.say(_user("A sad end, please."), after=root), talk.say(_user("A happy end, please."), after=root)
    )
    await talk.say(_user("Sadder."), after=one)
    await talk.say(_user("Happier."), after=other)
    await talk.say(_user("No end at all."), after=root)


async def play_long(talk: Talk) -> None:
    text = "".join(f"{number} " for number in range(LONG_CHARACTERS // 4))[:LONG_CHARACTERS].rstrip()
    await talk.say(_user("And now?"), after=await talk.say(_user(text)))


async def play_other_models(talk: Talk) -> None:
    """To a model with a Responses endpoint of its own, back, and there again, where the beginning is held."""
    native = talk.with_model(NATIVE)
    turn = await talk.say(_user("Which one is it?"), answer=CALL, tools=TOOLS)
    turn = await native.say(_result_for(turn), after=turn, tools=TOOLS)
    turn = await talk.say(_user("Thank you. When?"), after=turn, tools=TOOLS)
    turn = await native.say(_user("And the next?"), after=turn, tools=TOOLS)
    await native.say(_user("And then?"), after=turn, tools=TOOLS)


async def play_unstored(talk: Talk) -> None:
    turn = await talk.say(_user("This is between us."), store=False)
    await talk.say(_user("What was that?"), after=turn, forgotten=True)


async def play_tool_search(talk: Talk) -> None:
    search = Answer(tool_calls=(ToolCall("tool_search", '{"query": "weather"}'),))
    turn = await talk.tell(_user("What is the weather?"), answer=search, tools=SEARCH)
    calls = [item for item in turn.reply.output if item["type"] == "tool_search_call"]
    if not calls:
        raise SceneFailed("the client was not asked to search")
    found = {"type": "tool_search_output", "execution": "client", "call_id": calls[0]["call_id"], "tools": [FOUND]}
    turn = await talk.tell(found, after=turn, tools=SEARCH)
    turn = await talk.tell(_user("And tomorrow?"), after=turn, tools=SEARCH)
    if FOUND["name"] not in tools_of(turn.asked):
        raise SceneFailed("the provider was not given the tool that was found")


async def play_compaction(talk: Talk) -> None:
    turn = await talk.tell(_user("A long story."))
    turn = await talk.tell(_user("Go on."), after=turn, answer=Answer(text="On it goes.", compaction=SUMMARY))
    for each in (talk, talk.with_model("chat-model")):  # another maker's model is given text
        told = await each.tell(_user("And then?"), after=turn)
        sent = json.dumps(told.asked.body)
        if SUMMARY not in sent or "A long story." in sent:
            raise SceneFailed("the provider was not given the summary alone")


async def play_count(talk: Talk) -> None:
    turn = await talk.tell(_user("How long is this?"))
    new = _user("And with this?")
    whole, alone = await talk.count([*turn.items, new]), await talk.count([new])
    if whole <= alone:
        raise SceneFailed("the count does not grow with the conversation")
    if not talk.whole and (counted := await talk.count([new], after=turn)) != whole:
        raise SceneFailed(f"counted {counted} tokens, not {whole}")


async def play_stored_response(talk: Talk) -> None:
    first = await talk.say(_user("Keep this."), metadata={"colour": "blue"})
    second = await talk.say(_user("And this."), after=first)
    if talk.whole:
        return
    for turn in (first, second):
        if _said(await talk.get(turn.id)) != _said(turn.reply.body):
            raise SceneFailed("the response is not the one that the client got")
    if (named := second.reply.body.get("previous_response_id")) != first.id:
        raise SceneFailed(f"the response says that it follows {named}")
    items = (await talk.get(second.id, "/input_items", order="asc"))["data"]
    if [item["role"] for item in items] != ["user", "assistant", "user"]:
        raise SceneFailed(f"{len(items)} input items are listed, not 3")


async def play_deletion(talk: Talk) -> None:
    first = await talk.say(_user("This goes."))
    second = await talk.say(_user("This stays."), after=first)
    if not talk.whole:
        await talk.delete(first.id)
        if (status := await talk.status_of(first.id)) != 404:
            raise SceneFailed(f"HTTP {status} for a response that was deleted")
    await talk.say(_user("And now?"), after=second)


def _said(response: dict) -> dict:
    """Without what a plain reply says is null, and a stream leaves out."""
    return {name: value for name, value in response.items() if value is not None}


Scene = Callable[[Talk], Awaitable[None]]
SCENES: dict[str, Scene] = {
    "string input": play_string,
    "list input": play_list,
    "tool round trip": play_tool,
    "branches": play_branch,
    "long message": play_long,
    "other models": play_other_models,
    "store: false": play_unstored,
    "get a response": play_stored_response,
    "delete a response": play_deletion,
    "tool search": play_tool_search,
    "compaction": play_compaction,
    "token count": play_count,
}

# Steps that newer releases put between a history and its use, by the file that has the step.
_FOLDER = FOLDER.rpartition("/")[0]
STEP_OF = {
    "tool search": f"{_FOLDER}/client_tool_search.py",
    "compaction": f"{_FOLDER}/compaction_items.py",
    "token count": f"{_FOLDER}/count_request.py",
}


def scenes_for(tree: Path) -> list[str]:
    """Those that the release in `tree` can play at all."""
    return [scene for scene in SCENES if scene not in STEP_OF or (tree / STEP_OF[scene]).is_file()]
