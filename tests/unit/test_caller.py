"""Who asks: what the proxy's authentication said at the route, and whose calls of the bridge are the caller's."""

from __future__ import annotations

import json
from typing import Any

import pytest
from litellm.proxy._types import UserAPIKeyAuth
from litellm.proxy.litellm_pre_call_utils import LiteLLMProxyRequestSetup
from starlette.requests import Request
from starlette.websockets import WebSocket

from litellm.responses.litellm_completion_transformation.redis_session_patch.doors.routes import _of_new
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis import defects
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis import runtime as runtimes
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.caller import (
    caller_at_route,
    is_of,
    names_a_caller,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.owner import (
    ANYBODY,
    NOBODY,
    Owner,
    digest_of,
)

from .support.bridge import ALICE, OF_ALICE, OF_BOB
from .support.runtimes import pretend_a_proxy_runs

EVE, ACME, KEY = digest_of("eve"), digest_of("acme"), digest_of("the hash of a key")
SAYS_EVE = {
    "user": "eve",
    "metadata": {"user_id": "eve"},
    "litellm_metadata": {"user": "eve"},
    "safety_identifier": "eve",
}


def key_of(**known: Any) -> UserAPIKeyAuth:
    """What the proxy's authentication says of a request."""
    return UserAPIKeyAuth(**known)


def http(body: bytes = b"{}", **headers: str) -> Request:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    return Request({"type": "http", "headers": raw(headers)}, receive)


def websocket(**headers: str) -> WebSocket:
    async def nothing(*_: Any) -> Any: ...

    return WebSocket({"type": "websocket", "headers": raw(headers)}, nothing, nothing)


def raw(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]


@pytest.fixture(autouse=True)
def authenticating(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_a_proxy_runs(monkeypatch, master_key="sk-master", user_custom_auth=None, general_settings={})


CONNECTIONS = [http(), http(json.dumps(SAYS_EVE).encode()), http(x_litellm_end_user_id="eve"), websocket()]


@pytest.mark.parametrize("connection", CONNECTIONS, ids=["HTTP", "a body that says eve", "a header", "WebSocket"])
@pytest.mark.parametrize(
    "known, owner",
    [
        ({"user_id": "alice"}, Owner(user=ALICE.user)),
        ({"team_id": "red"}, Owner(team=ALICE.team)),
        ({"api_key": "the hash of a key"}, Owner(key=KEY)),
        ({"user_id": "alice", "team_id": "red", "api_key": "the hash of a key"}, Owner(ALICE.user, ALICE.team, KEY)),
        ({"user_id": "alice", "end_user_id": "eve", "org_id": "acme"}, Owner(ALICE.user, None, None, EVE, ACME)),
        ({"team_id": "red", "end_user_id": "eve"}, Owner(None, ALICE.team, None, EVE)),
        ({"api_key": "the hash of a key", "end_user_id": "eve"}, Owner(None, None, KEY, EVE)),
    ],
    ids=str,
)
async def test_a_user_a_team_or_a_key_is_who_asks_whatever_the_request_says(connection, known, owner):
    assert await caller_at_route(key_of(**known), connection) == owner


@pytest.mark.parametrize(
    "connection", [http(), http(b""), websocket(), http(b'{"user": ""}'), http(b'{"user": "another"}')]
)
async def test_an_end_user_whom_authentication_names_is_who_asks(connection):
    assert await caller_at_route(key_of(end_user_id="eve"), connection) == Owner(end_user=EVE)
    both = await caller_at_route(key_of(end_user_id="eve", org_id="acme"), connection)
    assert both == Owner(end_user=EVE, organization=ACME)


@pytest.mark.parametrize(
    "connection",
    [
        *(http(json.dumps({name: value}).encode()) for name, value in SAYS_EVE.items()),
        http(x_litellm_end_user_id="eve"),
        websocket(x_litellm_end_user_id="eve"),
    ],
    ids=[*SAYS_EVE, "a header", "a header of a WebSocket"],
)
async def test_an_end_user_whom_the_request_names_itself_identifies_nobody(connection):
    """LiteLLM gives it out as the key's end user, and anybody can write it."""
    caller = await caller_at_route(key_of(end_user_id="eve"), connection)
    assert caller == Owner(claimed_end_user=EVE) and caller.identity is None
    of_an_organization = await caller_at_route(key_of(end_user_id="eve", org_id="acme"), connection)
    assert of_an_organization.identity == Owner(organization=ACME).identity


@pytest.mark.parametrize("body", [b"not JSON", b'"eve"', b"[1]", b"\xff"])
async def test_of_a_request_that_cannot_be_understood_nobody_can_tell_who_named_its_end_user(body):
    assert await caller_at_route(key_of(end_user_id="eve"), http(body)) == Owner(claimed_end_user=EVE)


async def test_where_litellm_s_own_function_is_gone_nobody_can_tell_who_named_an_end_user(monkeypatch):
    monkeypatch.delattr("litellm.proxy.auth.auth_utils.get_end_user_id_from_request_body")
    assert await caller_at_route(key_of(end_user_id="eve"), http()) == Owner(claimed_end_user=EVE)


@pytest.mark.parametrize("is_known", [True, False], ids=["known", "unknown to the release"])
async def test_a_header_names_the_user_where_the_operator_says_so_and_the_release_knows_it(monkeypatch, is_known):
    mapping = {"header_name": "x-user", "litellm_user_role": "internal_user"}
    settings = {"user_header_mappings": [mapping]}
    pretend_a_proxy_runs(monkeypatch, master_key="sk-master", user_custom_auth=None, general_settings=settings)
    name = "add_internal_user_from_user_mapping"
    if not is_known:
        monkeypatch.delattr(LiteLLMProxyRequestSetup, name, raising=False)
    elif not hasattr(LiteLLMProxyRequestSetup, name):
        pytest.skip("this release does not know user_header_mappings")
    asks = await caller_at_route(key_of(api_key="the hash of a key"), http(x_user="eve"))
    assert asks.user == (EVE if is_known else None) and asks.key


async def test_a_client_that_leaves_before_its_request_is_whole_is_no_defect(runtime):
    async def left() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def upstream(**given: Any) -> str:
        return "nobody gets it"

    given = {"request": Request({"type": "http", "headers": []}, left), "user_api_key_dict": key_of(user_id="eve")}
    runtimes.use(runtime)
    try:
        assert await _of_new(upstream)(**given) == "nobody gets it"
    finally:
        runtimes.use(None)
    assert defects.counted() == 0


async def test_an_organization_alone_is_who_asks():
    assert await caller_at_route(key_of(org_id="acme"), http()) == Owner(organization=ACME)


AUTHENTICATES = [
    {"master_key": "sk-master"},
    {"user_custom_auth": "a function"},
    {"general_settings": {"enable_jwt_auth": True}},
    {"general_settings": {"enable_oauth2_auth": True}},
    {"general_settings": {"enable_oauth2_proxy_auth": True}},
]


@pytest.mark.parametrize("proxy", AUTHENTICATES, ids=str)
async def test_while_the_proxy_authenticates_one_of_whom_it_knows_nothing_is_nobody(monkeypatch, proxy):
    pretend_a_proxy_runs(monkeypatch, **proxy)
    caller = await caller_at_route(key_of(), http())
    assert caller == NOBODY and caller.identity is None


async def test_where_nobody_knows_whether_the_proxy_authenticates_it_does(undecided):
    assert await caller_at_route(key_of(), http()) == NOBODY


DOES_NOT = [{}, {"master_key": None, "user_custom_auth": None, "general_settings": {"enable_jwt_auth": False}}]


@pytest.mark.parametrize("proxy", DOES_NOT, ids=str)
async def test_all_who_send_no_key_to_a_proxy_that_does_not_authenticate_are_one_tenant(monkeypatch, proxy):
    pretend_a_proxy_runs(monkeypatch, **proxy)
    assert await caller_at_route(key_of(), http()) == ANYBODY
    said = await caller_at_route(key_of(end_user_id="eve"), http(b'{"user": "eve"}'))
    assert said.identity == ANYBODY.identity
    assert said.tag == f"..{ANYBODY.key}.{EVE}."  # An erasure finds the end user all the same.


@pytest.mark.parametrize("proxy", DOES_NOT, ids=str)
async def test_a_key_tells_callers_apart_where_nobody_checks_it(monkeypatch, proxy):
    pretend_a_proxy_runs(monkeypatch, **proxy)
    assert await caller_at_route(key_of(api_key="the hash of a key"), http()) == Owner(key=KEY)


NO_KEY = {"user_api_key_hash": None, "user_api_key_user_id": None, "user_api_key_team_id": None}
ANYBODY_AS_EVE = Owner(key=ANYBODY.key, claimed_end_user=EVE)


@pytest.mark.parametrize(
    "caller, metadata",
    [
        (ALICE, OF_ALICE),
        (ALICE, {**OF_ALICE, "user_api_key_end_user_id": "eve", "user_api_key_org_id": "acme", "more": 1}),
        (Owner(claimed_end_user=EVE), {**NO_KEY, "user_api_key_end_user_id": "eve"}),
        (NOBODY, NO_KEY),
        (ANYBODY, NO_KEY),
        (ANYBODY_AS_EVE, {**NO_KEY, "user_api_key_end_user_id": "eve"}),
    ],
)
def test_a_call_that_names_the_caller_is_the_caller_s(caller, metadata):
    assert is_of(caller, metadata)


@pytest.mark.parametrize(
    "caller, metadata",
    [
        (ALICE, None),
        (ALICE, {}),
        (ALICE, {"session_id": "s"}),
        (ALICE, OF_BOB),
        *((ALICE, {**OF_ALICE, name: None}) for name in OF_ALICE),
        *((ALICE, {**OF_ALICE, name: "another"}) for name in OF_ALICE),
        (ALICE, {name: value for name, value in OF_ALICE.items() if name != "user_api_key_hash"}),
        (NOBODY, {}),
        (NOBODY, {"session_id": "s"}),
        (NOBODY, OF_ALICE),
        (ANYBODY, {}),
        (ANYBODY, {"session_id": "s"}),
        (ANYBODY, {**NO_KEY, "user_api_key_hash": "of a key"}),
    ],
)
def test_a_call_that_names_somebody_else_or_nobody_is_not_the_caller_s(caller, metadata):
    assert not is_of(caller, metadata)


@pytest.mark.parametrize(
    "metadata, names",
    [(OF_ALICE, True), (NO_KEY, True), ({"session_id": "s"}, False), ({}, False), (None, False), (7, False)],
)
def test_only_a_call_with_the_proxy_s_metadata_names_a_caller(metadata, names):
    assert names_a_caller(metadata) is names
