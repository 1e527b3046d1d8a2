"""Runtimes, and a proxy that seems to run."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.runtime import Runtime

from .stores import connection_to, settings_of

PROXY_MODULE = "litellm.proxy.proxy_server"


def runtime_on(client: Any, **settings: Any) -> Runtime:
    """A runtime that gives a request ten seconds; ``settings`` replace that and the others."""
    return Runtime(settings_of(**settings), connection_to(client))


def counted(runtime: Runtime) -> dict[str, int]:
    """What the runtime has counted, lookups and turns, as far as there is any."""
    return {
        f"{kind} {result}": number
        for kind, results in runtime.metrics.counts().items()
        for result, number in results.items()
        if number
    }


def pretend_a_proxy_runs(monkeypatch: pytest.MonkeyPatch, **attributes: Any) -> None:
    """`attributes` are those of the proxy's module, such as its Redis cache or its database."""
    monkeypatch.setitem(sys.modules, PROXY_MODULE, SimpleNamespace(**attributes))
