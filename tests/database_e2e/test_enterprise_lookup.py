"""Releases before 1.75.2, whose only lookup is in the package `litellm_enterprise`: with it and without it.

With it, every other test here runs on such a release too; this is the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lab.client import ResponsesClient
from lab.provider import Provider
from lab.proxies import ProxyPool
from lab.proxy import ProxyOptions
from lab.redis_server import RedisServer
from lab.trees import tree

from .conftest import serving_client
from .redis_state import flush
from .talks import CUT_BY_THE_DATABASE, Talk
from .upstream import continues

HERE = Path(__file__).parent
LOOKUP_OF_ITS_OWN = "litellm/responses/litellm_completion_transformation/session_handler.py"
HAS_SUBJECT = not (tree("pristine") / LOOKUP_OF_ITS_OWN).exists()


@pytest.fixture
def without_package(
    proxies: ProxyPool, all_options: dict[str, ProxyOptions], provider: Provider
) -> Iterator[ResponsesClient]:
    """The patched proxy where the package is not installed."""
    options = all_options["with_patch"]
    proxy = proxies.get(replace(options, python_path=(HERE / "without_enterprise", *options.python_path)))
    yield from serving_client(proxy, provider)


def test_with_the_package_a_flushed_conversation_comes_from_its_lookup(
    conversation: Talk, mortal_redis: RedisServer
) -> None:
    assert conversation.remembers() and conversation.remembers()
    flush(mortal_redis)
    assert continues(conversation)


def test_without_the_package_redis_serves(
    stream: bool, without_package: ResponsesClient, talk: Callable[..., Talk]
) -> None:
    conversation = talk(without_package, stream)
    conversation.say(CUT_BY_THE_DATABASE)
    assert conversation.remembers() and conversation.remembers()


def test_without_the_package_and_without_redis_a_conversation_begins_anew_and_is_kept(
    stream: bool, without_package: ResponsesClient, talk: Callable[..., Talk], mortal_redis: RedisServer
) -> None:
    conversation = talk(without_package, stream)
    conversation.say()
    flush(mortal_redis)
    assert not continues(conversation)
    assert conversation.say() == conversation.said[-4:-1]  # What the model saw since is the conversation.
