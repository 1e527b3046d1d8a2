"""Three proxies that all tests here share, and one database behind two of them.

with_patch: patched, Redis and the database. without_patch: pristine, the same database. without_database: patched,
the same Redis. Tests may stop that Redis; each test that uses it starts with a Redis that works.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.database.conftest import databases
from tests.database.postgres import Databases
from tests.database.proxy_env import with_database
from tests.support.client import ResponsesClient
from tests.support.provider import Provider
from tests.support.proxies import ProxyPool
from tests.support.proxy import Proxy, ProxyOptions, stand_in_models
from tests.support.redis_server import RedisServer

from .talks import Talk, wait_until_redis_serves
from .upstream import Continues, continues

__all__ = ["databases"]

# Fixtures of tests, and the proxy each needs.
PROXIES = {name: name for name in ("with_patch", "without_patch", "without_database")} | {
    "upstream_continues": "without_patch"
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All on one worker, so that the proxies start once."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("database proxies"))


@pytest.fixture(scope="session")
def shared_url(databases: Databases) -> Iterator[str]:
    with databases.fresh() as url:
        yield url


@pytest.fixture(scope="session")
def mortal_redis() -> Iterator[RedisServer]:
    """A Redis of our own, even where the environment names one: it is stopped and emptied."""
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="session")
def all_options(
    running_provider: Provider, patched_tree: Path, pristine_tree: Path, mortal_redis: RedisServer, shared_url: str, release: str
) -> dict[str, ProxyOptions]:
    models = stand_in_models(running_provider.url, release)
    limited = {**models[-1], "model_name": "limited-model"}
    limited["litellm_params"] = {**limited["litellm_params"], "rpm": 100_000}
    patched = ProxyOptions(
        running_provider.url, patched_tree, mortal_redis.environment, models=(*models, limited)
    )
    return {
        "with_patch": with_database(patched, shared_url),
        "without_patch": with_database(replace(patched, tree=pristine_tree, environment={}), shared_url),
        "without_database": patched,
    }


@pytest.fixture(scope="session")
def proxy_named(
    proxies: ProxyPool, all_options: dict[str, ProxyOptions], request: pytest.FixtureRequest
) -> Callable[[str], Proxy]:
    """A proxy by its fixture's name. Those that the chosen tests name start side by side."""
    fixtures = {name for item in request.session.items for name in getattr(item, "fixturenames", ())}
    wanted = {PROXIES[name] for name in fixtures & PROXIES.keys()}

    def named(name: str) -> Proxy:
        names = [name, *sorted(wanted - {name})]
        return proxies.get_all([all_options[each] for each in names])[0]

    return named


@pytest.fixture
def with_patch(proxy_named: Callable[[str], Proxy], provider: Provider) -> Iterator[ResponsesClient]:
    yield from serving_client(proxy_named("with_patch"), provider)


@pytest.fixture
def without_database(proxy_named: Callable[[str], Proxy], provider: Provider) -> Iterator[ResponsesClient]:
    yield from serving_client(proxy_named("without_database"), provider)


@pytest.fixture
def without_patch(proxy_named: Callable[[str], Proxy], provider: Provider) -> Iterator[ResponsesClient]:
    proxy = proxy_named("without_patch")
    with ResponsesClient(proxy.url, proxy.key) as client:
        yield client


def serving_client(proxy: Proxy, provider: Provider) -> Iterator[ResponsesClient]:
    with ResponsesClient(proxy.url, proxy.key) as client:
        wait_until_redis_serves(client, provider)
        yield client


@pytest.fixture
def talk(provider: Provider, next_tag: Iterator[int]) -> Callable[..., Talk]:
    """`talk(client, stream)` begins a conversation."""

    def begin(client: ResponsesClient, stream: bool = False, **options: object) -> Talk:
        return Talk(client, provider, next_tag, stream=stream, **options)

    return begin


@pytest.fixture
def options_with_database(
    all_options: dict[str, ProxyOptions]
) -> Callable[..., ProxyOptions]:
    """The patched proxy's options with other fields."""
    return lambda **changes: replace(all_options["with_patch"], **changes)


@pytest.fixture(scope="session")
def upstream_continues(
    proxy_named: Callable[[str], Proxy], running_provider: Provider, next_tag: Iterator[int], shared_url: str
) -> Continues:
    """Whether LiteLLM as released continues a conversation of short messages from the database, by `stream`."""

    @functools.cache
    def measure(stream: bool) -> bool:
        proxy = proxy_named("without_patch")
        with ResponsesClient(proxy.url, proxy.key) as client:
            conversation = Talk(client, running_provider, next_tag, stream=stream)
            conversation.say()
            return continues(conversation, shared_url)

    return measure
