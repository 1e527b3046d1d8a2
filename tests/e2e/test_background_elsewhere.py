"""Responses in the background with two proxies: the other one is asked; one dies, is stopped, or loses its Redis."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import openai
import pytest
from openai.types.responses import Response
from redis import Redis

from lab.answers import Answer
from lab.processes import wait_until
from lab.provider import Provider
from lab.proxy import MODELS, Proxy, ProxyOptions
from lab.redis_server import RedisServer

from .raw import openai_client
from .test_background import begin, every_model, poll
from .test_stored_responses import refused

JOBS = 200
SETTINGS = {
    "REDIS_SESSION_PATCH_BACKGROUND_MAX_OWNER_JOBS": str(JOBS),
    "REDIS_SESSION_PATCH_BACKGROUND_EVENTS_TTL": "3",
    "GRACEFUL_SHUTDOWN_TIMEOUT": "4",
}


@pytest.fixture(scope="module")
def own_redis() -> Iterator[RedisServer]:
    """One of our own: it is stopped."""
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def options(plain_options: ProxyOptions, own_redis: RedisServer) -> ProxyOptions:
    return replace(plain_options, environment={**own_redis.environment, **SETTINGS})


@pytest.fixture(scope="module")
def pair(options: ProxyOptions) -> Iterator[tuple[Proxy, Proxy]]:
    one, other = Proxy(options).start(), Proxy(options).start()
    try:
        yield one.wait_until_ready(), other.wait_until_ready()
    finally:
        one.stop()
        other.stop()


@pytest.fixture
def here(pair: tuple[Proxy, Proxy], provider: Provider) -> Iterator[openai.OpenAI]:
    with openai_client(pair[0]) as client:
        yield client


@pytest.fixture
def there(pair: tuple[Proxy, Proxy]) -> Iterator[openai.OpenAI]:
    with openai_client(pair[1]) as client:
        yield client


@every_model
def test_the_other_proxy_has_its_state_and_its_events(
    model: str, here: openai.OpenAI, there: openai.OpenAI, provider: Provider
) -> None:
    provider.script(Answer("One two three.", gate="done"))
    with begin(here, model, stream=True) as events:
        response_id = next(events).response.id
        wait_until(lambda: there.responses.retrieve(response_id).status == "in_progress", 5, "its start")
        with there.responses.retrieve(response_id, stream=True) as elsewhere:
            first = next(elsewhere)
            provider.release("done")
            seen = [first.to_dict(), *(event.to_dict() for event in elsewhere)]
        assert seen[1:] == [event.to_dict() for event in events]
    assert poll(there, response_id).output_text == "One two three."
    follow_up = there.responses.create(model=model, input="And?", previous_response_id=response_id)
    assert follow_up.status == "completed"


@every_model
def test_the_other_proxy_cancels_it_within_seconds(
    model: str, here: openai.OpenAI, there: openai.OpenAI, provider: Provider
) -> None:
    provider.script(Answer("Never.", gate="never"))
    with begin(here, model, stream=True) as events:
        response_id = next(events).response.id
        started = time.monotonic()
        assert there.responses.cancel(response_id).status == "cancelled"
        *_, last = events
        print(f"cancelled elsewhere: its stream ended after {time.monotonic() - started:.2f} s")
    assert last.response.status == "cancelled"
    provider.release("never")
    assert here.responses.retrieve(response_id).status == "cancelled"


def test_when_its_proxy_is_killed_it_has_failed_for_whoever_asks(
    options: ProxyOptions, there: openai.OpenAI, provider: Provider
) -> None:
    for stream in (False, True):
        with Proxy(options) as dying, openai_client(dying) as client:
            provider.script(Answer("Never.", gate="never"))
            response_id = next(begin(client, "chat-model", stream=True)).response.id if stream else None
            response_id = response_id or begin(client, "chat-model").id
            wait_until(lambda: there.responses.retrieve(response_id).status == "in_progress", 10, "its start")  # noqa: B023
            dying.kill()
        provider.release("never")
        started = time.monotonic()
        lost = poll(there, response_id, 40)
        print(f"killed: told after {time.monotonic() - started:.1f} s")
        assert lost.status == "failed"
        assert lost.error is not None
        assert lost.error.message == "The proxy that made this response ended before the response was done."
        if stream:
            *_, last = there.responses.retrieve(response_id, stream=True, starting_after=0)
            assert (last.type, last.response.status) == ("response.failed", "failed")
        follow_up = {"model": "chat-model", "input": "And?", "previous_response_id": response_id}
        assert refused(lambda: there.responses.create(**follow_up))[0] == 400  # noqa: B023


def test_a_proxy_that_is_stopped_finishes_what_it_can(
    options: ProxyOptions, there: openai.OpenAI, provider: Provider
) -> None:
    with Proxy(options) as stopping, openai_client(stopping) as client:
        provider.script(Answer("In time.", gate="soon"), Answer("Never.", gate="never"))
        in_time, too_late = begin(client, "chat-model", "one").id, begin(client, "chat-model", "two").id
        wait_until(lambda: len(provider.requests()) == 2, 10, "both requests")
        stopping.signal(signal.SIGTERM)
        provider.release("soon")
        finished, failed = poll(there, in_time, 30), poll(there, too_late, 30)
        wait_until(lambda: not stopping.is_running(), 30, "the end of the proxy")
    provider.release("never")
    assert (finished.status, finished.output_text) == ("completed", "In time.")
    assert failed.status == "failed"
    assert failed.error is not None and "was stopped" in failed.error.message


@every_model
def test_redis_stops_for_five_seconds_in_the_middle(
    model: str, here: openai.OpenAI, there: openai.OpenAI, provider: Provider, own_redis: RedisServer
) -> None:
    provider.script(Answer("One two three.", gate="done"))
    with begin(here, model, stream=True) as events:
        response_id = next(events).response.id
        wait_until(lambda: len(provider.requests()) == 1, 10, "the first request")
        provider.script(Answer("Plain.", gate="done"))
        plain = begin(here, model).id
        wait_until(lambda: len(provider.requests()) == 2, 10, "both requests")
        own_redis.pause()
        provider.release("done")
        time.sleep(5)  # the fault itself
        own_redis.resume()
        assert poll(there, plain, 30).output_text == "Plain."
        seen = [0, *(event.sequence_number for event in events)]
    last = poll(there, response_id, 30)
    assert (last.status, last.output_text) == ("completed", "One two three.")
    rest = [
        event.sequence_number for event in there.responses.retrieve(response_id, stream=True, starting_after=seen[-1])
    ]
    assert [*seen, *rest] == list(range(len(seen) + len(rest)))


def test_while_redis_is_away_it_is_refused_and_the_foreground_is_not(
    here: openai.OpenAI, provider: Provider, own_redis: RedisServer
) -> None:
    own_redis.pause()
    try:
        status, body = refused(lambda: begin(here, "chat-model"))
        assert (status, body["error"]["code"]) == (503, "background_unavailable")
        assert here.responses.create(model="chat-model", input="Hello.").status == "completed"
    finally:
        own_redis.resume()
    wait_until(lambda: poll(here, begin(here, "chat-model").id).status == "completed", 20, "a Redis that is back")


def test_two_hundred_at_once(
    here: openai.OpenAI,
    there: openai.OpenAI,
    pair: tuple[Proxy, Proxy],
    provider: Provider,
    own_redis: RedisServer,
) -> None:
    with Redis.from_url(own_redis.url) as redis:  # What Redis was away for counts until its lease ends.
        wait_until(lambda: not list(redis.scan_iter("*:jobs")), 40, "room for as many")
    provider.always(Answer("So it is.", gate="all"))

    async def run() -> tuple[list[str], openai.APIStatusError]:
        options = {"base_url": f"{pair[0].url}/v1", "api_key": pair[0].key, "max_retries": 0, "timeout": 120}
        async with openai.AsyncOpenAI(**options) as client:
            asked = (client.responses.create(model=MODELS[n % 3], input=str(n), background=True) for n in range(JOBS))
            begun = await asyncio.gather(*asked)
            with pytest.raises(openai.APIStatusError) as caught:
                await client.responses.create(model="chat-model", input="One more.", background=True)
            return [response.id for response in begun], caught.value

    ids, refusal = asyncio.run(run())
    assert refusal.status_code == 429
    assert refusal.response.json()["error"]["code"] == "background_responses_of_this_owner"
    provider.release("all")
    assert {poll(there, each, 120).status for each in ids} == {"completed"}
    assert len(set(ids)) == JOBS


def test_a_worker_takes_so_many_and_no_more(plain_options: ProxyOptions, provider: Provider) -> None:
    environment = {**plain_options.environment, "REDIS_SESSION_PATCH_BACKGROUND_MAX_JOBS": "5"}
    provider.always(Answer("So it is.", gate="all"))

    async def run(proxy: Proxy) -> list[Any]:
        options = {"base_url": f"{proxy.url}/v1", "api_key": proxy.key, "max_retries": 0, "timeout": 60}
        async with openai.AsyncOpenAI(**options) as client:
            asked = (client.responses.create(model="chat-model", input=str(n), background=True) for n in range(20))
            return await asyncio.gather(*asked, return_exceptions=True)

    with Proxy(replace(plain_options, environment=environment)) as proxy, openai_client(proxy) as client:
        replies = asyncio.run(run(proxy))
        refusals = [each.response.json()["error"] for each in replies if isinstance(each, openai.RateLimitError)]
        begun = [each for each in replies if isinstance(each, Response)]
        assert (len(begun), len(refusals)) == (5, 15)
        assert {each["code"] for each in refusals} == {"background_responses_of_this_proxy"}
        provider.release("all")
        assert {poll(client, each.id).status for each in begun} == {"completed"}
        assert poll(client, begin(client, "chat-model").id).status == "completed"


def test_what_its_events_take_is_gone_after_its_end(
    here: openai.OpenAI, provider: Provider, own_redis: RedisServer
) -> None:
    with own_redis.client() as redis:
        redis.flushall()
        provider.script(Answer("word " * 1_000, pieces=400))
        seen = [event.to_json(indent=None) for event in begin(here, "chat-model", stream=True)]
        (key,) = redis.scan_iter("*:events:*")
        taken = redis.memory_usage(key, samples=0)
        print(f"{len(seen)} events, {sum(map(len, seen))} bytes of JSON: {taken} bytes in Redis")
        assert taken < 1.5 * sum(map(len, seen))
        wait_until(lambda: not list(redis.scan_iter("*:events:*")), 10, "the end of the events")
        wait_until(lambda: not list(redis.scan_iter("*:jobs")), 20, "the end of the owner's count")
        names = {kind for key in redis.keys("*") if b":turns" in key for kind in redis.hkeys(key)}
        assert not [name for name in names if name.startswith((b"j", b"k"))]
        assert _lives(redis) == {b"turn"}


def _lives(redis: Redis) -> set[bytes]:
    members = {member for key in redis.scan_iter("*:lives") for member in redis.zrange(key, 0, -1)}
    return {b"job" if member.startswith(b"j") else b"turn" for member in members}


def test_events_that_are_not_kept_any_more_are_a_conflict(plain_options: ProxyOptions, provider: Provider) -> None:
    environment = {**plain_options.environment, "REDIS_SESSION_PATCH_BACKGROUND_MAX_EVENTS": "4"}
    with Proxy(replace(plain_options, environment=environment)) as proxy, openai_client(proxy) as client:
        provider.script(Answer("One two three four.", pieces=10))
        response = poll(client, next(begin(client, "chat-model", stream=True)).response.id)
        wait_until(lambda: _is_resumable(client, response.id), 10, "its last event")
        status, body = refused(lambda: list(client.responses.retrieve(response.id, stream=True, starting_after=0)))
        assert (status, body["error"]["code"], body["error"]["param"]) == (409, "events_not_kept", "starting_after")
        first = int(body["error"]["message"].split("those from ")[1].split()[0])
        rest = list(client.responses.retrieve(response.id, stream=True, starting_after=first - 1))
        assert (len(rest), rest[-1].type) == (4, "response.completed")


def _is_resumable(client: openai.OpenAI, response_id: str) -> bool:
    try:
        return bool(list(client.responses.retrieve(response_id, stream=True, starting_after=10_000)) == [])
    except openai.APIStatusError:
        return False
