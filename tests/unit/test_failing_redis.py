"""A real Redis that fails: always StoreUnavailable, never a hang, never a wrong answer, nothing secret in the text."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from lab.redis_server import RedisServer
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


async def is_well(runtime: Runtime) -> bool:
    """After a probe has found Redis well again."""
    if runtime.reads.breaker.is_open:
        with pytest.raises(StoreUnavailable):
            await run(runtime, "ping")
    return not runtime.reads.breaker.is_open


async def works(runtime: Runtime) -> bool:
    """Reading and storing, at the latest after a probe."""
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
        await until(lambda runtime=runtime: is_well(runtime))
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
