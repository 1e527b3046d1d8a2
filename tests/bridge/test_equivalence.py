"""The oracle: by `previous_response_id` the provider receives what it gets from a client that sends everything."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from litellm.responses.litellm_completion_transformation.transformation import (
    LiteLLMCompletionResponsesConfig,
)

from lab.provider import Provider
from lab.redis_server import RedisServer
from lab.wire import Message

from .driver import Bridge, Refused
from .trees import TOOLS, Step, conversation_trees

EXAMPLES = int(os.environ.get("EQUIVALENCE_EXAMPLES", "100"))

# Older releases show a client's reasoning items to the model as text: there is nothing to be equal to.
REPLAYS_THINKING = (
    "replay_reasoning"
    in inspect.signature(LiteLLMCompletionResponsesConfig.transform_responses_api_input_to_messages).parameters
)


@dataclass(frozen=True)
class Told:
    """One turn as a client knows it. ``parent``: the turn before."""

    instructions: str | None
    items: list[Any]
    output: list[Any]
    response_id: str
    parent: Told | None

    def turns(self) -> list[Told]:
        return [*(self.parent.turns() if self.parent else []), self]


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Provider, RedisServer]]:
    with Provider() as provider, RedisServer() as redis:
        yield provider, redis


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(steps=conversation_trees(thinking=REPLAYS_THINKING))
def test_the_provider_receives_what_it_gets_from_a_client_that_sends_everything(
    servers: tuple[Provider, RedisServer], steps: list[Step]
) -> None:
    provider, redis = servers
    asyncio.run(check_every_step(Bridge(provider, redis.url), steps))


async def check_every_step(bridge: Bridge, steps: list[Step]) -> None:
    # One model sees its own thoughts again; another's mean nothing to it and are left out. Gemini also gets back the
    # signatures of texts, which a client that sends everything does not have.
    thinking = {step.format for step in steps} in ({"chat"}, {"anthropic"})
    told: list[Told | None] = []  # None where LiteLLM refused the request.
    try:
        for step in steps:
            parent = told[step.parent] if step.parent is not None else None
            is_cut_off = step.parent is not None and parent is None
            told.append(None if is_cut_off else await check_step(bridge, step, parent, thinking))
    finally:
        await bridge.close()


async def check_step(bridge: Bridge, step: Step, parent: Told | None, thinking: bool) -> Told | None:
    before = parent.turns() if parent else []
    new = new_input(step, before)
    options = {"stream": step.stream, "tools": TOOLS}
    # Upstream's in-process cache of tool calls must not be what makes a conversation whole.
    await bridge.forget_calls()
    try:
        instructions, everything = whole_conversation(step, before, new)
        await bridge.ask(step.format, everything, step.answer, remembered=False, instructions=instructions, **options)
        expected = sent_by(bridge, thinking)
    except Refused:
        expected = None
    try:
        reply = await bridge.ask(
            step.format,
            new,
            step.answer,
            previous=parent and parent.response_id,
            instructions=step.instructions,
            **options,
        )
    except Refused:
        assert expected is None, "only the request with previous_response_id was refused"
        return None
    assert expected is not None, "only the whole conversation was refused"
    assert sent_by(bridge, thinking) == expected
    return Told(step.instructions, as_items(new), reply["output"], reply["id"], parent)


def sent_by(bridge: Bridge, thinking: bool) -> list[Message]:
    """What the provider got. A call's id is without Gemini's signature, which LiteLLM puts there for every model."""
    return [
        replace(
            message,
            calls=tuple(replace(call, id=unsigned(call.id)) for call in message.calls),
            results=tuple(replace(result, call_id=unsigned(result.call_id)) for result in message.results),
        )
        for message in bridge.sent.conversation_as(thinking=thinking)
    ]


def unsigned(call_id: str | None) -> str | None:
    return call_id and call_id.partition("__thought__")[0]


def whole_conversation(step: Step, before: list[Told], new: Any) -> tuple[str | None, list[Any]]:
    """Instructions, the last ones where the step has none, and input of the one request that says it all."""
    said_before = [turn.instructions for turn in before if turn.instructions]
    items = [item for turn in before for item in [*turn.items, *turn.output]]
    return step.instructions or (said_before[-1] if said_before else None), [*items, *as_items(new)]


def new_input(step: Step, before: list[Told]) -> Any:
    """What the step says, after a result of each call that has none: providers refuse a call without one."""
    items = [item for turn in before for item in [*turn.items, *turn.output]]
    answered = {item["call_id"] for item in items if item.get("type") == "function_call_output"}
    open_calls = [
        item["call_id"] for item in items if item.get("type") == "function_call" and item["call_id"] not in answered
    ]
    results = [
        {"type": "function_call_output", "call_id": call_id, "output": text}
        for call_id, text in zip(open_calls, itertools.chain(step.results, itertools.repeat("done")), strict=False)
    ]
    return [*results, *as_items(step.said)] if results else step.said


def as_items(client_input: Any) -> list[Any]:
    return [{"role": "user", "content": client_input}] if isinstance(client_input, str) else client_input
