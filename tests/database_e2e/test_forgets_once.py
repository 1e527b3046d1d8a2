"""A history that is not there is missed once: what the model saw from then on is the conversation."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lab.client import ResponsesClient
from lab.provider import Provider
from lab.redis_server import RedisServer

from .redis_state import flush, stopped
from .talks import Talk, wait_until_redis_serves

NEVER_GIVEN = "chatcmpl-never-given"


def check_is_kept(conversation: Talk, since: int) -> None:
    """From its text number ``since`` on, every turn reaches the provider with all that was said."""
    for _ in range(3):
        assert conversation.say() == conversation.said[since:-1]


@pytest.fixture
def unlogged(talk: Callable[..., Talk], without_prompts: ResponsesClient, stream: bool) -> Talk:
    """On a proxy whose database holds no prompts, as by default."""
    return talk(without_prompts, stream)


def test_after_an_unknown_id_a_conversation_begins(unlogged: Talk) -> None:
    unlogged.previous = NEVER_GIVEN
    assert unlogged.say() == unlogged.said[:1]
    check_is_kept(unlogged, since=0)


def test_after_an_eviction_a_conversation_begins(unlogged: Talk, mortal_redis: RedisServer) -> None:
    unlogged.say()
    flush(mortal_redis)
    assert unlogged.say() == unlogged.said[2:3]
    check_is_kept(unlogged, since=2)


def test_after_a_failed_read_a_conversation_begins(
    unlogged: Talk, mortal_redis: RedisServer, provider: Provider
) -> None:
    unlogged.say()
    with stopped(mortal_redis):
        unlogged.say()
    wait_until_redis_serves(unlogged.client, provider)
    begun = len(unlogged.said)
    unlogged.say()
    check_is_kept(unlogged, since=begun)


def test_what_the_database_gave_is_kept_with_the_turn(
    conversation: Talk, mortal_redis: RedisServer, upstream_continues: bool
) -> None:
    conversation.say()
    conversation.say()
    conversation.rows()
    flush(mortal_redis)
    assert (conversation.say() == conversation.said[:-1]) == upstream_continues
    kept_since = 0 if upstream_continues else 4
    check_is_kept(conversation, kept_since)


def test_the_database_s_history_then_survives_without_the_database_s_rows(
    conversation: Talk, mortal_redis: RedisServer, without_database: ResponsesClient, upstream_continues: bool
) -> None:
    conversation.say()
    conversation.rows()
    flush(mortal_redis)
    conversation.say()
    kept_since = 0 if upstream_continues else 2
    elsewhere = conversation.fork(client=without_database)
    assert elsewhere.say() == elsewhere.said[kept_since:-1]
