"""A real Redis that fails: always StoreUnavailable, never a hang, never a wrong answer, nothing secret in the text."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from redis import Redis

from lab.redis_server import RedisServer
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis import guard as guards
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis import probe, scripts
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.connection import Connection
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.guard import FAILURES_TO_OPEN
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.runtime import Runtime
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.store import run_script
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.ids import Place
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.results import (
    Miss,
    StoreUnavailable,
)

from .support.stores import ALICE, TTL_SECONDS, chain_of, inputs_of, keys_of, load, say, settings_of, talk
from .support.waiting import until

PASSWORD = "s3cret-password"
OPERATIONS: dict[str, Callable[[Runtime], Any]] = {
    "read": lambda runtime: load(runtime.store, Place("n0t-st0red--", "1")),
    "store": lambda runtime: say(runtime.store, "a private text"),
    "delete": lambda runtime: runtime.store.delete(Place("n0t-st0red--", "1"), ALICE),
}
every_operation = pytest.mark.parametrize("name", OPERATIONS)


@pytest.fixture
def runtime_at() -> Iterator[Callable[..., Runtime]]:
    """Makes runtimes as in a proxy, through a connection of the patch's own. No thread of theirs asks afterwards."""
    made: list[Runtime] = []

    def make(url: str, timeout_seconds: float = 10.0) -> Runtime:
        connection = Connection("REDIS_SESSION_PATCH_URL", {"url": url})
        made.append(Runtime(settings_of(timeout_seconds=timeout_seconds), connection))
        return made[-1]

    yield make
    for each in made:
        each.set_used(False)


async def reason_of(asked: Any) -> str:
    with pytest.raises(StoreUnavailable) as caught:
        await asked
    text = str(caught.value)
    assert text and "\n" not in text and "private" not in text and "s3cret" not in text and "litellm_patch" not in text
    return text


def is_well(runtime: Runtime) -> bool:
    return not runtime.reads.is_open and not runtime.writes.is_open


async def open_breakers(runtime: Runtime, *names: str) -> None:
    for name in names:
        for _ in range(FAILURES_TO_OPEN):
            await reason_of(OPERATIONS[name](runtime))


async def works(runtime: Runtime) -> bool:
    """Reading and storing."""
    return await inputs_of(runtime.store, await say(runtime.store, "again")) == ["again"]


@pytest.fixture(scope="module")
def fragile_server() -> Iterator[RedisServer]:
    with RedisServer(password=PASSWORD) as server:
        yield server


@every_operation
@pytest.mark.parametrize("connected", [True, False])
async def test_a_paused_redis_is_unavailable_in_time(fragile_server, runtime_at, name, connected):
    runtime = runtime_at(fragile_server.url, timeout_seconds=0.2)
    if connected:
        await OPERATIONS[name](runtime)
    fragile_server.pause()
    try:
        began = time.monotonic()
        assert await reason_of(OPERATIONS[name](runtime)) in ("TimeoutError", "no answer within 0.4 s")
        assert time.monotonic() - began < 0.7
    finally:
        fragile_server.resume()
    assert await works(runtime_at(fragile_server.url))


async def test_after_a_pause_every_answer_belongs_to_its_question(fragile_server, runtime_at):
    patient, hurried = runtime_at(fragile_server.url), runtime_at(fragile_server.url, timeout_seconds=0.1)
    places = [await say(patient.store, f"text {number}") for number in range(5)]
    await load(hurried.store, places[0])
    fragile_server.pause()
    try:
        outcomes = await asyncio.gather(*(load(hurried.store, place) for place in places), return_exceptions=True)
        assert all(isinstance(each, StoreUnavailable) for each in outcomes)
    finally:
        fragile_server.resume()
    for runtime in (patient, hurried) * 2:
        await until(lambda runtime=runtime: is_well(runtime))
        found = [await inputs_of(runtime.store, place) for place in places]
        assert found == [[f"text {number}"] for number in range(5)]


