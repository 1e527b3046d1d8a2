"""The health route: who may see it, and that it says what it is given."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from litellm.proxy._types import LitellmUserRoles, UserAPIKeyAuth
from litellm.proxy.auth.user_api_key_auth import user_api_key_auth

from litellm.responses.litellm_completion_transformation.redis_session_patch.health import PATH, add_health_route


async def describe() -> dict[str, Any]:
    return {"fork": "1.2.3", "counts": {"lookups": {"found": 2}}}


@pytest.fixture
def client() -> TestClient:
    """A proxy's app in which the header ``role`` says what the key may do."""
    app = FastAPI()
    add_health_route(app, describe)

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
