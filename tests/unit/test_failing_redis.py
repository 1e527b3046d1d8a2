"""A real Redis that fails: always StoreUnavailable, never a hang, never a wrong answer, nothing secret in the text."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from lab.redis_server import RedisServer
from lab.ways import rights
from litellm.responses.litellm_completion_transformation.redis_session_patch import guard as guards
from litellm.responses.litellm_completion_transformation.redis_session_patch import questions
from litellm.responses.litellm_completion_transformation.redis_session_patch.breaker import FAILURES_TO_OPEN
from litellm.responses.litellm_completion_transformation.redis_session_patch.connection import Connection
from litellm.responses.litellm_completion_transformation.redis_session_patch.results import StoreUnavailable
from litellm.responses.litellm_completion_transformation.redis_session_patch.runtime import Runtime
from litellm.responses.litellm_completion_transformation.redis_session_patch.settings import Settings
from litellm.responses.litellm_completion_transformation.redis_session_patch.store import Reservation

from .support.stores import chain_of, inputs_of, load, say, talk
from .support.waiting import until

PASSWORD = "s3cret-password"
READING = {
    "ping": lambda store, _: store.ping(),
    "load": lambda store, budget: load(store, "x", budget=budget),
}
WRITING = {
    "save": lambda store, budget: say(store, "a private text", budget=budget),
    "reserve": lambda store, _: store.reserve(Reservation("x")),
    "release": lambda store, _: store.release(Reservation("x")),
    "is_taken": lambda store, _: store.is_taken("x"),
}
every_operation = pytest.mark.parametrize("name", [*READING, *WRITING])


def runtime_at(url: str, timeout_seconds: float = 10.0) -> Runtime:
    """As in a proxy: through a connection of the patch's own."""
    connection = Connection("REDIS_SESSION_PATCH_URL", {"url": url})
    return Runtime(Settings(timeout_seconds=timeout_seconds), connection.open)


async def run(runtime: Runtime, name: str) -> Any:
    return await (runtime.read(READING[name]) if name in READING else runtime.write(WRITING[name]))


async def reason_of(operation: Any) -> str:
    with pytest.raises(StoreUnavailable) as caught:
        await operation
    text = str(caught.value)
    assert text and "\n" not in text and "private" not in text and "s3cret" not in text and "litellm_patch" not in text
    return text


def is_well(runtime: Runtime) -> bool:
    return not runtime.reads.breaker.is_open and not runtime.writes.breaker.is_open


async def open_breakers(runtime: Runtime, *names: str) -> None:
    for name in names:
        for _ in range(FAILURES_TO_OPEN):
            await reason_of(run(runtime, name))


async def works(runtime: Runtime) -> bool:
    """Reading and storing."""
    response_id = await runtime.write(lambda store, budget: say(store, "again", budget=budget))
    return await runtime.read(lambda store, _: inputs_of(store, response_id)) == ["again"]


@pytest.fixture(scope="module")
def fragile_server() -> Iterator[RedisServer]:
    with RedisServer(password=PASSWORD) as server:
        yield server


@pytest_asyncio.fixture
async def fragile(fragile_server: RedisServer) -> AsyncIterator[Any]:
    """The server, empty, as a client of its own sees it."""
    async with Redis.from_url(fragile_server.url) as client:
        await client.flushall()
        yield client


@every_operation
@pytest.mark.parametrize("connected", [True, False])
async def test_a_paused_redis_is_unavailable(fragile_server, fragile, name, connected):
    runtime = runtime_at(fragile_server.url, timeout_seconds=0.5)
    if connected:
        await run(runtime, "ping")
    fragile_server.pause()
    try:
        assert "no answer within 0.5" in await reason_of(run(runtime, name))
    finally:
        fragile_server.resume()
    assert await works(runtime_at(fragile_server.url))


async def test_after_a_pause_every_answer_belongs_to_its_question(fragile_server, fragile):
    patient, hurried = runtime_at(fragile_server.url), runtime_at(fragile_server.url, timeout_seconds=0.1)
    ids = [await patient.write(lambda store, _, n=n: say(store, f"text {n}")) for n in range(5)]
    fragile_server.pause()
    try:
        given_up = await asyncio.gather(
            *(hurried.read(lambda store, _, each=each: load(store, each)) for each in ids), return_exceptions=True
        )
        assert all(isinstance(each, StoreUnavailable) for each in given_up)
    finally:
        fragile_server.resume()
    for runtime in (patient, hurried) * 2:
        await until(partial(is_well, runtime))
        found = [await patient.read(lambda store, _, each=each: inputs_of(store, each)) for each in ids]
        assert found == [[f"text {number}"] for number in range(5)]


