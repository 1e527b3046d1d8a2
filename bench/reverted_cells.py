"""One release's cells of `bench.after_revert`; runs in that release's environment, data as JSON on standard output."""

from __future__ import annotations

import contextlib
import itertools
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

from lab.answers import Answer, ToolCall
from lab.client import ResponsesClient
from lab.database.postgres import postgres
from lab.database.proxy_env import with_database
from lab.database.spend_logs import wait_for_spend_logs
from lab.provider import Provider
from lab.proxy import Proxy, ProxyOptions
from lab.recording import Recorded
from lab.redis_server import RedisServer
from lab.trees import installed_release, tree

LONG = "".join(f"{number} " for number in range(3_500))
TOOL = {"type": "function", "name": "look_up", "parameters": {"type": "object", "properties": {}}}
REPEATED = "a provider that repeats an id"
CASES = ("short messages", "messages as items", "a message of 17,000 characters", "a tool's result", REPEATED)
TAGS_FROM = 1_000


@dataclass
class Play:
    provider: Provider
    url: str
    tags: Iterator[int] = field(default_factory=lambda: itertools.count(TAGS_FROM))

    def say(self, client: ResponsesClient, case: str, stream: bool, previous: dict | None, **answer: object) -> dict:
        """One turn; `previous` and the result: the response id, the input for a next turn and the tag."""
        tag = next(self.tags)
        model = "claude-model" if case == "a tool's result" else "chat-model"
        if case == "a tool's result" and previous is None:
            answer["tool_calls"] = (ToolCall("look_up", '{"a": 1}', f"call_{tag}"),)
        self.provider.script(Answer(text=f"Answer {tag}.", **answer), tag=tag)
        asked: object = f"Question {tag}? {LONG if '17,000' in case else ''}".strip()
        if case == "messages as items":
            asked = [{"role": "user", "content": asked}]
        if case == "a tool's result" and previous is not None and previous["calls"]:
            asked = [{"type": "function_call_output", "call_id": previous["calls"][0]["call_id"], "output": "42"}]
        reply = client.responses(
            model,
            asked,
            stream,
            tag=tag,
            previous_response_id=previous and previous["id"],
            tools=[TOOL] if case == "a tool's result" else None,
        )
        return {"status": reply.status, "id": reply.body.get("id"), "calls": reply.calls, "tag": tag, "asked": asked}

    def outcome(self, first: ResponsesClient, second: ResponsesClient, case: str, stream: bool) -> str:
        """Two turns on the one, the third on the other: what reached the provider then."""
        turns: list[dict] = []
        answer = {"id": f"same-id-{next(self.tags)}"} if case == REPEATED else {}
        for _ in range(2):
            turns.append(self.say(first, case, stream, turns[-1] if turns else None, **answer))
            if turns[-1]["status"] != 200:
                return f"refused by upstream already before ({turns[-1]['status']})"
            if first is second:
                self.wait_for_rows(case, turns)
        self.wait_for_rows(case, turns)
        last = self.say(second, case, stream, turns[-1])
        if last["status"] != 200:
            return f"refused ({last['status']})"
        return classify(self.provider.requests(tag=last["tag"])[-1], turns)

    def wait_for_rows(self, case: str, turns: list[dict]) -> None:
        """Of answers with one id, the database keeps the first."""
        wanted = {turn["tag"] for turn in (turns[:1] if case == REPEATED else turns)}

        def written(rows: list[dict]) -> bool:
            return {(row.get("proxy_server_request") or {}).get("max_output_tokens") for row in rows} >= wanted

        wait_for_spend_logs(self.url, written)


def classify(request: Recorded, turns: list[dict]) -> str:
    """In words: what of the turns before is in the request."""
    conversation = request.conversation_as(merge=False)
    texts = [text for message in conversation for text in message.texts]
    calls = sum(len(message.calls) for message in conversation)
    expected_calls = sum(len(turn["calls"]) for turn in turns)
    asked = [text for turn in turns if (text := text_asked(turn)) is not None]
    answers = [f"Answer {turn['tag']}." for turn in turns]
    if len(texts) <= 1 and not calls:
        return "no history"
    found = {
        "long messages cut": any(is_cut(text, texts) for text in asked),
        "the client's messages missing": not all(text in texts or is_cut(text, texts) for text in asked),
        "answers missing": not all(text in texts for text in answers),
        "turns doubled": any(texts.count(text) > 1 for text in asked + answers),
        "tool calls doubled": calls > expected_calls,
        "tool calls missing": calls < expected_calls,
        "tool results missing": sum(len(message.results) for message in conversation) < expected_calls,
    }
    return ", ".join(words for words, is_so in found.items() if is_so) or "whole history"


def text_asked(turn: dict) -> str | None:
    """`None` for a tool's result."""
    return turn["asked"] if isinstance(turn["asked"], str) else turn["asked"][0].get("content")


def is_cut(text: str, texts: list[str]) -> bool:
    return text not in texts and any(each[:200] == text[:200] for each in texts if len(text) > 1_000)


def measure() -> list[dict]:
    release = installed_release()
    with contextlib.ExitStack() as stack:
        provider = stack.enter_context(Provider())
        redis = stack.enter_context(RedisServer())
        url = stack.enter_context(stack.enter_context(postgres()).fresh())
        proxies = [
            Proxy(with_database(ProxyOptions(provider.url, tree("patched"), redis.environment), url)),
            Proxy(with_database(ProxyOptions(provider.url, tree("pristine")), url)),
        ]
        for proxy in proxies:
            stack.callback(proxy.stop)
            proxy.start()
        patched, pristine = (
            stack.enter_context(ResponsesClient(proxy.wait_until_ready().url, proxy.key)) for proxy in proxies
        )
        play, cells = Play(provider, url), []
        for case in CASES:
            for stream in (False, True):
                cell = {"release": release, "case": case, "stream": stream}
                cell["begun_with_patch"] = play.outcome(patched, pristine, case, stream)
                cell["begun_without_patch"] = play.outcome(pristine, pristine, case, stream)
                print(cell, file=sys.stderr, flush=True)
                cells.append(cell)
        return cells


if __name__ == "__main__":
    json.dump(measure(), sys.stdout)
