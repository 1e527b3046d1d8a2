"""Each way to Redis with a proxy of its own on it; the tests here run on every one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab.asking import Asker
from lab.client import ResponsesClient
from lab.provider import Provider
from lab.proxy import Proxy
from lab.trees import tree
from lab.ways import WAYS, Way


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "way" in metafunc.fixturenames:
        marked = [pytest.param(name, marks=pytest.mark.xdist_group(f"way {name}")) for name in WAYS]
        metafunc.parametrize("way", marked, indirect=True, scope="session")


@pytest.fixture(scope="session")
def way(request: pytest.FixtureRequest) -> Iterator[Way]:
    with WAYS[request.param]() as way:
        yield way


@pytest.fixture(scope="session")
def proxy(way: Way, running_provider: Provider) -> Iterator[Proxy]:
    """Who asks is said by the bearer token; upstream's own check of ids is off, so that the store's is seen."""
    settings = {"disable_responses_id_security": True}
    options = way.options(running_provider.url, tree("patched"), custom_auth=True, general_settings=settings)
    with Proxy(options) as proxy:
        yield proxy


@pytest.fixture
def asker(proxy: Proxy, provider: Provider) -> Iterator[Asker]:
    with ResponsesClient(proxy.url, proxy.key) as client:
        yield Asker(client, provider)