@every_operation
async def test_a_stopped_redis_is_unavailable_and_works_again_when_it_is_back(name):
    with RedisServer() as server:
        runtime = runtime_at(server.url)
        await run(runtime, "ping")
        server.crash()
        assert await reason_of(run(runtime, name)) == "ConnectionError"
        server.start()
        assert await works(runtime)


@every_operation
@pytest.mark.parametrize("password", ["wrong-" + PASSWORD, None])
async def test_a_refused_password_is_unavailable_and_not_shown(fragile_server, name, password):
    credentials = f":{password}@" if password else ""
    url = f"redis://{credentials}{fragile_server.host}:{fragile_server.port}"
    assert await reason_of(run(runtime_at(url), name)) == "NOAUTH"


async def test_a_full_redis_refuses_turns_and_still_serves_what_it_has(redis_server, redis_client):
    runtime = runtime_at(redis_server.url)
    ids = await runtime.write(lambda store, _: talk(store, "abc"))
    chain = await runtime.read(lambda store, _: chain_of(store, ids[-1]))
    await redis_client.config_set("maxmemory", 1)
    try:
        for name in ("save", "reserve"):
            assert await reason_of(run(runtime, name)) == "OOM"
        assert await reason_of(runtime.write(lambda store, _: say(store, "d", chain))) == "OOM"
        assert runtime.writes.breaker.is_open
        for _ in range(3):  # Its life cannot be renewed, and that is no error.
            assert await runtime.read(lambda store, _: inputs_of(store, ids[-1])) == list("abc")
        assert not runtime.reads.breaker.is_open
    finally:
        await redis_client.config_set("maxmemory", 0)
    assert await runtime_at(redis_server.url).write(lambda store, _: say(store, "d", chain))


async def test_a_full_redis_has_no_half_of_a_turn(redis_server, redis_client, store):
    chain = await chain_of(store, await say(store, "a"))
    before = await redis_client.dbsize()
    await redis_client.config_set("maxmemory", 1)
    try:
        await reason_of(runtime_at(redis_server.url).write(lambda store, _: say(store, "b", chain)))
    finally:
        await redis_client.config_set("maxmemory", 0)
    assert await redis_client.dbsize() == before
    (tree,) = await redis_client.keys("*:tree")
    assert await redis_client.zcard(tree) == 1


async def test_a_redis_that_takes_no_writes_still_serves_what_it_has(redis_server, redis_client, store):
    response_id = await say(store, "a")
    await redis_client.config_set("min-replicas-to-write", 1)
    try:
        runtime = runtime_at(redis_server.url)
        assert await reason_of(run(runtime, "save"))
        assert await runtime.read(lambda store, _: inputs_of(store, response_id)) == ["a"]
    finally:
        await redis_client.config_set("min-replicas-to-write", 0)


async def test_a_user_without_rights_is_told_by_its_code(redis_server, redis_client):
    await redis_client.execute_command("ACL", "SETUSER", "poor", "on", ">pw", "+ping", "~*")
    try:
        url = f"redis://poor:pw@{redis_server.host}:{redis_server.port}"
        assert await reason_of(run(runtime_at(url), "load")) == "NOPERM"
        assert await reason_of(run(runtime_at(url), "save")) == "NOPERM"
    finally:
        await redis_client.execute_command("ACL", "DELUSER", "poor")


async def ids_of_clients(client: Any) -> set[str]:
    return {each["id"] for each in await client.client_list()}


