"""The routes of conversation objects: LiteLLM's authentication is asked as for the responses' routes beside them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import fastapi
import pytest
from fastapi.testclient import TestClient
from litellm.proxy import litellm_pre_call_utils
from litellm.proxy._types import ProxyException, UserAPIKeyAuth
from litellm.proxy.auth import user_api_key_auth as authentication

from litellm.responses.litellm_completion_transformation.redis_session_patch.api import conversations
from litellm.responses.litellm_completion_transformation.redis_session_patch.doors import conversation_routes, startup
from litellm.responses.litellm_completion_transformation.redis_session_patch.doors.conversation_routes import (
    add_conversation_routes,
    as_response_path,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis import defects

from .support.bridge import using
from .support.runtimes import counted

PATHS = [
    ("/v1/conversations", "/v1/responses"),
    ("/conversations/conv_1", "/responses/conv_1"),
    ("/base/openai/v1/conversations/conv_1/items", "/base/openai/v1/responses/conv_1/input_items"),
    ("/v1/conversations/conv_1/items/msg_1", "/v1/responses/conv_1/input_items"),
]


@pytest.mark.parametrize(("path", "response_path"), PATHS)
def test_a_path_is_that_of_a_response(path, response_path):
    assert as_response_path(path) == response_path


@pytest.fixture
def asked_for(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that LiteLLM's authentication was asked for."""
    paths: list[str] = []

    async def authenticate(request: fastapi.Request) -> UserAPIKeyAuth:
        paths.append(request.scope["path"])
        if request.headers.get("authorization") != "Bearer alice":
            raise ProxyException("No.", "auth_error", None, 401)
        return UserAPIKeyAuth(api_key="sk-alice", user_id="alice")

    monkeypatch.setattr(authentication, "user_api_key_auth", authenticate)
    return paths


@pytest.fixture
def client(asked_for: list[str]) -> Iterator[TestClient]:
    app = fastapi.FastAPI()

    @app.exception_handler(ProxyException)
    async def handle(request: Any, error: Any) -> Any:
        return fastapi.responses.JSONResponse({"error": {"message": error.message}}, int(error.code))

    startup._answer_refusals(app)
    add_conversation_routes(app)
    with TestClient(app, headers={"authorization": "Bearer alice"}) as client:
        yield client


@pytest.mark.parametrize("prefix", ["/v1", "", "/openai/v1"])
def test_each_route_asks_for_what_its_neighbour_asks(prefix, client, asked_for, used_runtime):
    body = {"items": [{"role": "user", "content": "a"}]}
    conversation = client.post(f"{prefix}/conversations", json=body).json()["id"]
    path, beside = f"{prefix}/conversations/{conversation}", f"{prefix}/responses/{conversation}"
    (item,) = client.get(f"{path}/items").json()["data"]
    items = f"{beside}/input_items"
    for method, end in (("GET", ""), ("POST", ""), ("POST", "/items"), ("GET", f"/items/{item['id']}"), ("DELETE", "")):
        assert client.request(method, path + end).status_code in (200, 400)
    assert asked_for == [f"{prefix}/responses", items, beside, beside, items, items, beside]
    assert counted(used_runtime) == {"requests found": 7} and defects.counted() == 0


def test_a_conversation_of_openai_s_own_goes_where_it_went_before(client, asked_for, used_runtime):
    """LiteLLM passes what begins with /openai on; an operator may pass on more."""

    @client.app.api_route("/openai/{endpoint:path}", methods=["GET", "POST"])
    async def passed_through(endpoint: str) -> Any:
        return {"passed through": endpoint}

    theirs = f"conv_{'0' * 48}"
    for end in ("", "/items"):
        answer = client.get(f"/openai/v1/conversations/{theirs}{end}")
        assert answer.json() == {"passed through": f"v1/conversations/{theirs}{end}"}
    assert not asked_for
    ours = client.post("/openai/v1/conversations", json={}).json()
    assert client.get(f"/openai/v1/conversations/{ours['id']}").json() == ours
    assert client.get(f"/v1/conversations/{theirs}").status_code == 404 and defects.counted() == 0


