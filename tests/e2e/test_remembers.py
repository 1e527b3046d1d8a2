"""The main job, on the wire: with no database, a follow-up sent the moment the id is known has its history."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import pytest

from lab.client import ResponsesClient
from lab.conversations import ChatConversation, generated_dialogue, generated_trajectory, recorded
from lab.provider import Provider
from lab.proxy import MODELS, Proxy
from lab.replay import check_exact, play_all

from .sizes import MANNERS, some_of

CONVERSATIONS = 1_000


def play(proxy: Proxy, provider: Provider, conversations: Sequence[ChatConversation], tags: Iterator[int]) -> None:
    """Every conversation through the proxy; what the provider got must be the history, exactly."""
    played = asyncio.run(play_all(proxy.url, proxy.key, provider, conversations, MANNERS, tags))
    check_exact(played, conversations)
    print(f"{len(played)} turns of {len(conversations)} conversations exact")


def test_every_follow_up_has_its_history(proxy: Proxy, provider: Provider, next_tag: Iterator[int]) -> None:
    dialogues = [generated_dialogue(seed, turns=3) for seed in range(CONVERSATIONS)]
    play(proxy, provider, some_of(dialogues, part=8), next_tag)


def test_tool_calls_and_their_results_come_back_once(proxy: Proxy, provider: Provider, next_tag: Iterator[int]) -> None:
    play(proxy, provider, [generated_trajectory(seed, turns=3) for seed in range(24)], next_tag)


@pytest.mark.parametrize("name, part", [("dialogues", 10), ("agent_trajectories", 10)])
def test_recorded_conversations_come_back_exactly(
    name: str, part: int, proxy: Proxy, provider: Provider, next_tag: Iterator[int]
) -> None:
    conversations = recorded(name)
    if not conversations:
        pytest.skip(f"{name}.jsonl is not here; generated conversations are played above")
    play(proxy, provider, some_of(conversations, part), next_tag)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", MODELS)
def test_a_long_message_comes_back_whole(model: str, stream: bool, client: ResponsesClient, provider: Provider) -> None:
    long_text = "".join(f"{number} " for number in range(3_500))[:17_000]
    first = client.responses(model, long_text, stream=stream)
    client.responses(model, "And now?", stream=stream, previous_response_id=first.id)
    said = [text for message in provider.requests()[-1].conversation for text in message.texts]
    assert said == [long_text, first.text, "And now?"]


def test_two_workers_share_their_conversations(
    second_proxy: Proxy, provider: Provider, next_tag: Iterator[int]
) -> None:
    assert second_proxy.options.num_workers == 2
    play(second_proxy, provider, [generated_trajectory(seed, turns=2) for seed in range(100, 130)], next_tag)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", MODELS)
def test_a_second_proxy_continues_what_the_first_began(
    model: str, stream: bool, two_proxies: list[Proxy], provider: Provider
) -> None:
    urls = [(proxy.url, proxy.key) for proxy in two_proxies]
    with ResponsesClient(*urls[0]) as one, ResponsesClient(*urls[1]) as other:
        said, previous = [], None
        for number in range(10):
            client = (one, other)[number % 2]
            reply = client.responses(model, f"turn {number}", stream=stream, previous_response_id=previous)
            said += [f"turn {number}", reply.text]
            previous = reply.id
    received = [text for message in provider.requests()[-1].conversation for text in message.texts]
    assert received == said[:-1]
