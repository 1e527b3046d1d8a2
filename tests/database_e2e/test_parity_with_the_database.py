"""What Redis serves is what the database serves later, for straight conversations of short messages.

Where the two differ, the database is wrong: each test of that kind names the defect of upstream's.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tests.e2e.sizes import LONG
from tests.support.client import ResponsesClient
from tests.support.conversations import PLAIN_WORDS, generated_dialogue
from tests.support.processes import wait_until
from tests.support.provider import Provider
from tests.support.redis_server import RedisServer
from tests.support.wire import Conversation, Message

from .redis_state import flush
from .rows import wait_for_rows
from .talks import CUT_BY_THE_DATABASE, Talk

CONVERSATIONS = 200 if LONG else 40
BEGUN_IN_1_100 = "upstream's lookup of these releases: no retry, list-shaped input loses its user messages"

Begin = Callable[..., Talk]


@pytest.fixture(autouse=True)
def from_1_100_on(release: str) -> None:
    if tuple(int(part) for part in release.split(".")[:2]) < (1, 100):
        pytest.skip(BEGUN_IN_1_100)


def received(conversation: Talk) -> Conversation:
    """What the provider got for the last turn, message by message."""
    return conversation.provider.requests(tag=conversation.tags[-1])[-1].conversation_as(merge=False)


def random_conversation(seed: int, talk: Begin, client: ResponsesClient) -> Talk:
    """Three to five turns, as strings or as items, with or without instructions, plain or as a stream."""
    chance = random.Random(seed)
    conversation = talk(client, chance.random() < 0.5, model=chance.choice(["chat-model", "claude-model", "gemini-model"]))
    instructions = " ".join(chance.choices(PLAIN_WORDS, k=5)) if chance.random() < 0.5 else None
    for turn in generated_dialogue(seed, turns=chance.randint(3, 5)).turns:
        text = turn.sent[0]["content"]
        conversation.say(text, instructions=instructions)
    return conversation


def test_redis_serves_what_the_database_serves_later(
    with_patch: ResponsesClient, talk: Begin, mortal_redis: RedisServer, shared_url: str
) -> None:
    conversations = [random_conversation(seed, talk, with_patch) for seed in range(CONVERSATIONS)]
    out_of_redis = [received(conversation) for conversation in conversations]
    wait_for_rows(shared_url, [tag for conversation in conversations for tag in conversation.tags])
    flush(mortal_redis)
    for conversation, before in zip(conversations, out_of_redis, strict=True):
        answer = conversation.said[-1]
        conversation.say("And in the end?")
        added = (Message("assistant", (answer,)), Message("user", ("And in the end?",)))
        assert received(conversation) == before + added, conversation


@pytest.fixture
def tell_both(
    with_patch: ResponsesClient, mortal_redis: RedisServer, shared_url: str
) -> Callable[[Talk], tuple[tuple[str, ...], tuple[str, ...]]]:
    """What goes out for the next turn out of Redis, and out of the database."""

    def tell(conversation: Talk, *rows_of: Talk) -> tuple[tuple[str, ...], tuple[str, ...]]:
        asked = "What was said?"
        out_of_redis = conversation.fork().say(asked, store=False)
        wait_for_rows(shared_url, [tag for each in (conversation, *rows_of) for tag in each.tags])
        flush(mortal_redis)
        return out_of_redis, conversation.fork().say(asked, store=False)

    return tell


def test_upstream_s_cut_of_long_messages_is_not_in_redis(
    with_patch: ResponsesClient, talk: Begin, tell_both: Callable
) -> None:
    conversation = talk(with_patch)
    conversation.say(CUT_BY_THE_DATABASE)
    out_of_redis, out_of_database = tell_both(conversation)
    assert out_of_redis[0] == CUT_BY_THE_DATABASE
    assert "litellm_truncated" in out_of_database[0] and len(out_of_database[0]) < len(CUT_BY_THE_DATABASE)


def test_upstream_s_mixing_of_branches_is_not_in_redis(
    with_patch: ResponsesClient, talk: Begin, tell_both: Callable
) -> None:
    trunk = talk(with_patch)
    trunk.say("The trunk.")
    left, right = trunk.fork(), trunk.fork()
    left.say("Left?")
    right.say("Right?")
    out_of_redis, out_of_database = tell_both(left, right)
    assert out_of_redis[:-1] == left.said and "Right?" not in out_of_redis
    assert "Right?" in out_of_database


def test_upstream_s_memory_of_store_false_is_not_in_redis(
    with_patch: ResponsesClient, talk: Begin, shared_url: str, mortal_redis: RedisServer, provider: Provider
) -> None:
    secret = talk(with_patch)
    secret.say("A secret.", store=False)
    wait_for_rows(shared_url, secret.tags)

    def upstream_remembers() -> bool:
        return "A secret." in secret.fork().say("And?")

    # Not in Redis, so the database is asked, which does not know of `store`.
    wait_until(upstream_remembers, 30, "upstream's lookup", 0.5)
