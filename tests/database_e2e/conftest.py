"""The proxies that all tests here share, and one database behind most of them.

with_patch: patched, Redis and the database, which holds what was said. without_patch: pristine, the same database.
switched_off: as with_patch, but for the setting that switches the patch off.
without_prompts: patched, with LiteLLM's default of keeping no prompts. without_database: patched, the same Redis.
Tests may stop that Redis; each test that uses it starts with a Redis that works. A test that takes `stream`, or a
fixture that does, runs plain and as a stream.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lab.client import ResponsesClient
from lab.database.additions import add_what_is_missing
from lab.database.postgres import Databases
from lab.database.proxy_env import with_database
from lab.provider import Provider
from lab.proxies import ProxyPool
from lab.proxy import Proxy, ProxyOptions, stand_in_models
from lab.redis_server import RedisServer
from tests.database.conftest import databases

from .talks import Talk, wait_until_redis_serves
from .upstream import Continues, continues

__all__ = ["databases"]

# Fixtures of tests, and the proxy each needs.
PROXIES = {
    name: name for name in ("with_patch", "without_patch", "switched_off", "without_prompts", "without_database")
} | {"measured_continues": "without_patch"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """All on one worker, so that the proxies start once. What this LiteLLM has not got is not asked of it."""
    without_subject = []
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("database proxies"))
            if not getattr(item.module, "HAS_SUBJECT", True):
                without_subject.append(item)
    if without_subject:
        config.hook.pytest_deselected(items=without_subject)
        items[:] = [item for item in items if item not in without_subject]


@pytest.fixture(params=[False, True], ids=["plain", "stream"])
def stream(request: pytest.FixtureRequest) -> bool:
    return request.param


@pytest.fixture(scope="session")
def shared_url(databases: Databases, pristine_tree: Path) -> Iterator[str]:
    """With the release's own tables, where the migrations that are installed are an older one's."""
    with databases.fresh() as url:
        add_what_is_missing(url, pristine_tree / "litellm" / "proxy" / "schema.prisma")
        yield url


@pytest.fixture(scope="session")
def mortal_redis() -> Iterator[RedisServer]:
    """A Redis of our own, even where the environment names one: it is stopped and emptied."""
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="session")
def all_options(
    running_provider: Provider,
    patched_tree: Path,
    pristine_tree: Path,
    mortal_redis: RedisServer,
    shared_url: str,
    release: str,
) -> dict[str, ProxyOptions]:
    models = stand_in_models(running_provider.url, release)
    limited = {**models[-1], "model_name": "limited-model"}
    limited["litellm_params"] = {**limited["litellm_params"], "rpm": 100_000}
    patched = ProxyOptions(running_provider.url, patched_tree, mortal_redis.environment, models=(*models, limited))
    return {
        "with_patch": with_database(patched, shared_url),
        "without_patch": with_database(replace(patched, tree=pristine_tree, environment={}), shared_url),
        "switched_off": with_database(
            replace(patched, environment={**mortal_redis.environment, "REDIS_SESSION_PATCH_ENABLED": "false"}),
            shared_url,
        ),
        "without_prompts": with_database(
            replace(patched, general_settings={"store_prompts_in_spend_logs": False}), shared_url
        ),
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
def without_prompts(proxy_named: Callable[[str], Proxy], provider: Provider) -> Iterator[ResponsesClient]:
    yield from serving_client(proxy_named("without_prompts"), provider)


@pytest.fixture
def without_patch(proxy_named: Callable[[str], Proxy], provider: Provider) -> Iterator[ResponsesClient]:
    proxy = proxy_named("without_patch")
    with ResponsesClient(proxy.url, proxy.key) as client:
        yield client


@pytest.fixture
def switched_off(proxy_named: Callable[[str], Proxy]) -> Iterator[ResponsesClient]:
    proxy = proxy_named("switched_off")
    with ResponsesClient(proxy.url, proxy.key) as client:
        yield client


def serving_client(proxy: Proxy, provider: Provider) -> Iterator[ResponsesClient]:
    with ResponsesClient(proxy.url, proxy.key) as client:
        wait_until_redis_serves(client, provider)
        yield client


@pytest.fixture
def talk(provider: Provider, next_tag: Iterator[int], shared_url: str) -> Callable[..., Talk]:
    """`talk(client, stream)` begins a conversation."""

    def begin(client: ResponsesClient, stream: bool = False, **options: object) -> Talk:
        return Talk(client, provider, next_tag, shared_url, stream=stream, **options)

    return begin


@pytest.fixture
def conversation(talk: Callable[..., Talk], with_patch: ResponsesClient, stream: bool) -> Talk:
    """A new one on the patched proxy, with Redis and the database behind it."""
    return talk(with_patch, stream)


@pytest.fixture(scope="session")
def measured_continues(
    proxy_named: Callable[[str], Proxy], running_provider: Provider, next_tag: Iterator[int], shared_url: str
) -> Continues:
    """What LiteLLM as released does is measured, once a mode, and not read off its version."""

    @functools.cache
    def measure(stream: bool) -> bool:
        proxy = proxy_named("without_patch")
        with ResponsesClient(proxy.url, proxy.key) as client:
            begun = Talk(client, running_provider, next_tag, shared_url, stream=stream)
            begun.say()
            return continues(begun)

    return measure


@pytest.fixture
def upstream_continues(measured_continues: Continues, provider: Provider, stream: bool) -> bool:
    """Whether LiteLLM as released continues the test's mode from the database."""
    return measured_continues(stream)