def test_the_routes_have_a_description(client):
    assert "/v1/conversations/{conversation_id}/items" in client.get("/openapi.json").json()["paths"]


def test_who_is_refused_there_is_refused_here(client, asked_for, used_runtime):
    assert client.post("/v1/conversations", headers={"authorization": "Bearer bob"}).status_code == 401
    assert counted(used_runtime) == {}


def test_without_a_store_there_is_no_such_route(client):
    with using(None):
        answer = client.post("/v1/conversations", json={})
    assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})


def test_a_failure_of_ours_is_said_and_counted(client, used_runtime, monkeypatch):
    monkeypatch.setattr(conversation_routes, "conversation_of", None)
    answer = client.post("/v1/conversations", json={})
    assert (answer.status_code, answer.json()["error"]["type"]) == (500, "server_error")
    assert defects.counted() == 1


@pytest.mark.parametrize("body", ["", "{", "[]", '"a"', "1"])
def test_a_body_that_is_no_object_is_refused_before_anybody_is_asked(body, client, asked_for):
    answer = client.post("/v1/conversations", content=body)
    if body:
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_json") and not asked_for
    else:
        assert asked_for


def test_who_adds_to_what_others_always_add_to_is_told_to_try_again(client, used_runtime, monkeypatch):
    monkeypatch.setattr(conversations, "_TRIES", 3)
    monkeypatch.setattr(conversations, "_PAUSE_SECONDS", 0)
    name = client.post("/v1/conversations", json={}).json()["id"]
    store = used_runtime.store
    look = store.look

    async def overtaken(conversation: str, owner: Any) -> Any:
        head = await look(conversation, owner)
        await store.go_on(head, [conversations.Turn([{"role": "user", "content": "other"}])], owner)
        return head

    monkeypatch.setattr(store, "look", overtaken)
    answer = client.post(f"/v1/conversations/{name}/items", json={"items": [{"role": "user", "content": "a"}]})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "conversation_locked")
    listed = client.get(f"/v1/conversations/{name}/items").json()["data"]
    assert [item["content"][0]["text"] for item in listed] == ["other"] * 3


def test_surrogates_and_nul_survive(client, used_runtime):
    said = json.dumps({"items": [{"role": "user", "content": "\x00 \ud800"}], "metadata": {"a": "\ud800"}})
    made = client.post("/v1/conversations", content=said).json()
    (item,) = client.get(f"/v1/conversations/{made['id']}/items").json()["data"]
    assert item["content"][0]["text"] == "\x00 \ud800" and made["metadata"] == {"a": "\ud800"}


OFF = [{"callback_name": "langfuse", "callback_vars": {"turn_off_message_logging": "true"}}]
ON = [{"callback_name": "langfuse", "callback_vars": {"turn_off_message_logging": False}}]
SETTINGS = [
    ({"metadata": {"logging": OFF}}, True),
    ({"team_metadata": {"logging": OFF}}, True),
    ({"team_metadata": {"callback_settings": {"callback_vars": {"turn_off_message_logging": True}}}}, True),
    ({"metadata": {"logging": ON}, "team_metadata": {"logging": ON}}, False),
    ({}, False),
]


@pytest.mark.parametrize(("given", "is_off"), SETTINGS)
@pytest.mark.parametrize("is_old", [False, True])
def test_where_a_key_or_its_team_logs_no_messages_no_items_are_kept(given, is_off, is_old, monkeypatch):
    if is_old:  # until 1.73.7
        monkeypatch.delattr(litellm_pre_call_utils, "KeyAndTeamLoggingSettings")
    request = SimpleNamespace(headers={})
    assert conversation_routes._is_unlogged(request, UserAPIKeyAuth(api_key="sk-alice", **given)) is is_off
