"""Conversations walk over models at random, with tools, images and thoughts: each model sees all of it."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from lab.answers import Answer, ToolCall
from lab.asking import Asker, asking
from lab.conversations import some_text
from lab.exchange import Exchange
from lab.native_models import NATIVE_MODELS
from lab.player import answered
from lab.provider import Provider
from lab.proxies import ProxyPool
from lab.proxy import FORMAT_OF_MODEL, MODELS, ProxyOptions
from lab.wire import Conversation, conversation_from_chat, tidy

from .sizes import LONG
from .test_inputs import PIXEL, TOOLS

WALKS = 1_000 if LONG else 12
TURNS = 8
TEXT_ALONE = ("chat-model",)  # LiteLLM sends DeepSeek texts alone.
WAYS = [*MODELS, *NATIVE_MODELS]
IMAGE = f"data:image/png;base64,{PIXEL}"


@dataclass
class Walk:
    """messages: what was said so far, as chat messages."""

    asker: Asker
    chance: random.Random
    messages: list[dict[str, Any]] = field(default_factory=list)
    last: Exchange | None = None

    def go_on(self) -> None:
        """One turn, to whatever model."""
        model, stream = self.chance.choice(WAYS), self.chance.random() < 0.5
        items = self._say()
        answer = self._answer()
        params: dict[str, Any] = {"tools": TOOLS}
        if model in NATIVE_MODELS and self.chance.random() < 0.5:
            params["include"] = ["reasoning.encrypted_content"]
        turn = self.asker.with_manner(model, stream).ask(items, self.last, answer, **params)
        assert turn.status == 200, (model, turn.reply.body)
        *refused, taken = turn.requests
        # A model that does not reason cannot go on from what its provider holds of one that does.
        assert [each.refused for each in refused] in ([], ["responses-reasoning-model"])
        messages = [without_images(each) for each in self.messages] if model in TEXT_ALONE else self.messages
        expected = conversation_from_chat(messages, FORMAT_OF_MODEL[model])
        assert without_ids(taken.conversation) == without_ids(expected), model
        self.messages.append(answered(turn.reply, answer))
        self.last = turn

    def _say(self) -> list[dict[str, Any]]:
        """What the client says, as items."""
        calls = self.messages[-1].get("tool_calls", ()) if self.messages else ()
        items: list[dict[str, Any]] = []
        for call in calls:
            output = f"result of {call['id'][:12]}: {some_text(self.chance, 4)}"
            items.append({"type": "function_call_output", "call_id": call["id"], "output": output})
            self.messages.append({"role": "tool", "tool_call_id": call["id"], "content": output})
        if not calls:
            text = f"user {len(self.messages)}: {some_text(self.chance)}"
            parts = [{"type": "input_text", "text": text}]
            content: list[dict[str, Any]] = [{"type": "text", "text": text}]
            if self.chance.random() < 0.3:
                parts.append({"type": "input_image", "image_url": IMAGE, "detail": "auto"})
                content.append({"type": "image_url", "image_url": {"url": IMAGE}})
            items.append({"role": "user", "content": parts})
            self.messages.append({"role": "user", "content": content})
        return items

    def _answer(self) -> Answer:
        number = len(self.messages)
        calls = tuple(
            ToolCall("look_up", json.dumps({"id": f"{number}.{each}", "text": some_text(self.chance, 3)}))
            for each in range(self.chance.choice((0, 0, 1, 2)))
        )
        text = "" if calls and self.chance.random() < 0.5 else f"answer {number}: {some_text(self.chance)}"
        return Answer(text=text, tool_calls=calls, thinking=self.chance.choice((None, "hm")))


def without_images(message: dict[str, Any]) -> dict[str, Any]:
    content = message.get("content")
    parts = [part for part in content if part["type"] == "text"] if isinstance(content, list) else content
    return {**message, "content": parts}


def without_ids(conversation: Conversation) -> Conversation:
    """A call's id is another one where a provider takes none so long; a result's leads to it, or it is refused."""
    return tidy(conversation, ids=False)


@pytest.fixture(scope="module")
def encrypting_options(native_options: ProxyOptions) -> ProxyOptions:
    key = {"REDIS_SESSION_PATCH_ENCRYPTION_KEY": "ab" * 32}
    return replace(native_options, environment={**native_options.environment, **key})


@pytest.fixture
def natives(proxies: ProxyPool, encrypting_options: ProxyOptions, provider: Provider) -> Iterator[Asker]:
    with asking(proxies.get(encrypting_options), provider) as asker:
        yield asker


@pytest.mark.parametrize("seed", range(WALKS))
def test_each_model_sees_the_whole_walk(seed: int, natives: Asker) -> None:
    walk = Walk(natives, random.Random(seed))
    for _ in range(TURNS):
        walk.go_on()
