"""One way to Redis at a time, with one proxy on it; what happens to it must leave it as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab.provider import Provider
from lab.proxy import Proxy
from lab.trees import tree
from lab.ways import WAYS, Way


@pytest.fixture(scope="session")
def way(request: pytest.FixtureRequest) -> Iterator[Way]:
    with WAYS[request.param]() as way:
        yield way


@pytest.fixture(scope="session")
def way_proxy(way: Way, running_provider: Provider) -> Iterator[Proxy]:
    with Proxy(way.options(running_provider.url, tree("patched"))) as proxy:
        yield proxy
