"""The health route: who may see it, and that it says what it is given."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

import pytest
import redis
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from litellm.proxy._types import LitellmUserRoles, UserAPIKeyAuth
from litellm.proxy.auth.user_api_key_auth import user_api_key_auth

from litellm.responses.litellm_completion_transformation.redis_session_patch.api import health
from litellm.responses.litellm_completion_transformation.redis_session_patch.api.health import (
    PATH,
    add_health_route,
    describe_store,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis import runtime as runtimes
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.guard import FAILURES_TO_OPEN
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.runtime import Runtime
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.results import StoreUnavailable


async def describe() -> dict[str, Any]:
    return {"fork": "1.2.3", "counts": {"lookups": {"found": 2}}}


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> TestClient:
    """A proxy's app in which the header ``role`` says what the key may do."""
    app = FastAPI()
    monkeypatch.setattr(health, "describe_store", describe)
    add_health_route(app)

    def authenticate(request: Request) -> UserAPIKeyAuth:
        return UserAPIKeyAuth(user_role=request.headers.get("role"))

    app.dependency_overrides[user_api_key_auth] = authenticate
    return TestClient(app)


def test_an_administrator_gets_what_is_described(client: TestClient) -> None:
    reply = client.get(PATH, headers={"role": LitellmUserRoles.PROXY_ADMIN.value})
    assert (reply.status_code, reply.json()) == (200, {"fork": "1.2.3", "counts": {"lookups": {"found": 2}}})


@pytest.mark.parametrize("role", [role for role in LitellmUserRoles if role is not LitellmUserRoles.PROXY_ADMIN])
def test_nobody_else_does(client: TestClient, role: LitellmUserRoles) -> None:
    reply = client.get(PATH, headers={"role": role.value})
    assert reply.status_code == 403
    assert "1.2.3" not in reply.text


def test_a_key_without_a_role_does_not(client: TestClient) -> None:
    assert client.get(PATH).status_code == 403


async def test_without_a_store_it_says_that_nothing_is_active(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtimes, "current", lambda: None)
    about = await describe_store()
    assert about.pop("active") is False
    assert about.keys() == {"fork", "build", "release", "state", "why"}


@pytest.mark.parametrize(
    "name, value, state, why",
    [
        ("REDIS_SESSION_PATCH_ENABLED", "false", "off", "REDIS_SESSION_PATCH_ENABLED=false"),
        ("REDIS_HOST", "", "inactive", "no Redis is configured"),
        ("REDIS_SESSION_PATCH_TTL", "soon", "inactive", "REDIS_SESSION_PATCH_TTL='soon'"),
        ("REDIS_SESSION_PATCH_URL", "redis://h", "inactive", "no store was begun"),
    ],
)
async def test_without_a_store_it_says_why(
    name: str, value: str, state: str, why: str, undecided: pytest.MonkeyPatch
) -> None:
    undecided.setattr(runtimes, "current", lambda: None)
    undecided.setenv(name, value)
    about = await describe_store()
    assert (about["state"], about["why"][: len(why)]) == (state, why)


async def test_since_when_a_breaker_is_open_is_said(monkeypatch: pytest.MonkeyPatch, runtime: Runtime) -> None:
    monkeypatch.setattr(runtimes, "current", lambda: runtime)
    assert (await describe_store())["breaker_open_since"] == {"read": None, "write": None}
    before = datetime.now(timezone.utc).replace(microsecond=0)
    runtime.writes.set_used(False)
    for _ in range(FAILURES_TO_OPEN):
        with pytest.raises(StoreUnavailable):
            await runtime.writes.run(fail)
    since = (await describe_store())["breaker_open_since"]
    assert since["read"] is None
    assert before <= datetime.fromisoformat(since["write"]) <= datetime.now(timezone.utc)


def fail(client: Any) -> None:
    raise redis.ConnectionError


async def test_an_active_store_says_how_its_redis_is(monkeypatch: pytest.MonkeyPatch, runtime: Runtime) -> None:
    monkeypatch.setattr(runtimes, "current", lambda: runtime)
    await runtime.probe()
    about = await describe_store()
    assert (about["active"], about["state"], about["why"], about["redis_problems"]) == (True, "active", "", [])
    assert about["breaker_open"] == {"read": False, "write": False}
    assert about["last_error"] == {"read": None, "write": None}
    assert about["redis_memory"]["used_memory"] > 0
    runtime.problems, runtime.reads.last_reason = ("it cannot store a turn (NOPERM)",), "OOM"
    about = await describe_store()
    assert about["redis_problems"] == ["it cannot store a turn (NOPERM)"]
    assert about["last_error"] == {"read": "OOM", "write": None}
    json.dumps(about)
