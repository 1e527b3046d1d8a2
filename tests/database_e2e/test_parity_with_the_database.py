"""What Redis serves is what the database serves later, for straight conversations of short messages.

Where the two differ, the database is wrong: each test of that kind names the defect of upstream's.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from lab.client import ResponsesClient
from lab.conversations import PLAIN_WORDS, generated_dialogue
from lab.processes import wait_until
from lab.proxy import MODELS
from lab.redis_server import RedisServer
from lab.wire import Conversation, Message
from tests.e2e.sizes import LONG

from .redis_state import flush
from .talks import CUT_BY_THE_DATABASE, Talk
from .upstream import Continues

CONVERSATIONS = 200 if LONG else 40
REMEMBERED_SECONDS = 30

Begin = Callable[..., Talk]
# What goes out for the next turn out of Redis, and out of the database.
TellBoth = Callable[..., tuple[tuple[str, ...], tuple[str, ...]]]


def received(conversation: Talk) -> Conversation:
    """What the provider got for the last turn, message by message."""
    return conversation.provider.requests(tag=conversation.tags[-1])[-1].conversation_as(merge=False)


@pytest.fixture
def tell_both(mortal_redis: RedisServer) -> TellBoth:
    def tell(conversation: Talk, *rows_of: Talk, **params: object) -> tuple[tuple[str, ...], tuple[str, ...]]:
        asked = "What was said?"
        out_of_redis = conversation.fork().say(asked, store=False, **params)
        for each in (conversation, *rows_of):
            each.rows()
        flush(mortal_redis)
        return out_of_redis, conversation.fork().say(asked, store=False, **params)

    return tell


@pytest.fixture
def upstream_keeps_items(without_patch: ResponsesClient, talk: Begin) -> bool:
    """Whether the database gives back a message that was sent as an item of a list."""
    asked = talk(without_patch)
    asked.say(as_item=True)
    asked.rows()
    return asked.remembers()


@pytest.fixture
def upstream_replaces_instructions(without_patch: ResponsesClient, talk: Begin) -> bool:
    """Whether new instructions are sent without the old ones."""
    told = talk(without_patch)
    told.say(instructions="The old instructions.")
    told.rows()
    return "The old instructions." not in told.say(instructions="The new ones.")


def random_conversation(seed: int, begin: Callable[..., Talk], modes: list[bool], as_items: list[bool]) -> Talk:
    """Three to five turns, as strings or as items, the first with or without instructions, plain or as a stream."""
    chance = random.Random(seed)
    conversation = begin(chance.choice(modes), model=chance.choice(MODELS))
    instructions = chance.choice([None, " ".join(chance.choices(PLAIN_WORDS, k=5))])
    for turn in generated_dialogue(seed, turns=chance.randint(3, 5)).turns:
        conversation.say(turn.sent[0]["content"], chance.choice(as_items), instructions=instructions)
        instructions = None
    return conversation


def test_redis_serves_what_the_database_serves_later(
    with_patch: ResponsesClient,
    talk: Begin,
    mortal_redis: RedisServer,
    measured_continues: Continues,
    upstream_keeps_items: bool,
) -> None:
    modes = [stream for stream in (False, True) if measured_continues(stream)]
    as_items = [False, True] if upstream_keeps_items else [False]
    conversations = [
        random_conversation(seed, lambda *mode, **model: talk(with_patch, *mode, **model), modes, as_items)
        for seed in range(CONVERSATIONS)
    ]
    out_of_redis = [received(conversation) for conversation in conversations]
    for conversation in conversations:
        conversation.rows()
    flush(mortal_redis)
    for conversation, before in zip(conversations, out_of_redis, strict=True):
        answer = conversation.said[-1]
        conversation.say("And in the end?")
        added = (Message("assistant", (answer,)), Message("user", ("And in the end?",)))
        assert received(conversation) == before + added, conversation


def test_upstream_s_cut_of_long_messages_is_not_in_redis(
    with_patch: ResponsesClient, talk: Begin, tell_both: TellBoth
) -> None:
    conversation = talk(with_patch)
    conversation.say(CUT_BY_THE_DATABASE)
    out_of_redis, out_of_database = tell_both(conversation)
    assert out_of_redis[0] == CUT_BY_THE_DATABASE
    assert "truncated" in out_of_database[0] and len(out_of_database[0]) < len(CUT_BY_THE_DATABASE)


def test_upstream_s_mixing_of_branches_is_not_in_redis(
    with_patch: ResponsesClient, talk: Begin, tell_both: TellBoth
) -> None:
    trunk = talk(with_patch)
    trunk.say("The trunk.")
    left, right = trunk.fork(), trunk.fork()
    left.say("Left?")
    right.say("Right?")
    out_of_redis, out_of_database = tell_both(left, right)
    assert out_of_redis[:-1] == left.said and "Right?" not in out_of_redis
    assert "Right?" in out_of_database


def test_upstream_s_loss_of_messages_sent_as_items_is_not_in_redis(
    with_patch: ResponsesClient, talk: Begin, tell_both: TellBoth, upstream_keeps_items: bool
) -> None:
    conversation = talk(with_patch)
    conversation.say("An item.", as_item=True)
    out_of_redis, out_of_database = tell_both(conversation)
    assert out_of_redis[:-1] == conversation.said
    assert ("An item." in out_of_database) == upstream_keeps_items


def test_upstream_s_repetition_of_replaced_instructions_is_not_in_redis(
    with_patch: ResponsesClient, talk: Begin, tell_both: TellBoth, upstream_replaces_instructions: bool
) -> None:
    conversation = talk(with_patch)
    conversation.say("One.", instructions="The old instructions.")
    out_of_redis, out_of_database = tell_both(conversation, instructions="The new ones.")
    assert "The new ones." in out_of_redis and "The new ones." in out_of_database
    assert "The old instructions." not in out_of_redis
    assert ("The old instructions." in out_of_database) == (not upstream_replaces_instructions)


def test_upstream_s_memory_of_store_false_is_not_in_redis(with_patch: ResponsesClient, talk: Begin) -> None:
    secret = talk(with_patch)
    secret.say("A secret.", store=False)
    secret.rows()

    def upstream_remembers() -> bool:
        return "A secret." in secret.fork().say("And?")

    # Not in Redis, so the database is asked, which does not know of `store`.
    wait_until(upstream_remembers, REMEMBERED_SECONDS, "upstream's lookup", 0.5)
