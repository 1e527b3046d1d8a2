"""Each provider request of a conversation begins, byte for byte, with the one before, so that prompt caches hit."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import Any

import pytest

from lab.answers import Answer, ToolCall
from lab.asking import Asker, asking
from lab.exchange import Exchange
from lab.provider import Provider
from lab.proxies import ProxyPool
from lab.proxy import Proxy, ProxyOptions

TURNS = 20
LOOK_UP = {"type": "function", "name": "look_up", "parameters": {"type": "object", "properties": {"n": {}}}}
OPTIONS: dict[str, Any] = {"tools": [LOOK_UP], "instructions": "Be brief."}


def blocks_of(exchange: Exchange) -> list[str]:
    """What the provider got, a block of a message each, as it was on the wire: providers cache block by block."""
    assert exchange.request is not None
    body, blocks = exchange.request.body, list[str]()
    for message in body.get("messages") or body["contents"]:
        rest = {name: value for name, value in message.items() if name not in ("content", "parts")}
        content = message.get("content", message.get("parts"))
        for block in content if isinstance(content, list) else [content]:
            blocks.append(json.dumps([rest, block], ensure_ascii=False))
    return blocks


def before_messages(exchange: Exchange) -> str:
    assert exchange.request is not None
    body = exchange.request.body
    return json.dumps({name: body.get(name) for name in ("system", "system_instruction", "systemInstruction", "tools")})


def answer_to(number: int) -> Answer:
    """Text, with thoughts at times; every third turn calls two tools, in odd ways."""
    if number % 3 == 1:
        calls = (ToolCall("look_up", f'{{"n": {number}}}'), ToolCall("look_up", f'{{ "n":{number + 100}.0 }}'))
        return Answer("Let me see." if number % 2 else None, calls, thinking="hm" if number % 2 else None)
    return Answer(None if number == 5 else f"text {number} \u2028 “é”", thinking="so" if number % 4 == 2 else None)


def play(askers: list[Asker]) -> list[Exchange]:
    played: list[Exchange] = []
    for number in range(TURNS):
        last = played[-1] if played else None
        results = [
            {"type": "function_call_output", "call_id": call["call_id"], "output": f"result {index}"}
            for index, call in enumerate(last.reply.calls if last else ())
        ]
        said: Any = [*results, {"role": "user", "content": f"turn {number}"}] if results else f"turn {number}"
        asker = askers[number % len(askers)]
        played.append(asker.ask(said, last, answer=answer_to(number), **OPTIONS))
        assert played[-1].status == 200 and not played[-1].was_refused, played[-1].reply.body
    return played


def check_each_begins_with_the_one_before(played: list[Exchange]) -> None:
    assert len({before_messages(each) for each in played}) == 1
    for before, after in itertools.pairwise(played):
        assert blocks_of(after)[: len(blocks_of(before))] == blocks_of(before)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("model", ["claude-model", "gemini-model", "chat-model"])
def test_a_request_begins_with_the_one_before(
    model: str, stream: bool, two_proxies: list[Proxy], provider: Provider
) -> None:
    """On two proxies in turn."""
    with asking(two_proxies[0], provider) as one, asking(two_proxies[1], provider) as other:
        check_each_begins_with_the_one_before(play([each.with_manner(model, stream) for each in (one, other)]))


@pytest.mark.parametrize("model", ["claude-model", "gemini-model", "chat-model"])
def test_after_a_restart_too(model: str, plain_options: ProxyOptions, proxies: ProxyPool, provider: Provider) -> None:
    proxy = proxies.get(plain_options)
    with asking(proxy, provider) as asker:
        first = asker.with_manner(model).ask("hello", answer=Answer("hi", (ToolCall("look_up"),)), **OPTIONS)
    result = {"type": "function_call_output", "call_id": first.reply.calls[0]["call_id"], "output": "42"}
    with Proxy(replace(plain_options, port=None)) as restarted, asking(restarted, provider) as asker:
        second = asker.with_manner(model).ask([result], first, **OPTIONS)
    check_each_begins_with_the_one_before([first, second])