@every_operation
async def test_a_stopped_redis_is_unavailable_and_works_again_when_it_is_back(runtime_at, name):
    with RedisServer() as server:
        runtime = runtime_at(server.url)
        await OPERATIONS[name](runtime)
        server.crash()
        assert await reason_of(OPERATIONS[name](runtime)) == "ConnectionError"
        server.start()
        assert await works(runtime)


@every_operation
@pytest.mark.parametrize("password", ["wrong-" + PASSWORD, None])
async def test_a_refused_password_is_unavailable_and_not_shown(fragile_server, runtime_at, name, password):
    credentials = f":{password}@" if password else ""
    url = f"redis://{credentials}{fragile_server.host}:{fragile_server.port}"
    assert await reason_of(OPERATIONS[name](runtime_at(url))) == "AuthenticationError"


@contextmanager
def configured(client: Redis, name: str, value: object, normal: object) -> Iterator[None]:
    client.config_set(name, value)
    try:
        yield
    finally:
        client.config_set(name, normal)


@contextmanager
def replica(client: Redis) -> Iterator[None]:
    client.replicaof("127.0.0.1", "1")
    try:
        yield
    finally:
        client.replicaof("NO", "ONE")


TAKES_NO_WRITES: dict[str, Callable[[Any], AbstractContextManager[None]]] = {
    "full": lambda client: configured(client, "maxmemory", 1, 0),
    "replica": replica,
    "alone": lambda client: configured(client, "min-replicas-to-write", 1, 0),
}
without_writes = pytest.mark.parametrize("how", TAKES_NO_WRITES)


@without_writes
async def test_a_redis_that_takes_no_writes_still_serves_what_it_has(
    redis_client, redis_server, store, runtime_at, how
):
    """The life of a response cannot be renewed, and that is no error."""
    last = (await talk(store, "abc"))[-1]
    redis_client.zincrby(keys_of(last)[2], -5, last.turn)
    runtime = runtime_at(redis_server.url)
    with TAKES_NO_WRITES[how](redis_client):
        for _ in range(FAILURES_TO_OPEN):
            assert await inputs_of(runtime.store, last) == list("abc")
        assert is_well(runtime)


