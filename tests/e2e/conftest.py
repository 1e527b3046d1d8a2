"""What the end-to-end tests share besides the plain proxy."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from lab.asking import Asker, asking
from lab.chat_models import CHAT_MODELS, chat_entry
from lab.client import ResponsesClient
from lab.exchange import Exchange
from lab.lines import Manner
from lab.native_models import NATIVE, native_entries
from lab.provider import Provider
from lab.proxies import ProxyPool
from lab.proxy import Proxy, ProxyOptions, stand_in_models
from lab.redis_server import GivenRedis, RedisServer
from lab.schema import faults_in
from lab.trees import installed_release

from . import hooks, masking, mcp_tools
from .sizes import MANNERS

OLD_KEY, NEW_KEY = (base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2))


@pytest.fixture(params=MANNERS, ids=lambda one: f"{one.model}-{'stream' if one.stream else 'plain'}")
def manner(request: pytest.FixtureRequest) -> Manner:
    """Every wire format, plain and as a stream."""
    return request.param


@pytest.fixture
def redis(redis_server: RedisServer | GivenRedis) -> Iterator[Redis]:
    with Redis.from_url(redis_server.url) as client:
        yield client


@pytest.fixture(scope="session")
def identity_options(plain_options: ProxyOptions) -> ProxyOptions:
    """The bearer token says who asks (`lab.custom_auth.bearer`)."""
    return replace(plain_options, custom_auth=True)


@pytest.fixture(scope="session")
def second_options(plain_options: ProxyOptions) -> ProxyOptions:
    """A second proxy beside the plain one, on the same Redis: of two workers, with tools that it runs itself, a model
    with a Responses endpoint of its own, and a hook that changes replies that ask for it.
    """
    server = {"transport": "stdio", "command": "python3", "args": ["mcp_tools.py"], "allow_all_keys": True}
    config = {**Proxy(plain_options).config(), "mcp_servers": {"tools": server}}
    config["model_list"] += native_entries(plain_options.provider_url, NATIVE)
    config["litellm_settings"] |= {"callbacks": ["masking.masking"]}
    files = {
        "config.yaml": json.dumps(config),
        "mcp_tools.py": Path(mcp_tools.__file__).read_text(),
        "masking.py": Path(masking.__file__).read_text(),
    }
    # From 1.106 on, the proxy starts such a server only where that is allowed.
    environment = {**plain_options.environment, "LITELLM_ENABLE_MCP_STDIO": "true"}
    return replace(plain_options, num_workers=2, environment=environment, extra_files=files)


@pytest.fixture(scope="session")
def chats_options(plain_options: ProxyOptions) -> ProxyOptions:
    """Models of further chat providers beside the usual three."""
    url = plain_options.provider_url
    usual = stand_in_models(url, installed_release())
    return replace(plain_options, models=(*usual, *(chat_entry(maker, url) for maker in CHAT_MODELS)))


@pytest.fixture(scope="session")
def native_options(plain_options: ProxyOptions) -> ProxyOptions:
    """Models with a Responses endpoint of their own beside the usual three, whose turns are stored too."""
    url = plain_options.provider_url
    models = (*stand_in_models(url, installed_release()), *native_entries(url))
    return replace(with_environment(plain_options, REDIS_SESSION_PATCH_NATIVE="true"), models=models)


@pytest.fixture
def chats(proxies: ProxyPool, chats_options: ProxyOptions, provider: Provider) -> Iterator[Asker]:
    """One request at a time to any of those models."""
    with asking(proxies.get(chats_options), provider) as asker:
        yield asker


@pytest.fixture(scope="session")
def two_proxies(proxies: ProxyPool, plain_options: ProxyOptions, second_options: ProxyOptions) -> list[Proxy]:
    return proxies.get_all([plain_options, second_options])


@pytest.fixture(scope="session")
def second_proxy(two_proxies: list[Proxy]) -> Proxy:
    return two_proxies[1]


@pytest.fixture(scope="session")
def identity_proxy(proxies: ProxyPool, identity_options: ProxyOptions) -> Proxy:
    return proxies.get(identity_options)


@pytest.fixture(scope="session")
def old_key_options(identity_options: ProxyOptions) -> ProxyOptions:
    """Values are encrypted with the one key that it knows."""
    return with_environment(identity_options, REDIS_SESSION_PATCH_ENCRYPTION_KEY=OLD_KEY)


@pytest.fixture(scope="session")
def hooked_options(identity_options: ProxyOptions) -> ProxyOptions:
    """The bearer token says who asks; a guardrail refuses, and calls the bridge itself; two models that LiteLLM reaches
    by the bridge from elsewhere.
    """
    config = Proxy(identity_options).config()
    (chat,) = [entry["litellm_params"] for entry in config["model_list"] if entry["model_name"] == "chat-model"]
    # A model of its own: LiteLLM keeps the mode by the provider's name of a model.
    params = {**chat, "model": "deepseek/deepseek-health"}
    health = {"model_name": "health-model", "litellm_params": params, "model_info": {"mode": "responses"}}
    params = {**chat, "model": "deepseek/responses/deepseek-chat"}
    over_responses = {"model_name": "chat-over-responses", "litellm_params": params}
    config["model_list"] += [health, over_responses]
    config["litellm_settings"] |= {"callbacks": ["hooks.hooks"]}
    files = {"config.yaml": json.dumps(config), "hooks.py": Path(hooks.__file__).read_text()}
    return replace(identity_options, extra_files=files)


@pytest.fixture(scope="session")
def strict_options(identity_options: ProxyOptions) -> ProxyOptions:
    """Unknown ids are refused; values are encrypted with a new key, and those of the old one are still read."""
    return with_environment(
        identity_options,
        REDIS_SESSION_PATCH_ON_MISS="error",
        REDIS_SESSION_PATCH_ENCRYPTION_KEY=f"{NEW_KEY},{OLD_KEY}",
    )


@pytest.fixture(scope="session")
def prepared_options(identity_options: ProxyOptions) -> ProxyOptions:
    """The first step of a rotation: the new key is known already, the old one still encrypts."""
    return with_environment(identity_options, REDIS_SESSION_PATCH_ENCRYPTION_KEY=f"{OLD_KEY},{NEW_KEY}")


@pytest.fixture(scope="session")
def open_options(plain_options: ProxyOptions) -> ProxyOptions:
    """No master key; and message logging is off, but conversations are stored all the same."""
    return replace(
        with_environment(
            plain_options,
            REDIS_SESSION_PATCH_STORE_UNLOGGED="true",
            # Newer releases refuse to start without a master key unless told so.
            LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY="true",
        ),
        litellm_settings={"turn_off_message_logging": True},
        master_key=None,
    )


def with_environment(options: ProxyOptions, **environment: str) -> ProxyOptions:
    return replace(options, environment={**options.environment, **environment})


@pytest.fixture
def asker(client: ResponsesClient, provider: Provider) -> Asker:
    """The plain proxy, the chat format, no stream; `with_manner` makes others of it."""
    return Asker(client, provider)


@pytest.fixture(autouse=True)
def _replies_have_the_published_shape(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each whole reply of a bridged model, in any test, but where a test says that its proxy gives LiteLLM's own."""
    if request.node.get_closest_marker("as_upstream_shapes_it") is not None:
        return
    ask = Asker.ask

    def ask_and_check(asker: Asker, *args: Any, **params: Any) -> Exchange:
        exchange = ask(asker, *args, **params)
        is_bridged = exchange.requests and all(each.format != "responses" for each in exchange.requests)
        if exchange.status == 200 and is_bridged and not exchange.reply.broken:
            assert faults_in(exchange.reply) == []
        return exchange

    monkeypatch.setattr(Asker, "ask", ask_and_check)
