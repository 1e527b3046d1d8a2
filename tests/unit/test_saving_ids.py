"""The id of a reply: one that belongs to a stored response never goes out again."""

from __future__ import annotations

import pytest

import litellm
from litellm.responses.litellm_completion_transformation.redis_session_patch.owner import NOBODY
from litellm.responses.litellm_completion_transformation.redis_session_patch.saving import store_answer

from .support.bridge import answer_of, counted, request_of, runtime_on
from .support.clients import RoundTrips, no_redis
from .support.stores import SESSION, inputs_of, load, say


@pytest.fixture(autouse=True)
def message_logging_is_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(litellm, "turn_off_message_logging", False)


NOT_STORED = {
    "store false": ({"params": {"store": False}}, {}),
    "unlogged": ({"call": {"turn_off_message_logging": True}}, {}),
    "of nobody": ({"owner": NOBODY}, {}),
    "history unknown": ({"history_unknown": True}, {}),
    "too large": ({"text": "long" * 100}, {"max_turn_bytes": 100}),
}
every_reason = pytest.mark.parametrize("fields, settings", NOT_STORED.values(), ids=list(NOT_STORED))


@every_reason
@pytest.mark.parametrize("database", ["with_database", "without_database"])
async def test_what_is_not_stored_never_gets_the_id_of_a_stored_response(
    redis_client, store, request, database, fields, settings
):
    request.getfixturevalue(database)
    await say(store, "mine", as_id="x")
    given = await store_answer(runtime_on(redis_client, **settings), request_of(**fields), "x", answer_of())
    assert given != "x" and (await load(store, given)).value == "unknown"
    assert await inputs_of(store, "x") == ["mine"]


@every_reason
async def test_a_database_gets_the_provider_s_own_id_where_nobody_has_it(redis_client, with_database, fields, settings):
    """Its rows are found by it."""
    trips = RoundTrips(redis_client)
    assert await store_answer(runtime_on(trips, **settings), request_of(**fields), "x", answer_of()) == "x"
    assert trips.names == ["exists"] and await redis_client.keys("*") == []


@every_reason
async def test_without_a_database_what_is_not_stored_gets_an_id_of_its_own_without_asking(
    redis_client, without_database, fields, settings
):
    trips = RoundTrips(redis_client)
    given = await store_answer(runtime_on(trips, **settings), request_of(**fields), "x", answer_of())
    assert given.startswith("x-") and trips.names == []


async def test_a_full_redis_does_not_hand_out_the_id_of_a_stored_response(
    redis_client, store, with_database, log_lines
):
    """The second client's turn is not stored; with the first one's id it would read the first one's."""
    await say(store, "mine", as_id="x")
    await redis_client.config_set("maxmemory", 1)
    try:
        runtime = runtime_on(redis_client)
        given = await store_answer(runtime, request_of("b"), "x", answer_of())
        free = await store_answer(runtime, request_of("b"), "y", answer_of())
    finally:
        await redis_client.config_set("maxmemory", 0)
    assert given != "x" and free == "y" and counted(runtime) == {"turns failed": 2}
    assert await inputs_of(store, "x") == ["mine"]


@pytest.mark.parametrize("fields", [{}, {"params": {"store": False}}])
async def test_while_redis_cannot_be_asked_a_database_keeps_the_provider_s_own_id(with_database, fields):
    async with no_redis() as client:
        assert await store_answer(runtime_on(client), request_of(**fields), "x", answer_of()) == "x"


@pytest.mark.parametrize("fields", [{}, {"params": {"store": False}}])
async def test_while_redis_cannot_be_asked_without_a_database_an_id_is_of_its_own(without_database, fields):
    async with no_redis() as client:
        runtime = runtime_on(client)
        ids = {await store_answer(runtime, request_of(**fields), "x", answer_of()) for _ in range(5)}
    assert len(ids) == 5 and "x" not in ids


@pytest.mark.parametrize("database", ["with_database", "without_database"])
@pytest.mark.parametrize("fields", [{}, {"params": {"store": False}}])
async def test_an_id_that_is_out_stays_whatever_happens(request, database, fields):
    request.getfixturevalue(database)
    async with no_redis() as client:
        given = await store_answer(runtime_on(client), request_of(**fields), "x", answer_of(), id_is_out=True)
    assert given == "x"


async def test_a_key_of_another_type_is_a_skipped_turn_with_an_id_of_its_own(
    redis_client, runtime, without_database, log_lines
):
    await redis_client.rpush(SESSION + "x", "a private text")
    assert await store_answer(runtime, request_of(), "x", answer_of()) != "x"
    assert counted(runtime) == {"turns skipped": 1} and not runtime.writes.breaker.is_open
