"""The bridge has other callers than the routes for responses: for them nothing is read and nothing is stored."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from lab.answers import Answer
from lab.asking import Asker, asking
from lab.client import sent
from lab.custom_auth import bearer
from lab.exchange import texts_of
from lab.provider import Provider
from lab.proxies import ProxyPool
from lab.proxy import MASTER_KEY, Proxy, ProxyOptions
from lab.stored import TURNS, stored_texts

from .checks import check_remembers, marker, redis_holds
from .sizes import IDENTITIES
from .upstream import BRIDGES_BACK

pytestmark = IDENTITIES

ALICE, BOB = bearer(key="k1", user="alice"), bearer(key="k2", user="bob")
NEEDS_THE_WAY_BACK = pytest.mark.skipif(
    not BRIDGES_BACK, reason="fails in this LiteLLM itself, with or without the fork"
)
INTERACTION = {"model": "chat-model", "custom_llm_provider": "deepseek"}
STREAMS = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])


@pytest.fixture(scope="module")
def proxy_with_hooks(proxies: ProxyPool, hooked_options: ProxyOptions) -> Proxy:
    return proxies.get(hooked_options)


@pytest.fixture
def alice(proxy_with_hooks: Proxy, provider: Provider) -> Iterator[Asker]:
    with asking(proxy_with_hooks, provider, key=ALICE) as asker:
        yield asker


def said_to(provider: Provider, secret: str) -> list[str]:
    """All that the model was sent in the one request that held ``secret``."""
    (request,) = [each for each in provider.requests() if secret in json.dumps(each.body)]
    return texts_of(request.conversation)


def post(asker: Asker, path: str, key: str, **payload: object) -> dict:
    reply = asker.client.http.post(path, **sent(payload, key))
    assert reply.status_code == 200, reply.text
    return reply.json() if "json" in reply.headers["content-type"] else {"text": reply.text}


def check_nothing_is_kept(asker: Asker, secret: str, redis: Redis) -> None:
    assert not redis_holds(redis, secret)
    # The proxy's own door still works, and so does what looks for a text.
    known = marker()
    first = asker.ask(known)
    check_remembers(asker, first, [known])
    assert redis_holds(redis, known)


@STREAMS
@pytest.mark.parametrize("path", ["/v1beta/interactions", "/interactions"])
def test_an_interaction_neither_reads_nor_stores(
    path: str, stream: bool, alice: Asker, provider: Provider, redis: Redis
) -> None:
    first, secret, raw_id = marker(), marker(), f"chatcmpl-{marker()}"
    kept = alice.ask(first, answer=Answer(f"re {first}", id=raw_id))
    provider.script(Answer("interaction", id=f"{raw_id}-2"))
    post(alice, path, ALICE, input=secret, stream=stream, **INTERACTION)
    check_nothing_is_kept(alice, secret, redis)
    for previous in (kept.id, raw_id, f"{raw_id}-2"):
        for key in (ALICE, BOB):
            follow_up = marker()
            post(alice, path, key, input=follow_up, stream=stream, previous_response_id=previous, **INTERACTION)
            assert said_to(provider, follow_up) == [follow_up]


@NEEDS_THE_WAY_BACK
def test_a_health_check_of_a_model_neither_reads_nor_stores(alice: Asker, provider: Provider, redis: Redis) -> None:
    redis.flushall()
    reply = alice.client.http.get("/health?model=health-model", headers={"authorization": f"Bearer {MASTER_KEY}"})
    assert reply.json()["healthy_count"] == 1 and provider.requests()
    assert list(redis.scan_iter(TURNS)) == []
    secret = marker()
    check_nothing_is_kept(alice, secret, redis)


@STREAMS
@NEEDS_THE_WAY_BACK
def test_a_chat_completion_over_the_bridge_neither_reads_nor_stores(
    stream: bool, alice: Asker, provider: Provider, redis: Redis
) -> None:
    secret = marker()
    messages = [{"role": "user", "content": secret}]
    post(alice, "/v1/chat/completions", ALICE, model="chat-over-responses", messages=messages, stream=stream)
    assert said_to(provider, secret) == [secret]
    check_nothing_is_kept(alice, secret, redis)


@STREAMS
@pytest.mark.parametrize("route", ["responses", "chat"])
def test_a_hook_that_calls_the_bridge_neither_reads_nor_stores(
    route: str, stream: bool, alice: Asker, provider: Provider, redis: Redis
) -> None:
    """Also one that runs within a request of a caller whose conversation it names."""
    first, secret, raw_id = marker(), marker(), f"chatcmpl-{marker()}"
    alice.ask(first, answer=Answer(f"re {first}", id=raw_id))
    call = {
        "model": "deepseek/deepseek-chat",
        "api_base": provider.url,
        "api_key": "stand-in-key",
        "input": secret,
        "previous_response_id": raw_id,
    }
    asked = f"call-the-bridge {json.dumps(call)}"
    if route == "chat":
        messages = [{"role": "user", "content": asked}]
        post(alice, "/v1/chat/completions", ALICE, model="chat-model", messages=messages, stream=stream)
    else:
        outer = alice.with_manner(stream=stream)
        reply = outer.client.responses("chat-model", asked, stream=stream, key=ALICE)
        assert reply.status == 200
    (inner, _) = [each for each in provider.requests() if secret in json.dumps(each.body)]
    assert texts_of(inner.conversation) == [secret]
    values = [text for text in stored_texts(redis) if secret.encode() in text]
    # What Alice said herself is hers, and kept; the hook's own request is nobody's.
    assert all(b"call-the-bridge" in text for text in values) and len(values) == (1 if route == "responses" else 0)


# Where LiteLLM itself calls `aresponses`, and what stands for it here or elsewhere.
CALLERS = {
    "completion_extras/litellm_responses_transformation/handler.py": "a chat completion over the bridge",
    "harness/endpoint.py": "a program of its own; it carries no identity",
    "interactions/litellm_responses_transformation/handler.py": "an interaction",
    "litellm_core_utils/health_check_helpers.py": "a health check",
    "llms/anthropic/experimental_pass_through/responses_adapters/handler.py": "/v1/messages, no route of ours",
    "llms/anthropic/messages/responses_adapters/handler.py": "/v1/messages, no route of ours",
    "llms/anthropic/pass_through/responses_adapters/handler.py": "/v1/messages, no route of ours",
    "llms/custom_httpx/llm_http_handler.py": "a WebSocket of a model with a Responses endpoint",
    "responses/dispatch.py": "the function itself",
    "responses/file_search/emulated_handler.py": "rounds within a request",
    "responses/main.py": "the function itself, and rounds within a request",
    "responses/mcp/litellm_proxy_mcp_handler.py": "test_mcp",
    "responses/mcp/mcp_streaming_iterator.py": "test_mcp",
    "responses/streaming_iterator.py": "test_websocket",
    "router_api.py": "the router, for a route",
}


def test_every_caller_of_the_bridge_in_litellm_is_known(pristine_tree: Path) -> None:
    found = {
        path.relative_to(pristine_tree / "litellm").as_posix()
        for path in (pristine_tree / "litellm").rglob("*.py")
        if _calls_aresponses(path)
    }
    assert found and found <= CALLERS.keys()


def _calls_aresponses(path: Path) -> bool:
    data = path.read_bytes()
    names = ("aresponses", "aresponses_fn")
    if b"aresponses" not in data:
        return False
    called = (node.func for node in ast.walk(ast.parse(data)) if isinstance(node, ast.Call))
    return any(getattr(each, "id", None) in names or getattr(each, "attr", None) in names for each in called)
