"""Redis goes and comes back during a conversation: no request fails, and upstream's own way carries on."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.support.client import ResponsesClient
from tests.support.provider import Provider
from tests.support.redis_server import RedisServer

from .redis_state import flush, stopped
from .rows import wait_for_rows
from .talks import Talk, wait_until_redis_serves
from .upstream import Continues, continues, is_run_of, wait_until_continued

Begin = Callable[..., Talk]

both_modes = pytest.mark.parametrize("stream", [False, True])


@pytest.fixture
def after_the_outage(with_patch: ResponsesClient, provider: Provider) -> Iterator[Callable[[], None]]:
    """Waits until the proxy has found its Redis again."""
    yield lambda: wait_until_redis_serves(with_patch, provider)


@both_modes
def test_a_conversation_begun_without_redis_is_continued_as_by_upstream(
    stream: bool,
    with_patch: ResponsesClient,
    talk: Begin,
    mortal_redis: RedisServer,
    shared_url: str,
    upstream_continues: Continues,
) -> None:
    with stopped(mortal_redis):
        conversation = talk(with_patch, stream)
        conversation.say()
        assert continues(conversation, shared_url) == upstream_continues(stream)


@both_modes
def test_a_conversation_that_redis_leaves_is_continued_as_by_upstream(
    stream: bool,
    with_patch: ResponsesClient,
    talk: Begin,
    mortal_redis: RedisServer,
    shared_url: str,
    upstream_continues: Continues,
) -> None:
    conversation = talk(with_patch, stream)
    conversation.say()
    conversation.say()
    with stopped(mortal_redis):
        assert continues(conversation, shared_url) == upstream_continues(stream)


@both_modes
def test_after_the_outage_a_conversation_from_the_database_is_in_redis_again(
    stream: bool,
    with_patch: ResponsesClient,
    talk: Begin,
    mortal_redis: RedisServer,
    shared_url: str,
    upstream_continues: Continues,
    after_the_outage: Callable[[], None],
) -> None:
    if not upstream_continues(stream):
        pytest.skip("upstream cannot continue this mode from the database")
    conversation = talk(with_patch, stream)
    conversation.say()
    with stopped(mortal_redis):
        assert continues(conversation, shared_url)
    after_the_outage()
    assert continues(conversation, shared_url)
    for _ in range(3):
        assert conversation.remembers()  # At once, so out of Redis.


@both_modes
def test_a_flushed_conversation_is_continued_as_soon_as_upstream_can(
    stream: bool,
    with_patch: ResponsesClient,
    talk: Begin,
    mortal_redis: RedisServer,
    shared_url: str,
    upstream_continues: Continues,
) -> None:
    conversation = talk(with_patch, stream)
    conversation.say()
    flush(mortal_redis)
    if not upstream_continues(stream):
        assert not continues(conversation, shared_url)
        return
    continued = wait_until_continued(conversation)
    for _ in range(3):
        assert continued.remembers()


@both_modes
def test_a_turn_that_missed_its_history_does_not_hide_it_later(
    stream: bool,
    with_patch: ResponsesClient,
    talk: Begin,
    mortal_redis: RedisServer,
    shared_url: str,
) -> None:
    conversation = talk(with_patch, stream)
    conversation.say()
    flush(mortal_redis)
    received = conversation.say()  # Perhaps before the database has the first turn.
    said = conversation.said
    wait_for_rows(shared_url, conversation.tags)
    later = conversation.say()
    assert is_run_of(received, said[:-1]) and is_run_of(later, conversation.said[:-1])
    assert len(later) == len(received) + 2 or received == said[:-1] or later == conversation.said[-2:-1]


@both_modes
def test_a_redis_that_hangs_is_no_reason_to_wait_for_it_or_to_fail(
    stream: bool,
    with_patch: ResponsesClient,
    talk: Begin,
    mortal_redis: RedisServer,
    shared_url: str,
    upstream_continues: Continues,
) -> None:
    conversation = talk(with_patch, stream)
    conversation.say()
    mortal_redis.pause()
    try:
        assert continues(conversation, shared_url) == upstream_continues(stream)
    finally:
        mortal_redis.resume()


@both_modes
def test_without_a_database_an_outage_costs_the_memory_and_nothing_else(
    stream: bool,
    without_database: ResponsesClient,
    talk: Begin,
    mortal_redis: RedisServer,
    provider: Provider,
) -> None:
    begun_before = talk(without_database, stream)
    begun_before.say()
    with stopped(mortal_redis):
        begun_during = talk(without_database, stream)
        for conversation in (begun_before, begun_during, begun_during):
            assert conversation.say() == conversation.said[-2:-1]
    wait_until_redis_serves(without_database, provider)
    for conversation in (begun_before, begun_during):
        assert conversation.say() == conversation.said[-2:-1]
        assert is_run_of(conversation.say(), conversation.said[:-1])
    assert talk(without_database, stream).remembers()
