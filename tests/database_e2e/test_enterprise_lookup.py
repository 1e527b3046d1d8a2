"""Releases before 1.75.2, whose only lookup is in the package `litellm_enterprise`: with it and without it.

With it, every other test here runs on such a release too; this is the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.client import ResponsesClient
from tests.support.proxies import ProxyPool
from tests.support.proxy import ProxyOptions
from tests.support.redis_server import RedisServer

from .redis_state import flush
from .talks import CUT_BY_THE_DATABASE, Talk
from .upstream import continues

HERE = Path(__file__).parent
BRIDGE = Path("litellm/responses/litellm_completion_transformation")

both_modes = pytest.mark.parametrize("stream", [False, True])


@pytest.fixture(autouse=True)
def lookup_of_the_enterprise_package(pristine_tree: Path) -> None:
    if (pristine_tree / BRIDGE / "session_handler.py").exists():
        pytest.skip("this release has a lookup of its own")


@pytest.fixture
def without_package(
    proxies: ProxyPool, options_with_database: Callable[..., ProxyOptions]
) -> Iterator[ResponsesClient]:
    options = options_with_database()
    proxy = proxies.get(
        options_with_database(python_path=(HERE / "without_enterprise", *options.python_path))
    )
    with ResponsesClient(proxy.url, proxy.key) as client:
        yield client


@both_modes
def test_with_the_package_a_flushed_conversation_comes_from_its_lookup(
    stream: bool,
    with_patch: ResponsesClient,
    talk: Callable[..., Talk],
    mortal_redis: RedisServer,
    shared_url: str,
) -> None:
    conversation = talk(with_patch, stream)
    assert conversation.remembers() and conversation.remembers()
    flush(mortal_redis)
    assert continues(conversation, shared_url)


@both_modes
def test_without_the_package_redis_serves(
    stream: bool, without_package: ResponsesClient, talk: Callable[..., Talk]
) -> None:
    conversation = talk(without_package, stream)
    conversation.say(CUT_BY_THE_DATABASE)
    assert conversation.remembers() and conversation.remembers()


@both_modes
def test_without_the_package_and_without_redis_there_is_no_lookup_and_no_failure(
    stream: bool,
    without_package: ResponsesClient,
    talk: Callable[..., Talk],
    mortal_redis: RedisServer,
    shared_url: str,
) -> None:
    conversation = talk(without_package, stream)
    conversation.say()
    flush(mortal_redis)
    assert not continues(conversation, shared_url)
    assert conversation.say() == conversation.said[-2:-1]  # As upstream: the database may know more later.