async def test_a_full_redis_has_no_half_of_a_turn_and_still_deletes_and_erases(
    redis_client, redis_server, store, runtime_at
):
    place, other = await say(store, "a"), await say(store, "b")
    runtime, chain = runtime_at(redis_server.url), await chain_of(store, place)
    before = {key: redis_client.dump(key) for key in redis_client.keys("*")}
    with TAKES_NO_WRITES["full"](redis_client):
        assert await reason_of(say(runtime.store, "c", chain)) == "OOM"
        assert await reason_of(say(runtime.store, "d")) == "OOM"
        assert {key: redis_client.dump(key) for key in redis_client.keys("*")} == before
        assert await runtime.store.delete(place, ALICE) is None
        run_script(redis_client, scripts.ERASE, keys_of(other), TTL_SECONDS)
        for each in (place, other):
            assert await load(runtime.store, each) is Miss.DELETED


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread asks again at once, so to speak."""
    monkeypatch.setattr(guards, "ASK_AFTER_SECONDS", 0.01)


async def asked_some_times(client: Redis) -> None:
    """Returns once Redis has refused some questions more."""
    before = client.info("stats")["total_error_replies"]
    await until(lambda: client.info("stats")["total_error_replies"] >= before + 10)


@without_writes
async def test_storing_waits_until_writes_are_taken_and_reading_does_not(
    redis_client, redis_server, store, soon, runtime_at, how
):
    place, runtime = await say(store, "a"), runtime_at(redis_server.url)
    with TAKES_NO_WRITES[how](redis_client):
        await open_breakers(runtime, "store")
        await asked_some_times(redis_client)
        assert runtime.writes.is_open and not runtime.reads.is_open
        for _ in range(FAILURES_TO_OPEN):
            runtime.reads._failed("once")
        assert runtime.reads.is_open
        await until(lambda: not runtime.reads.is_open)
        assert await inputs_of(runtime.store, place) == ["a"]
        assert runtime.writes.is_open
    await until(lambda: is_well(runtime))
    assert await works(runtime)


async def test_a_redis_that_is_back_is_used_again_without_a_request(runtime_at):
    """With the thread as it is: within three seconds."""
    with RedisServer() as server:
        runtime = runtime_at(server.url, timeout_seconds=0.5)
        assert await works(runtime)
        server.crash()
        await open_breakers(runtime, "read", "store")
        server.start()
        await until(lambda: is_well(runtime), seconds=3)
        assert await works(runtime)


async def test_a_redis_that_goes_on_is_used_again_without_a_request(fragile_server, runtime_at):
    runtime = runtime_at(fragile_server.url, timeout_seconds=0.1)
    assert await works(runtime)
    fragile_server.pause()
    try:
        await open_breakers(runtime, "read", "store")
    finally:
        fragile_server.resume()
    await until(lambda: is_well(runtime), seconds=3)
    assert await works(runtime)


async def test_a_slow_connect_succeeds_in_the_background(fragile_server, runtime_at):
    """The next request then finds it, and need not wait as long."""
    with fragile_server.client() as looking:
        runtime = runtime_at(fragile_server.url, timeout_seconds=0.3)
        before = {each["id"] for each in looking.client_list()}
        fragile_server.pause()
        waiting = asyncio.ensure_future(OPERATIONS["read"](runtime))
        try:
            await asyncio.sleep(0)
            waiting.cancel()
        finally:
            fragile_server.resume()
        await until(lambda: {each["id"] for each in looking.client_list()} - before)


NEEDED = {
    "read": ("EVALSHA", "TIME", "HEXISTS", "ZSCORE", "HGET", "HLEN", "TTL"),
    "store": ("EVALSHA", "TIME", "HEXISTS", "HGET", "HSET", "ZADD", "ZSCORE", "TTL", "ZCOUNT"),
}
RIGHTS = "+eval +evalsha +time +hget +hlen +hset +hdel +hexists +zadd +zscore +zcard +zcount +zrange +zrem +ttl"
RIGHTS += " +expire"


@pytest.mark.parametrize(("name", "right"), [(name, right) for name, rights in NEEDED.items() for right in rights])
async def test_where_a_right_is_missing_it_stays_open_until_that_is_given(
    redis_server, redis_client, store, soon, runtime_at, monkeypatch, name, right
):
    # A turn that was stored within the same second needs less.
    monkeypatch.setattr(probe, "_NAMES", 1_000_000)
    place = await say(store, "a")
    runtime = runtime_at(f"redis://poor:pw@{redis_server.host}:{redis_server.port}")

    async def do() -> None:
        if name == "read":
            redis_client.zincrby(keys_of(place)[2], -5, place.turn)  # So that there is a life to renew.
            await chain_of(runtime.store, place)
        else:
            await say(runtime.store, "b")

    redis_client.execute_command(
        "ACL", "SETUSER", "poor", "reset", "on", ">pw", "~litellm_patch:*", *RIGHTS.split(), f"-{right.lower()}"
    )
    try:
        for _ in range(FAILURES_TO_OPEN):
            await reason_of(do())
        await asked_some_times(redis_client)
        assert (runtime.reads if name == "read" else runtime.writes).is_open
        redis_client.execute_command("ACL", "SETUSER", "poor", f"+{right.lower()}")
        await until(lambda: is_well(runtime))
        await do()
    finally:
        redis_client.execute_command("ACL", "DELUSER", "poor")


async def test_a_user_without_rights_is_told_by_its_code(redis_server, redis_client, runtime_at):
    redis_client.execute_command("ACL", "SETUSER", "poor", "reset", "on", ">pw", "+ping", "~*")
    try:
        runtime = runtime_at(f"redis://poor:pw@{redis_server.host}:{redis_server.port}")
        for name in OPERATIONS:
            assert await reason_of(OPERATIONS[name](runtime)) == "NoPermissionError"
    finally:
        redis_client.execute_command("ACL", "DELUSER", "poor")
