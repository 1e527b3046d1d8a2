"""Which LiteLLM the tests import, and what they share: the stand-in provider, Redis, proxies.

The LiteLLM under test is a tree of the installed release, put first on the path:
`LITELLM_TREE=patched` (the default), `pristine`, or `installed` for the environment's own copy.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from lab.client import ResponsesClient
from lab.conversations import tags
from lab.provider import Provider
from lab.proxies import ProxyPool
from lab.proxy import Proxy, ProxyOptions
from lab.redis_server import GivenRedis, RedisServer, given_redis_url
from lab.trees import TreeFailed, installed_release, tree

PROXY_FIXTURES = {"proxy", "proxies", "client"}


# Two cores run many processes at once: how long an example takes to make or to try says nothing.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")


def put_tree_on_path() -> None:
    """Before any other conftest imports LiteLLM, which would ask the network for prices."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    kind = os.environ.get("LITELLM_TREE", "patched")
    if kind == "installed":
        return
    try:
        sys.path.insert(0, str(tree(kind)))
    except TreeFailed as error:
        raise pytest.UsageError(str(error)) from None


put_tree_on_path()


def pytest_report_header() -> str:
    kind = os.environ.get("LITELLM_TREE", "patched")
    return f"litellm {installed_release()}, {kind} tree"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests with a proxy stay on one worker, so that each proxy starts once."""
    for item in items:
        if PROXY_FIXTURES & set(getattr(item, "fixturenames", ())) and not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group("proxy"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A test that failed where its proxy had ended says how that ended: in CI nothing else outlives it."""
    report = yield
    if report.failed:
        given = [each for each in getattr(item, "funcargs", {}).values() if isinstance(each, Proxy)]
        ended = [each for each in given if each.exit_code is not None]
        report.sections += [(f"the proxy ended with {each.exit_code}", each.last_words()) for each in ended]
    return report


@pytest.fixture(scope="session")
def release() -> str:
    """The LiteLLM under test, such as 1.106.2."""
    return installed_release()


@pytest.fixture(scope="session")
def pristine_tree() -> Path:
    return tree("pristine")


@pytest.fixture(scope="session")
def patched_tree() -> Path:
    return tree("patched")


@pytest.fixture(scope="session")
def running_provider() -> Iterator[Provider]:
    with Provider() as provider:
        yield provider


@pytest.fixture
def provider(running_provider: Provider) -> Provider:
    """The stand-in, with nothing scripted and nothing recorded."""
    running_provider.clear()
    return running_provider


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer | GivenRedis]:
    """The Redis that the environment names, else one of our own. Tests that stop it start their own
    instead.
    """
    if url := given_redis_url():
        yield GivenRedis(url)
        return
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="session")
def proxies() -> Iterator[ProxyPool]:
    pool = ProxyPool()
    yield pool
    pool.stop()


@pytest.fixture(scope="session")
def plain_options(running_provider: Provider, redis_server: RedisServer | GivenRedis) -> ProxyOptions:
    """The forked proxy as most tests want it: Redis, no database. `dataclasses.replace` makes
    others of it.
    """
    kind = os.environ.get("LITELLM_TREE", "patched")
    under_test = None if kind == "installed" else tree(kind)
    return ProxyOptions(running_provider.url, under_test, redis_server.environment)


@pytest.fixture(scope="session")
def proxy(proxies: ProxyPool, plain_options: ProxyOptions) -> Proxy:
    return proxies.get(plain_options)


@pytest.fixture
def client(proxy: Proxy, provider: Provider) -> Iterator[ResponsesClient]:
    with ResponsesClient(proxy.url, proxy.key) as client:
        yield client


@pytest.fixture(scope="session")
def next_tag() -> Iterator[int]:
    """`next(next_tag)` is a number no other request of this run has."""
    return tags()
