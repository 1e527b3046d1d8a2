"""Conversations to play: recorded ones where they are present, generated ones everywhere.

A conversation is a list of OpenAI chat messages. Played through the Responses API, the user and
tool messages are what the client sends turn by turn, the assistant messages are what the provider
answers, a leading system message is `instructions`.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from .answers import Answer, ToolCall
from .trees import ROOT

PLAIN_WORDS = ["river", "stone", "market", "winter"]
WORDS = [*PLAIN_WORDS, "Ärger", "数据", "“quoted”", "🙂", "\u2028", "order\ttab", "paper\nline"]


@dataclass(frozen=True)
class ChatTurn:
    """`sent`: the client's new user and tool messages; `answered`: the assistant message;
    `history`: all before `answered`.
    """

    sent: tuple[dict, ...]
    answered: dict
    history: tuple[dict, ...]


@dataclass(frozen=True)
class ChatConversation:
    id: str
    messages: tuple[dict, ...]

    @property
    def instructions(self) -> str | None:
        first = self.messages[0]
        return first["content"] if first["role"] == "system" else None

    @cached_property
    def turns(self) -> tuple[ChatTurn, ...]:
        """One for each assistant message; client messages after the last answer are not played."""
        turns, sent = [], []
        for index, message in enumerate(self.messages):
            if message["role"] == "assistant":
                turns.append(ChatTurn(tuple(sent), message, self.messages[:index]))
                sent = []
            elif message["role"] != "system":
                sent.append(message)
        return tuple(turns)

    @property
    def tools(self) -> list[dict]:
        """Declarations, in the Responses form, of the functions that are called."""
        calls = [call for message in self.messages for call in message.get("tool_calls") or ()]
        names = sorted({call["function"]["name"] for call in calls})
        schema = {"type": "object", "properties": {}, "additionalProperties": True}
        return [{"type": "function", "name": name, "description": name, "parameters": schema} for name in names]


def answer_of(message: dict) -> Answer:
    """What the stand-in shall answer to produce this assistant message."""
    calls = tuple(
        ToolCall(call["function"]["name"], call["function"]["arguments"], call["id"])
        for call in message.get("tool_calls") or ()
    )
    return Answer(text=message.get("content") or "", tool_calls=calls)


def input_items_of(messages: Iterable[dict]) -> list[dict]:
    """Chat messages as Responses input items."""
    items: list[dict] = []
    for message in messages:
        if message["role"] == "tool":
            called = message["tool_call_id"]
            items.append({"type": "function_call_output", "call_id": called, "output": message["content"]})
            continue
        if message.get("content"):
            items.append({"role": message["role"], "content": message["content"]})
        for call in message.get("tool_calls") or ():
            items.append({"type": "function_call", "call_id": call["id"], **call["function"]})
    return items


def recorded_folder() -> Path | None:
    """`REPLAY_DATA`, else `../shared/data` beside the project; None where there is neither."""
    folder = Path(os.environ.get("REPLAY_DATA") or ROOT.parent / "shared" / "data")
    return folder if folder.is_dir() else None


def recorded(name: str) -> list[ChatConversation]:
    """Recorded conversations (`dialogues`, `agent_trajectories`); [] where they are not there."""
    folder = recorded_folder()
    path = folder / f"{name}.jsonl" if folder else None
    if path is None or not path.is_file():
        return []
    with path.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [ChatConversation(row["id"], tuple(with_ids_used_once(row["messages"]))) for row in rows]


def with_ids_used_once(messages: Iterable[dict]) -> Iterator[dict]:
    """Some recorded models gave a call the id of an earlier one, which DeepSeek, who is played, never does or takes."""
    used: set[str] = set()
    renamed: dict[str, str] = {}
    for message in messages:
        if message["role"] == "tool":
            yield {**message, "tool_call_id": renamed[message["tool_call_id"]]}
            continue
        for call in message.get("tool_calls") or ():
            renamed[call["id"]] = f"{call['id']}_{len(used)}" if call["id"] in used else call["id"]
            used.add(renamed[call["id"]])
        calls = [{**call, "id": renamed[call["id"]]} for call in message.get("tool_calls") or ()]
        yield {**message, **({"tool_calls": calls} if calls else {})}


def generated_dialogue(seed: int, turns: int = 3) -> ChatConversation:
    """A dialogue whose every message is unique to the seed and the turn."""
    chance = random.Random(seed)
    messages: list[dict] = []
    for turn in range(turns):
        for role in ("user", "assistant"):
            messages.append({"role": role, "content": f"{role} {seed}.{turn}: {some_text(chance)}."})
    return ChatConversation(f"dialogue-{seed}", tuple(messages))


def generated_trajectory(seed: int, turns: int = 3) -> ChatConversation:
    """An agent's work: instructions; in each turn one to three calls at once, then the answer."""
    chance = random.Random(seed)
    messages: list[dict] = [{"role": "system", "content": f"policy {seed}: {some_text(chance, 200)}."}]
    for turn in range(turns):
        messages.append({"role": "user", "content": f"user {seed}.{turn}: {some_text(chance)}."})
        calls = [generated_call(chance, f"call_{seed}_{turn}_{number}") for number in range(chance.randint(1, 3))]
        messages.append({"role": "assistant", "content": None, "tool_calls": calls})
        for call in calls:
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": f"result of {call['id']}"})
        messages.append({"role": "assistant", "content": f"assistant {seed}.{turn}: {some_text(chance)}."})
    return ChatConversation(f"trajectory-{seed}", tuple(messages))


def generated_call(chance: random.Random, call_id: str) -> dict:
    arguments = json.dumps({"id": call_id, "text": some_text(chance, 3), "count": chance.randint(0, 99)})
    name = chance.choice(("look_up", "change_order", "send_note"))
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def some_text(chance: random.Random, words: int = 12) -> str:
    return " ".join(chance.choice(WORDS) for _ in range(words))


def tags(start: int = 10_000) -> Iterator[int]:
    """Numbers for `tag`, one a request, above what a test would ask for as `max_output_tokens`."""
    number = start
    while True:
        yield number
        number += 1
