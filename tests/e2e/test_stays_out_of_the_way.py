"""Switched off, without Redis, without the proxy: LiteLLM as released."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lab.client import ResponsesClient
from lab.processes import ProcessFailed
from lab.provider import Provider
from lab.proxies import ProxyPool
from lab.proxy import MODELS, Proxy, ProxyOptions

TOOLS = [{"type": "function", "name": "look_up", "parameters": {"type": "object", "properties": {}}}]

# What a library user's process does: a two-turn conversation, with the redis package missing.
LIBRARY_USE = """
import sys

class NoRedis:
    def find_spec(self, name, path=None, target=None):
        if name == "redis" or name.startswith("redis."):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

if sys.argv[2] == "without redis":
    sys.meta_path.insert(0, NoRedis())
import litellm
reply = litellm.responses(model="deepseek/deepseek-chat", input="hello", api_base=sys.argv[1], api_key="none")
second = litellm.responses(
    model="deepseek/deepseek-chat", input="and?", previous_response_id=reply.id, api_base=sys.argv[1], api_key="none"
)
assert "litellm.proxy.proxy_server" not in sys.modules, "the proxy was imported"
print(reply.output[0].content[0].text)
"""


@pytest.fixture
def off_and_pristine(
    proxies: ProxyPool, plain_options: ProxyOptions, pristine_tree: Path
) -> Iterator[list[ResponsesClient]]:
    off = {**plain_options.environment, "REDIS_SESSION_PATCH_ENABLED": "false"}
    options = [replace(plain_options, environment=off), replace(plain_options, tree=pristine_tree)]
    clients = [ResponsesClient(proxy.url, proxy.key) for proxy in proxies.get_all(options)]
    yield clients
    for client in clients:
        client.close()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", MODELS)
def test_switched_off_the_provider_receives_what_upstream_sends(
    model: str, stream: bool, off_and_pristine: list[ResponsesClient], provider: Provider
) -> None:
    bodies = []
    for client in off_and_pristine:
        provider.clear()
        first = client.responses(model, [{"role": "user", "content": "hello"}], stream=stream, instructions="Be kind.")
        client.responses(model, "and?", stream=stream, previous_response_id=first.id, tools=TOOLS)
        bodies.append([request.body for request in provider.requests()])
    assert len(bodies[0]) == 2
    assert bodies[0] == bodies[1]


@pytest.mark.parametrize("redis", ["with redis", "without redis"])
def test_as_a_library_it_works_as_before(redis: str, provider: Provider, patched_tree: Path) -> None:
    environment = {
        "PYTHONPATH": str(patched_tree),
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "REDIS_URL": "redis://127.0.0.1:1",  # for something else of theirs; nobody must go there
        "PATH": "/usr/bin:/bin",
    }
    command = [sys.executable, "-c", LIBRARY_USE, provider.url, redis]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().startswith("answer-")
    assert [message.text for message in provider.requests()[-1].conversation] == ["and?"]


def test_a_bad_setting_stops_the_proxy_with_one_line(plain_options: ProxyOptions) -> None:
    environment = {**plain_options.environment, "REDIS_SESSION_PATCH_TTL": "a day"}
    proxy = Proxy(replace(plain_options, environment=environment)).start()
    try:
        with pytest.raises(ProcessFailed):
            proxy.wait_until_ready()
        log = proxy.log_text()
    finally:
        proxy.stop()
    lines = [line for line in log.splitlines() if "REDIS_SESSION_PATCH_TTL" in line]
    assert lines == ["Redis session patch: REDIS_SESSION_PATCH_TTL='a day': expected a whole number of at least 1."]
    assert "Traceback" not in log


def test_an_unreachable_redis_is_one_line_and_the_proxy_serves(
    proxies: ProxyPool, plain_options: ProxyOptions, provider: Provider
) -> None:
    environment = {"REDIS_SESSION_PATCH_URL": "redis://me:secret@127.0.0.1:1/0"}
    proxy = proxies.get(replace(plain_options, environment=environment))
    with ResponsesClient(proxy.url, proxy.key) as client:
        for _ in range(5):
            assert client.responses("chat-model", "hello").status == 200
    log = proxy.log_text()
    assert log.count("Redis does not answer now") == 1
    assert log.count("going on without it") == 1  # One line for the change, not one a request.
    assert "secret" not in log


def test_the_start_line_tells_what_is_active(proxy: Proxy) -> None:
    (line,) = [line for line in proxy.log_text().splitlines() if "Redis session patch " in line]
    assert "active, Redis 127.0.0.1:" in line or "active, Redis redis://" in line
    assert "time to live 86400 s, values not encrypted" in line