async def test_a_slow_connect_succeeds_in_the_background(fragile_server, fragile):
    """It takes longer than any request waits for it: one that is cancelled each time would never be made."""
    runtime = runtime_at(fragile_server.url, timeout_seconds=0.05)
    before = await ids_of_clients(fragile)
    fragile_server.pause()
    try:
        assert "no answer" in await reason_of(run(runtime, "ping"))
    finally:
        fragile_server.resume()
    await until(lambda: not runtime.reads._running)
    assert len(await ids_of_clients(fragile) - before) == 1  # Its connection, made meanwhile.


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The timer of an open breaker asks at once, so to speak."""
    monkeypatch.setattr(guards, "ASK_AFTER_SECONDS", 0.01)


async def errors(redis_client: Any) -> int:
    return (await redis_client.info("stats"))["total_error_replies"]


async def asked_some_times(redis_client: Any) -> None:
    """Returns once Redis has refused some questions more."""
    before = await errors(redis_client)

    async def has_refused() -> bool:
        return await errors(redis_client) >= before + 10

    await until(has_refused)


async def test_a_redis_that_is_back_is_used_again_without_a_request():
    """With the timer as it is: within three seconds."""
    with RedisServer() as server:
        runtime = runtime_at(server.url, timeout_seconds=0.5)
        await run(runtime, "ping")
        server.crash()
        await open_breakers(runtime, "load", "save")
        server.start()
        await until(partial(is_well, runtime), seconds=3)
        assert await works(runtime)


async def test_a_redis_that_goes_on_is_used_again_without_a_request(fragile_server, fragile):
    runtime = runtime_at(fragile_server.url, timeout_seconds=0.5)
    await run(runtime, "ping")
    fragile_server.pause()
    try:
        await open_breakers(runtime, "load", "save")
    finally:
        fragile_server.resume()
    await until(partial(is_well, runtime), seconds=3)
    assert await works(runtime)


@asynccontextmanager
async def configured(redis_client: Any, name: str, value: object, normal: object) -> AsyncIterator[None]:
    await redis_client.config_set(name, value)
    try:
        yield
    finally:
        await redis_client.config_set(name, normal)


@asynccontextmanager
async def replica(redis_client: Any) -> AsyncIterator[None]:
    await redis_client.replicaof("127.0.0.1", "1")
    try:
        yield
    finally:
        await redis_client.replicaof("NO", "ONE")


TAKES_NO_WRITES: dict[str, Callable[[Any], Any]] = {
    "full": lambda client: configured(client, "maxmemory", 1, 0),
    "replica": replica,
    "alone": lambda client: configured(client, "min-replicas-to-write", 1, 0),
}


@pytest.mark.parametrize("how", TAKES_NO_WRITES)
async def test_storing_waits_until_writes_are_taken_and_reading_does_not(redis_server, redis_client, store, soon, how):
    response_id = await say(store, "a")
    runtime = runtime_at(redis_server.url)
    async with TAKES_NO_WRITES[how](redis_client):
        await open_breakers(runtime, "save")
        for _ in range(FAILURES_TO_OPEN):
            runtime.reads.breaker.failed("once")
        await reason_of(run(runtime, "load"))  # Who is refused starts the timer, too.
        await until(lambda: not runtime.reads.breaker.is_open)
        await asked_some_times(redis_client)
        assert runtime.writes.breaker.is_open
        assert await runtime.read(lambda store, _: inputs_of(store, response_id)) == ["a"]
    await until(partial(is_well, runtime))
    assert await works(runtime)


NEEDED = {
    "load": ("GET", "EVALSHA", "TIME", "HEXISTS", "HSTRLEN", "ZSCORE", "HGET", "TTL"),
    "save": ("EVALSHA", "TIME", "HEXISTS", "HSET", "ZADD", "ZSCORE", "TTL", "ZCOUNT", "GET", "SET", "EXPIRE"),
}


@pytest.mark.parametrize(("operation", "right"), [(name, right) for name, all_ in NEEDED.items() for right in all_])
async def test_where_a_right_is_missing_it_stays_open_until_that_is_given(
    redis_server, redis_client, store, soon, monkeypatch, operation, right
):
    # A turn that was appended within the same second needs less.
    monkeypatch.setattr(questions, "_NAMES", 1_000_000)
    response_id = await say(store, "a")
    runtime = runtime_at(f"redis://poor:pw@{redis_server.host}:{redis_server.port}")
    guard = runtime.reads if operation == "load" else runtime.writes

    async def do() -> Any:
        if operation == "save":
            return await runtime.write(lambda store, _: say(store, "b"))
        return await runtime.read(lambda store, _: inputs_of(store, response_id))

    await redis_client.execute_command(
        "ACL", "SETUSER", "poor", "on", ">pw", "~litellm_patch:*", *rights().split(), f"-{right.lower()}"
    )
    try:
        for _ in range(FAILURES_TO_OPEN):
            await reason_of(do())
        await asked_some_times(redis_client)
        assert guard.breaker.is_open
        await redis_client.execute_command("ACL", "SETUSER", "poor", f"+{right.lower()}")
        await until(partial(is_well, runtime))
        assert await do()
    finally:
        await redis_client.execute_command("ACL", "DELUSER", "poor")
