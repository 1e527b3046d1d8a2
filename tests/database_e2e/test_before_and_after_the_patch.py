"""The patch is put in, taken out or switched off between two turns: the database carries the conversation over."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lab.client import ResponsesClient

from .talks import Talk
from .upstream import continues

some_turns = pytest.mark.parametrize("turns", [1, 3])


@some_turns
def test_a_conversation_from_before_the_patch_goes_on_in_redis(
    turns: int,
    stream: bool,
    without_patch: ResponsesClient,
    with_patch: ResponsesClient,
    talk: Callable[..., Talk],
    upstream_continues: bool,
) -> None:
    old = talk(without_patch, stream)
    for _ in range(turns):
        continues(old) if old.previous else old.say()
    carried_over = old.fork(client=with_patch)
    assert continues(carried_over) == upstream_continues
    if upstream_continues:
        for _ in range(3):
            assert carried_over.remembers()  # At once, so out of Redis.
        assert len({row["session_id"] for row in carried_over.rows()}) == 1


@some_turns
def test_a_conversation_of_the_patched_proxy_goes_on_after_revert_as_far_as_upstream_can(
    turns: int, conversation: Talk, without_patch: ResponsesClient, upstream_continues: bool
) -> None:
    for _ in range(turns):
        conversation.say()
    assert continues(conversation.fork(client=without_patch)) == upstream_continues


@some_turns
def test_a_conversation_of_the_patched_proxy_goes_on_where_it_is_switched_off_as_far_as_upstream_can(
    turns: int, conversation: Talk, switched_off: ResponsesClient, upstream_continues: bool
) -> None:
    for _ in range(turns):
        conversation.say()
    assert continues(conversation.fork(client=switched_off)) == upstream_continues
