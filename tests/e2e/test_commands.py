"""What a request asks of Redis: one command to read, one to store, and nothing that tells one miss from another."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest
from redis import Redis

from lab.answers import Answer
from lab.asking import Asker, asking, asking_on_socket
from lab.custom_auth import bearer
from lab.lines import Manner
from lab.monitor import monitored
from lab.provider import Provider
from lab.proxy import Proxy, ProxyOptions
from lab.redis_server import RedisServer
from lab.stored import TURNS, id_at, living_responses

from . import masking
from .checks import unknown_id
from .masking import SECRET

pytestmark = pytest.mark.xdist_group("commands")

ALICE, BOB = bearer(key="k1", user="alice"), bearer(key="k2", user="bob")
READ, STORE = ["EVALSHA"], ["EVALSHA"]
FOLLOW_UPS = 3


@pytest.fixture(scope="module")
def own_redis() -> Iterator[RedisServer]:
    """Nobody else asks it."""
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def strict_proxy(identity_options: ProxyOptions, own_redis: RedisServer) -> Iterator[Proxy]:
    """Unknown ids are refused, and upstream's own check of ids is off, so that the store's is seen. A hook changes
    replies.
    """
    environment = {"REDIS_SESSION_PATCH_URL": own_redis.url, "REDIS_SESSION_PATCH_ON_MISS": "error"}
    settings = {"disable_responses_id_security": True}
    options = replace(identity_options, environment=environment, general_settings=settings)
    config = Proxy(options).config()
    config["litellm_settings"] |= {"callbacks": ["masking.masking"]}
    files = {"config.yaml": json.dumps(config), "masking.py": Path(masking.__file__).read_text()}
    with Proxy(replace(options, extra_files=files)) as proxy:
        yield proxy


Way = Callable[[Proxy, Provider], AbstractContextManager[Asker]]
WAYS: dict[str, Way] = {
    "plain": lambda proxy, provider: asking(proxy, provider, Manner(), ALICE),
    "streamed": lambda proxy, provider: asking(proxy, provider, Manner(stream=True), ALICE),
    "over a WebSocket": lambda proxy, provider: asking_on_socket(proxy, provider, "chat-model", ALICE),
}


@pytest.fixture(params=WAYS)
def asker(request: pytest.FixtureRequest, strict_proxy: Proxy, provider: Provider) -> Iterator[Asker]:
    with WAYS[request.param](strict_proxy, provider) as asker:
        asker.ask("And?", asker.ask("hello"))  # Redis is taught the scripts.
        yield asker


def test_a_follow_up_is_read_by_one_command_and_stored_by_one(asker: Asker, own_redis: RedisServer) -> None:
    last = asker.ask("hello")
    with monitored(own_redis.host, own_redis.port) as seen:
        for _ in range(FOLLOW_UPS):
            last = asker.ask("And?", last)
    assert seen.of_ours == (READ + STORE) * FOLLOW_UPS
    assert len(last.said) == 2 * FOLLOW_UPS + 1


def test_a_first_turn_is_one_command_and_three_keys_of_one_slot(asker: Asker, own_redis: RedisServer) -> None:
    with own_redis.client() as redis:
        redis.flushdb()
        with monitored(own_redis.host, own_redis.port) as seen:
            asker.ask("hello")
        keys = redis.keys("*")
    assert seen.of_ours == STORE
    assert len(keys) == 3 and len({key.partition(b"{")[2].partition(b"}")[0] for key in keys}) == 1


@pytest.mark.parametrize("way", ["plain", "streamed"])
def test_a_reply_that_a_hook_changed_is_stored_by_the_same_command(
    way: str, strict_proxy: Proxy, own_redis: RedisServer, provider: Provider
) -> None:
    with WAYS[way](strict_proxy, provider) as asker:
        first = asker.ask("hello")
        with monitored(own_redis.host, own_redis.port) as seen:
            second = asker.ask("And?", first, Answer(f"It is {SECRET}."))
            third = asker.ask("So?", second)
    assert seen.of_ours == (READ + STORE) * 2
    assert "It is *******." in third.said


def deleted(asker: Asker, redis: Redis) -> str:
    response = asker.ask("hello")
    headers = {"authorization": f"Bearer {ALICE}"}
    assert asker.client.http.delete(f"/v1/responses/{response.id}", headers=headers).status_code == 200
    return response.id


def of_somebody_else(asker: Asker, redis: Redis) -> str:
    return asker.as_key(BOB).ask("hello").id


def a_place_of_somebody_else(asker: Asker, redis: Redis) -> str:
    redis.flushdb()
    asker.as_key(BOB).ask("hello")
    return next(living_responses(redis))


def a_place_that_is_none(asker: Asker, redis: Redis) -> str:
    redis.flushdb()
    asker.ask("hello")
    (key,) = redis.scan_iter(TURNS)
    return id_at(key.decode().partition("{")[2].partition("}")[0], 12_345)


def lost(asker: Asker, redis: Redis) -> str:
    response = asker.ask("hello")
    redis.flushdb()
    return response.id


def without_its_end(asker: Asker, redis: Redis) -> str:
    return asker.ask("hello").id[:-8]


def of_another_proxy(asker: Asker, redis: Redis) -> str:
    text = "litellm:custom_llm_provider:deepseek;model_id:m;response_id:chatcmpl-1;turn:c0nversat-_AAAAAAAB"
    return "resp_" + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "make",
    [
        deleted,
        of_somebody_else,
        a_place_of_somebody_else,
        a_place_that_is_none,
        lost,
        without_its_end,
        of_another_proxy,
    ],
    ids=lambda make: make.__name__,
)
def test_every_id_that_leads_nowhere_has_one_answer_and_costs_one_command(
    make: Callable[[Asker, Redis], str], strict_proxy: Proxy, own_redis: RedisServer, provider: Provider
) -> None:
    with WAYS["plain"](strict_proxy, provider) as asker, own_redis.client() as redis:
        asker.ask("And?", asker.ask("hello"))  # Redis is taught the scripts.
        answers = []
        for response_id in (make(asker, redis), unknown_id()):
            with monitored(own_redis.host, own_redis.port) as seen:
                answer = asker.ask("And?", response_id)
            answers.append((answer.status, answer.reply.body, seen.of_ours))
    assert answers[0] == answers[1] and answers[0][2] == READ
    assert answers[0][0] == 400
