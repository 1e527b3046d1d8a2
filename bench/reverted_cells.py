"""One release's cells of `bench.after_revert`; runs in that release's environment, data as JSON on standard output."""

from __future__ import annotations

import contextlib
import itertools
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

from lab.answers import Answer, ToolCall
from lab.asking import Asker
from lab.client import ResponsesClient
from lab.database.postgres import postgres
from lab.database.proxy_env import with_database
from lab.database.spend_logs import wait_for_spend_logs
from lab.exchange import Exchange
from lab.lines import Manner
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

    def say(
        self, client: ResponsesClient, case: str, stream: bool, previous: Exchange | None, answer_id: str | None
    ) -> Exchange:
        """One turn."""
        has_tool = case == "a tool's result"
        manner = Manner("claude-model" if has_tool else "chat-model", stream)
        asker = Asker(client, self.provider, manner, tags=self.tags)
        number = next(self.tags)
        calls = (ToolCall("look_up", '{"a": 1}', f"call_{number}"),) if has_tool and previous is None else ()
        asked: object = f"Question {number}? {LONG if '17,000' in case else ''}".strip()
        if case == "messages as items":
            asked = [{"role": "user", "content": asked}]
        if previous is not None and previous.reply.calls:
            call_id = previous.reply.calls[0]["call_id"]
            asked = [{"type": "function_call_output", "call_id": call_id, "output": "42"}]
        answer = Answer(text=f"Answer {number}.", tool_calls=calls, id=answer_id)
        return asker.ask(asked, previous, answer, tools=[TOOL] if has_tool else None)

    def outcome(self, first: ResponsesClient, second: ResponsesClient, case: str, stream: bool) -> str:
        """Two turns on the one, the third on the other: what reached the provider then."""
        turns: list[Exchange] = []
        answer_id = f"same-id-{next(self.tags)}" if case == REPEATED else None
        for _ in range(2):
            turns.append(self.say(first, case, stream, turns[-1] if turns else None, answer_id))
            if turns[-1].status != 200:
                return f"refused by upstream already before ({turns[-1].status})"
            if first is second:
                self.wait_for_rows(case, turns)
        self.wait_for_rows(case, turns)
        last = self.say(second, case, stream, turns[-1], None)
        if last.status != 200:
            return f"refused ({last.status})"
        return classify(last.requests[-1], turns)

    def wait_for_rows(self, case: str, turns: list[Exchange]) -> None:
        """Of answers with one id, the database keeps the first."""
        wanted = {turn.tag for turn in (turns[:1] if case == REPEATED else turns)}

        def written(rows: list[dict]) -> bool:
            return {(row.get("proxy_server_request") or {}).get("max_output_tokens") for row in rows} >= wanted

        wait_for_spend_logs(self.url, written)


def classify(request: Recorded, turns: list[Exchange]) -> str:
    """In words: what of the turns before is in the request."""
    conversation = request.conversation_as(merge=False)
    texts = [text for message in conversation for text in message.texts]
    calls = sum(len(message.calls) for message in conversation)
    expected_calls = sum(len(turn.reply.calls) for turn in turns)
    asked = [text for turn in turns if (text := text_asked(turn)) is not None]
    answers = [turn.reply.text for turn in turns]
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


def text_asked(turn: Exchange) -> str | None:
    """`None` for a tool's result."""
    return turn.sent if isinstance(turn.sent, str) else turn.sent[0].get("content")


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
