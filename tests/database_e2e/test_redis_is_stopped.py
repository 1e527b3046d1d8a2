"""Redis goes and comes back during a conversation: no request fails, and upstream's own way carries on."""

from __future__ import annotations

from collections.abc import Callable

from lab.client import ResponsesClient
from lab.provider import Provider
from lab.redis_server import RedisServer

from .redis_state import flush, stopped
from .talks import Talk, wait_until_redis_serves
from .upstream import continues, is_run_of, wait_until_continued


def test_a_conversation_begun_without_redis_is_continued_as_by_upstream(
    conversation: Talk, mortal_redis: RedisServer, upstream_continues: bool
) -> None:
    with stopped(mortal_redis):
        conversation.say()
        assert continues(conversation) == upstream_continues


def test_a_conversation_that_redis_leaves_is_continued_as_by_upstream(
    conversation: Talk, mortal_redis: RedisServer, upstream_continues: bool
) -> None:
    conversation.say()
    conversation.say()
    with stopped(mortal_redis):
        assert continues(conversation) == upstream_continues


def test_after_the_outage_what_the_database_continues_is_in_redis_again(
    conversation: Talk, mortal_redis: RedisServer, provider: Provider, upstream_continues: bool
) -> None:
    conversation.say()
    with stopped(mortal_redis):
        assert continues(conversation) == upstream_continues
    wait_until_redis_serves(conversation.client, provider)
    assert continues(conversation) == upstream_continues
    for _ in range(3):
        assert conversation.remembers() == upstream_continues  # At once, so out of Redis.


def test_a_flushed_conversation_is_continued_as_soon_as_upstream_can(
    conversation: Talk, mortal_redis: RedisServer, upstream_continues: bool
) -> None:
    conversation.say()
    flush(mortal_redis)
    if not upstream_continues:
        assert not continues(conversation)
        return
    continued = wait_until_continued(conversation)
    for _ in range(3):
        assert continued.remembers()


def test_the_turns_right_after_a_loss_go_out_with_what_upstream_gives(
    conversation: Talk, mortal_redis: RedisServer, upstream_continues: bool
) -> None:
    """Upstream begins another session with a turn whose rows it did not find in time."""
    conversation.say()
    flush(mortal_redis)
    received = conversation.say()  # Perhaps before the database has the first turn.
    assert is_run_of(received, conversation.said[:-1])
    conversation.rows()
    later = conversation.say()
    assert is_run_of(later, conversation.said[:-1])
    assert len(later) == (len(received) + 2 if upstream_continues else 1)


def test_a_redis_that_hangs_is_no_reason_to_wait_for_it_or_to_fail(
    conversation: Talk, mortal_redis: RedisServer, upstream_continues: bool
) -> None:
    conversation.say()
    mortal_redis.pause()
    try:
        assert continues(conversation) == upstream_continues
    finally:
        mortal_redis.resume()


def test_without_a_database_an_outage_costs_the_memory_and_nothing_else(
    stream: bool,
    without_database: ResponsesClient,
    talk: Callable[..., Talk],
    mortal_redis: RedisServer,
    provider: Provider,
) -> None:
    begun_before = talk(without_database, stream)
    begun_before.say()
    with stopped(mortal_redis):
        begun_during = talk(without_database, stream)
        for each in (begun_before, begun_during, begun_during):
            assert each.say() == each.said[-2:-1]
    wait_until_redis_serves(without_database, provider)
    for each in (begun_before, begun_during):
        assert each.say() == each.said[-2:-1]
        assert is_run_of(each.say(), each.said[:-1])
    assert talk(without_database, stream).remembers()
