"""A Redis that fails: always StoreUnavailable, never a hang, never a wrong answer, and nothing secret in the text."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from lab.redis_server import RedisServer
from litellm.responses.litellm_completion_transformation.redis_session_patch.store import Reservation, StoreUnavailable

from .support.clients import Interposed
from .support.stores import SESSION, TURNS, chain_of, inputs_of, load, say, store_on, talk

PASSWORD = "s3cret-password"
OPERATIONS = {
    "ping": lambda store: store.ping(),
    "load": lambda store: load(store, "x"),
    "save": lambda store: say(store, "a private text"),
    "reserve": lambda store: store.reserve("x"),
    "release": lambda store: store.release(Reservation("x", b"Rtoken")),
}
every_operation = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=list(OPERATIONS))


async def reason_of(operation: Any) -> str:
    with pytest.raises(StoreUnavailable) as caught:
        await operation
    text = str(caught.value)
    assert text and "\n" not in text and "private" not in text and "s3cret" not in text and "litellm_patch" not in text
    return text


@pytest.fixture(scope="module")
def fragile_server() -> Iterator[RedisServer]:
    with RedisServer(password=PASSWORD) as server:
        yield server


@pytest_asyncio.fixture
async def fragile_client(fragile_server: RedisServer) -> AsyncIterator[Any]:
    client = Redis.from_url(fragile_server.url)
    await client.flushall()
    yield client
    await client.aclose()


@every_operation
async def test_a_paused_redis_is_unavailable(fragile_server, fragile_client, operation):
    await fragile_client.ping()
    fragile_server.pause()
    try:
        assert "0.05 s" in await reason_of(operation(store_on(fragile_client, timeout_seconds=0.05)))
    finally:
        fragile_server.resume()


@every_operation
async def test_a_redis_that_was_paused_before_the_first_connection_is_unavailable(fragile_server, operation):
    fragile_server.pause()
    try:
        async with Redis.from_url(fragile_server.url) as client:
            await reason_of(operation(store_on(client, timeout_seconds=0.05)))
    finally:
        fragile_server.resume()


async def test_after_a_pause_every_answer_belongs_to_its_question(fragile_server, fragile_client):
    store = store_on(fragile_client)
    ids = [await say(store, f"text {number}") for number in range(5)]
    fragile_server.pause()
    try:
        hurried = store_on(fragile_client, timeout_seconds=0.05)
        given_up = await asyncio.gather(*(load(hurried, each) for each in ids), return_exceptions=True)
        assert all(isinstance(each, StoreUnavailable) for each in given_up)
    finally:
        fragile_server.resume()
    for _ in range(3):
        assert [await inputs_of(store, each) for each in ids] == [[f"text {number}"] for number in range(5)]


@every_operation
async def test_a_stopped_redis_is_unavailable_and_works_again_when_it_is_back(operation):
    with RedisServer() as server:
        async with Redis.from_url(server.url) as client:
            store = store_on(client)
            await store.ping()
            server.crash()
            await reason_of(operation(store_on(client, timeout_seconds=0.5)))
            server.start()
            assert await inputs_of(store, await say(store, "again")) == ["again"]


@every_operation
@pytest.mark.parametrize("password", ["wrong-" + PASSWORD, None])
async def test_a_refused_password_is_unavailable_and_not_shown(fragile_server, operation, password):
    async with Redis(host=fragile_server.host, port=fragile_server.port, password=password) as client:
        await reason_of(operation(store_on(client, timeout_seconds=0.5)))


async def test_a_full_redis_refuses_turns_and_still_serves_what_it_has(redis_client):
    store = store_on(redis_client)
    parent = await chain_of(store, await say(store, "a"))
    await redis_client.config_set("maxmemory", 1)
    try:
        for after in (None, parent):
            assert "OutOfMemory" in (reason := await reason_of(say(store, "a private text", after))) or "OOM" in reason
        await reason_of(store.reserve("x"))
        assert await inputs_of(store, (await redis_client.keys(SESSION + "*"))[0].decode().removeprefix(SESSION)) == [
            "a"
        ]
    finally:
        await redis_client.config_set("maxmemory", 0)


async def test_keys_of_another_type_are_unavailable_and_left_alone(redis_client):
    store = store_on(redis_client)
    parent = await chain_of(store, (await talk(store, "ab"))[-1])
    turns = TURNS + parent.record.conversation
    await redis_client.set(turns, "a private text")
    await redis_client.rpush(SESSION + "x", "a private text")
    await reason_of(load(store, "x"))
    await reason_of(say(store, "a private text", parent))
    assert await redis_client.get(turns) == b"a private text"


async def test_a_read_only_redis_is_unavailable(redis_client):
    store = store_on(redis_client)
    await redis_client.config_set("min-replicas-to-write", 1)
    try:
        await reason_of(say(store, "a private text"))
    finally:
        await redis_client.config_set("min-replicas-to-write", 0)


@pytest.mark.parametrize(
    "error",
    [
        ResponseError("WRONGTYPE a private text"),
        ResponseError("a private text\nlitellm_patch:session:x"),
        ResponseError("Command # 1 (RPUSH litellm_patch:turns:1 a private text) of pipeline caused error: OOM"),
        RedisError(),
        ConnectionResetError("a private text"),
        OSError(),
        TimeoutError(),
    ],
    ids=repr,
)
async def test_any_error_of_redis_or_the_network_is_unavailable_and_says_nothing_private(redis_client, error):
    async def fail(command: str) -> None:
        raise error

    for operation in (load, say):
        await reason_of(operation(store_on(Interposed(redis_client, fail)), "x"))


async def test_an_error_of_our_own_is_not_taken_for_redis(redis_client):
    async def fail(command: str) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await load(store_on(Interposed(redis_client, fail)), "x")
