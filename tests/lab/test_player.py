"""The verdicts: a proxy's part is played by one that sends the provider whatever history the case says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from lab.answers import Answer, ToolCall
from lab.client import Reply
from lab.conversations import ChatConversation
from lab.lines import Manner
from lab.load import Teller
from lab.player import FAILED, FIRST, LOST, OF_LITELLM, WHOLE, WRONG, Player
from lab.replay import play

History = Callable[[list[dict]], list[dict]]
HELLO, NEXT = {"role": "user", "content": "Hello."}, {"role": "user", "content": "And?"}
CALL = Answer(tool_calls=(ToolCall("look_up", '{"a": 1}', "call_1"),))
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "found"}


@dataclass
class ProxyWith:
    """Of each follow-up the provider gets `history` of all that was said, and what is new.

    shown: what the client gets in the place of the model's text.
    """

    url: str
    history: History = list
    times: int = 1
    shown: str | None = None
    manner: Manner = field(default_factory=Manner)
    said: list[dict] = field(default_factory=list)

    async def ask(self, input: Any, tag: int, previous: str | None, **params: Any) -> Reply:
        new = [{"role": "user", "content": input}] if isinstance(input, str) else list(map(as_message, input))
        sent = [*(self.history(self.said) if previous else ()), *new]
        async with httpx.AsyncClient(trust_env=False) as client:
            for _ in range(self.times):
                body = {"model": "m", "messages": sent, "max_tokens": tag}
                reply = await client.post(f"{self.url}/chat/completions", json=body)
        if reply.status_code != 200:
            return Reply(reply.status_code, reply.json())
        message = reply.json()["choices"][0]["message"]
        self.said += [*new, message]
        calls = [
            {"type": "function_call", "call_id": each["id"], **each["function"]}
            for each in message.get("tool_calls") or ()
        ]
        text = {
            "type": "message",
            "content": [{"type": "output_text", "text": self.shown or message.get("content") or ""}],
        }
        return Reply(200, {"id": f"resp_{tag}", "status": "completed", "output": [text, *calls]})


def as_message(item: dict) -> dict:
    if item.get("type") == "function_call_output":
        return {"role": "tool", "tool_call_id": item["call_id"], "content": item["output"]}
    return item


@pytest.fixture
def player_on(provider, next_tag) -> Callable[..., Player]:
    return lambda **case: Player(ProxyWith(provider.url, **case), provider, next_tag)


HISTORIES: dict[str, tuple[History, str]] = {
    "all of it": (list, WHOLE),
    "nothing": (lambda said: [], LOST),
    "all of it twice": (lambda said: said * 2, WRONG),
    "without its first message": (lambda said: said[1:], WRONG),
    "without the answer": (lambda said: said[:-1], WRONG),
    "another's": (lambda said: [{"role": "user", "content": "A secret."}, said[-1]], WRONG),
}


@pytest.mark.parametrize("name", HISTORIES)
async def test_a_follow_up_is_judged_by_what_the_provider_got(name: str, player_on: Callable[..., Player]) -> None:
    history, verdict = HISTORIES[name]
    player = player_on(history=history)
    first = await player.say(HELLO)
    second = await player.say(NEXT, after=first)
    assert (first.verdict, second.verdict) == (FIRST, verdict)
    assert bool(second.problem) is (verdict != WHOLE)
    assert second.messages == (*first.messages, NEXT, {"role": "assistant", "content": second.reply.text})


async def test_what_the_model_has_not_seen_is_not_what_it_is_to_see_next(player_on: Callable[..., Player]) -> None:
    player = player_on(history=lambda said: [])
    second = await player.say(NEXT, after=await player.say(HELLO))
    player.line.history = lambda said: said[-2:]
    assert (await player.say(HELLO, after=second)).verdict == WRONG
    player.line.said = player.line.said[:4]
    assert (await player.say(HELLO, after=second.as_the_model_knows_it())).verdict == WHOLE


@pytest.mark.parametrize("kept, verdict", [(2, WHOLE), (1, LOST), (0, LOST)])
async def test_a_result_may_be_lost_with_its_call_or_without(
    kept: int, verdict: str, player_on: Callable[..., Player]
) -> None:
    player = player_on(history=lambda said: said[len(said) - kept :])
    first = await player.say(HELLO, answer=CALL)
    with player.provider.allow("deepseek-orphan-result"):
        second = await player.say(RESULT, after=first)
    assert (second.verdict, second.lost) == (verdict, 2 - kept)


async def test_a_result_that_is_lost_with_its_call_may_be_refused(player_on: Callable[..., Player]) -> None:
    player = player_on(history=lambda said: [])
    second = await player.say(RESULT, after=await player.say(HELLO, answer=CALL))
    assert (second.verdict, second.messages, second.reply.status) == (LOST, (), 400)


async def test_a_whole_conversation_that_the_provider_refuses_has_failed(player_on: Callable[..., Player]) -> None:
    player = player_on()
    second = await player.say(NEXT, after=await player.say(HELLO, answer=CALL))
    assert (second.verdict, second.messages) == (FAILED, ())
    assert "insufficient tool messages" in second.problem


@pytest.mark.parametrize("remembered, verdict", [("Good day.", WHOLE), ("Good night.", WRONG)])
async def test_what_the_model_said_is_what_it_was_told_to_say_and_not_what_the_client_was_shown(
    remembered: str, verdict: str, player_on: Callable[..., Player]
) -> None:
    player = player_on(shown="Good night.")
    first = await player.say(HELLO, answer=Answer("Good day."))
    assert first.reply.text == "Good night."
    player.line.said[-1] = {"role": "assistant", "content": remembered}
    assert (await player.say(NEXT, after=first)).verdict == verdict


async def test_a_request_that_reaches_the_provider_twice_is_wrong(player_on: Callable[..., Player]) -> None:
    assert (await player_on(times=2).say(HELLO)).verdict == WRONG


@pytest.mark.parametrize("body", [{}, {"id": "resp_1", "status": "in_progress"}, {"id": "resp_1", "status": "failed"}])
async def test_a_reply_that_is_not_whole_has_failed(
    body: dict, player_on: Callable[..., Player], monkeypatch: pytest.MonkeyPatch
) -> None:
    player = player_on()
    whole = player.line.ask

    async def cut(*arguments: Any, **params: Any) -> Reply:
        await whole(*arguments, **params)
        return Reply(200, body)

    monkeypatch.setattr(player.line, "ask", cut)
    assert (await player.say(HELLO)).verdict == FAILED


async def test_after_a_failure_the_last_turn_that_did_not_fail_is_followed(player_on: Callable[..., Player]) -> None:
    teller = Teller(player_on())
    verdicts: Sequence[str] = [
        (await teller.ask(answer)).verdict for answer in (None, Answer(status=500), None, Answer(status=500), None)
    ]
    assert verdicts == [FIRST, FAILED, WHOLE, FAILED, WHOLE]
    assert len(teller.last.messages) == 6


async def test_in_a_replay_a_turn_that_a_race_of_litellm_s_has_ended_is_asked_again(
    player_on: Callable[..., Player], monkeypatch: pytest.MonkeyPatch
) -> None:
    player, raced = player_on(), []
    whole = player.line.ask

    async def race_once(*arguments: Any, **params: Any) -> Reply:
        if not raced:
            raced.append(arguments)
            return Reply(500, {"error": {"message": OF_LITELLM}})
        return await whole(*arguments, **params)

    monkeypatch.setattr(player.line, "ask", race_once)
    conversation = ChatConversation("one", (HELLO, {"role": "assistant", "content": "Good day."}))
    (played,) = await play(player, conversation)
    assert raced and played.is_whole


async def test_in_a_replay_a_turn_that_failed_otherwise_is_not_asked_again(
    player_on: Callable[..., Player], monkeypatch: pytest.MonkeyPatch
) -> None:
    player, asked = player_on(), []

    async def fail(*arguments: Any, **params: Any) -> Reply:
        asked.append(arguments)
        return Reply(500, {"error": {"message": "another fault"}})

    monkeypatch.setattr(player.line, "ask", fail)
    conversation = ChatConversation("one", (HELLO, {"role": "assistant", "content": "Good day."}))
    (played,) = await play(player, conversation)
    assert len(asked) == 1 and played.verdict == FAILED
