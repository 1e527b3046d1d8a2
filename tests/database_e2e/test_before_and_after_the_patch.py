"""The patch is put in or taken out between two turns: the database carries the conversation over."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.client import ResponsesClient

from .talks import Talk
from .upstream import Continues, continues


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("turns", [1, 3])
def test_a_conversation_from_before_the_patch_goes_on_in_redis(
    turns: int,
    stream: bool,
    without_patch: ResponsesClient,
    with_patch: ResponsesClient,
    talk: Callable[..., Talk],
    shared_url: str,
    upstream_continues: Continues,
) -> None:
    old = talk(without_patch, stream)
    for _ in range(turns):
        continues(old, shared_url) if old.previous else old.say()
    conversation = old.fork(client=with_patch)
    assert continues(conversation, shared_url) == upstream_continues(stream)
    if upstream_continues(stream):
        for _ in range(3):
            assert conversation.remembers()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("turns", [1, 3])
def test_a_conversation_of_the_patched_proxy_goes_on_after_revert_as_far_as_upstream_can(
    turns: int,
    stream: bool,
    without_patch: ResponsesClient,
    with_patch: ResponsesClient,
    talk: Callable[..., Talk],
    shared_url: str,
    upstream_continues: Continues,
) -> None:
    patched = talk(with_patch, stream)
    for _ in range(turns):
        patched.say()
    reverted = patched.fork(client=without_patch)
    assert continues(reverted, shared_url) == upstream_continues(stream)
