"""An erasure on a real Redis: what it finds, counts and says. Over HTTP: tests/e2e/test_erasing.py."""

from __future__ import annotations

import json
from contextlib import nullcontext
from functools import partial
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoPermissionError

from lab.stored import turns_of
from litellm.responses.litellm_completion_transformation.redis_session_patch.api.erasing import asked_for
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.store import KEY_PREFIX, SessionStore
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.ids import (
    Place,
    new_conversation,
    new_turn,
    with_place,
    wrapped_with_place,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.owner import (
    Owner,
    digest_of,
    owner_of,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.results import Miss, NotStored
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.turns import NO_TURNS, Chain, Turn

from .support.clients import Watching
from .support.erasures import TTL_SECONDS, erase_all_of, failing_to_scan, with_a_write_after_each_scan

ALICE, BOB = (owner_of({"user_api_key_user_id": name, "user_api_key_team_id": "red"}) for name in ("alice", "bob"))


async def say(store: SessionStore, after: Chain = NO_TURNS, owner: Owner = ALICE) -> Place:
    """Stores one turn, in a conversation of its own unless it follows others in Redis."""
    conversation = after.tip.place.conversation if after.tip is not None else new_conversation()
    place = Place(conversation, new_turn())
    await store.append(place, [Turn("a", by=(owner.tag,))], after, owner)
    return place


async def say_twice(store: SessionStore) -> Place:
    chain = await store.read(await say(store), ALICE)
    assert isinstance(chain, Chain)
    return await say(store, chain)


@pytest.fixture
def store(runtime: Any) -> SessionStore:
    return runtime.store


def conversations(client: Redis) -> set[str]:
    """Those that have a turn."""
    keys = (key for key in client.keys(f"{KEY_PREFIX}*:turns") if turns_of(client, key))
    return {key.decode().split("{")[1].split("}")[0] for key in keys}


async def test_all_of_somebody_goes_and_nothing_of_others(redis_client, store):
    hers, his = await say_twice(store), await say(store, owner=BOB)
    done = await erase_all_of(redis_client)
    assert (done.dry_run, done.conversations, done.responses) == (False, 1, 2)
    assert await store.read(hers, ALICE) is Miss.DELETED
    assert isinstance(await store.read(his, BOB), Chain)
    assert conversations(redis_client) == {his.conversation}


async def test_a_conversation_goes_whole_whoever_else_took_part_in_it(redis_client, store):
    chain = await store.read(await say(store), ALICE)
    other = Owner(ALICE.user, ALICE.team, key=digest_of("k9"), claimed_end_user=digest_of("customer"))
    place = await say(store, chain, other)
    await erase_all_of(redis_client, "end_user", "customer")
    assert await store.read(place, ALICE) is Miss.DELETED
    assert conversations(redis_client) == set()


async def test_what_is_written_while_an_erasure_runs_goes_too(redis_client, store):
    await say_twice(store)
    late = [partial(say, store), partial(say, store)]
    done = await erase_all_of(with_a_write_after_each_scan(redis_client, *late))
    assert (done.conversations, done.responses) == (3, 4)
    assert conversations(redis_client) == set()


async def test_an_erasure_ends_though_somebody_goes_on_writing(redis_client, store):
    await say(store)
    late = [partial(say, store)] * 100
    done = await erase_all_of(with_a_write_after_each_scan(redis_client, *late))
    assert 1 < done.conversations < 10


async def test_what_an_erasure_could_not_find_is_not_written_anew_after_it(redis_client, store):
    """Redis lost the conversation while a request held it."""
    chain = await store.read(await say(store), ALICE)
    redis_client.flushall()
    await erase_all_of(redis_client)
    with pytest.raises(NotStored):
        await say(store, chain)
    assert conversations(redis_client) == set()


async def test_while_an_erasure_has_not_come_to_its_end_nothing_is_written_anew(redis_client, store):
    chain = await store.read(await say(store), ALICE)
    redis_client.flushall()
    with pytest.raises(RedisConnectionError):
        await erase_all_of(failing_to_scan(redis_client))
    with pytest.raises(NotStored):
        await say(store, chain)


@pytest.mark.parametrize("fails", [False, True])
async def test_an_erasure_closes_its_client(redis_client, fails):
    watching = Watching(failing_to_scan(redis_client) if fails else redis_client)
    with pytest.raises(RedisConnectionError) if fails else nullcontext():
        await erase_all_of(watching)
    assert watching.names[-1] == "close"


async def test_a_dry_run_touches_nothing_and_says_that_it_was_one(redis_client, store):
    place = await say_twice(store)
    before = {key: redis_client.dump(key) for key in redis_client.keys("*")}
    done = await erase_all_of(redis_client, dry_run=True)
    assert (done.dry_run, done.scanned, done.conversations, done.responses) == (True, 1, 1, 2)
    assert {key: redis_client.dump(key) for key in redis_client.keys("*")} == before
    assert isinstance(await store.read(place, ALICE), Chain)


@pytest.mark.parametrize("dry_run", [False, True])
async def test_a_response_s_id_is_enough_to_find_its_conversation(redis_client, store, dry_run):
    place, other = await say_twice(store), await say(store)
    named = wrapped_with_place("chatcmpl-1", place, None, "groq", "m")
    done = await erase_all_of(redis_client, "response", named, dry_run)
    assert (done.scanned, done.conversations, done.responses) == (0, 1, 2)
    left = {other.conversation, place.conversation} if dry_run else {other.conversation}
    assert conversations(redis_client) == left
    assert not redis_client.keys("*erased*"), "nobody was erased"


@pytest.mark.parametrize("response", ["chatcmpl-1", "resp_x", with_place("chatcmpl-1", Place("c0nversat-_", "1"))])
async def test_an_id_that_leads_nowhere_erases_nothing(redis_client, store, response):
    await say(store)
    before = set(redis_client.keys("*"))
    done = await erase_all_of(redis_client, "response", response)
    assert (done.conversations, done.responses) == (0, 0)
    assert set(redis_client.keys("*")) == before


async def test_the_mark_of_an_erasure_names_nobody_and_lives_as_long_as_a_conversation(redis_client):
    await erase_all_of(redis_client)
    (mark,) = redis_client.keys("*")
    assert mark.decode() == f"{KEY_PREFIX}erased:user:{ALICE.user}"
    assert redis_client.ttl(mark) > TTL_SECONDS


@pytest.mark.parametrize("place, part", enumerate(["user", "team", "key_hash", "end_user", "organization"]))
async def test_tags_are_found_by_each_of_their_parts(redis_client, place, part):
    digests = [digest_of(name) or "" for name in "utkeo"]
    tags = [
        ".".join(digests),
        ".".join(digests[: place + 1]),  # An edition that knows fewer parts, or more.
        ".".join([*digests, "later"]),
        ".".join("" if at == place else digest for at, digest in enumerate(digests)),
        ".".join([*digests[:place], digest_of("another") or "", *digests[place + 1 :]]),
        ".".join(digests[1:] + digests[:1]),
    ]
    for number, tag in enumerate(tags):
        redis_client.hset(f"{KEY_PREFIX}{{c{number}}}:turns", mapping={"by": f" ..x.. {tag}", "1": "1 1 1 1"})
        redis_client.zadd(f"{KEY_PREFIX}{{c{number}}}:tree", {"1": 0})
    assert (await erase_all_of(redis_client, part, "utkeo"[place])).conversations == 3
    assert conversations(redis_client) == {"c3", "c4", "c5"}


async def test_what_may_not_be_read_is_an_error_and_not_nobody_s(redis_client, redis_server, store):
    await say(store)
    redis_client.execute_command("ACL", "SETUSER", "blind", "on", ">x", "~*", "+@all", "-hget")
    try:
        blind = Redis(host=redis_server.host, port=redis_server.port, username="blind", password="x")
        with blind, pytest.raises(NoPermissionError):
            await erase_all_of(blind)
    finally:
        redis_client.execute_command("ACL", "DELUSER", "blind")


async def test_a_key_of_another_type_stops_no_erasure(redis_client, store):
    redis_client.set(f"{KEY_PREFIX}{{x}}:turns", "odd")
    redis_client.hset(f"{KEY_PREFIX}odd", "a", "b")
    await say(store)
    assert (await erase_all_of(redis_client)).conversations == 1


def asked(body: Any) -> tuple[dict[str, str], bool]:
    return asked_for("application/json; charset=utf-8", body if isinstance(body, bytes) else json.dumps(body).encode())


@pytest.mark.parametrize("how, dry_run", [({}, False), ({"dry_run": False}, False), ({"dry_run": True}, True)])
@pytest.mark.parametrize("part", ["user", "team", "key_hash", "end_user", "organization", "response"])
def test_what_is_asked_for_is_understood(how, dry_run, part):
    assert asked({part: " A name ", **how}) == ({part: " A name "}, dry_run)


@pytest.mark.parametrize("dry_run", ["true", "false", "", "yes", 1, 0, 1.0, None, {}, [], [True]], ids=repr)
def test_a_dry_run_that_is_no_boolean_is_refused_by_name(dry_run):
    with pytest.raises(ValueError, match=r"^dry_run: .*dry_run, true or false"):
        asked({"user": "u", "dry_run": dry_run})


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "Expected one of user"),
        ({"dry_run": True}, "Expected one of user"),
        ({"user": "u", "team": "t"}, "Expected one of user"),
        ({"user": "u", "Dry_Run": True}, "Dry_Run: "),
        ({"user": "u", "dryrun": True}, "dryrun: "),
        *(({"user": value}, "user: ") for value in ["", "  \t\n", None, 7, True, ["u"], {"id": "u"}]),
        (b'{"user": "u", "dry_run": true, "dry_run": false}', "dry_run: "),
        (b'{"user": "u", "user": "v"}', "user: "),
        *((body, "The body is no JSON object") for body in [[], [["user", "u"]], "user", 7, None, True]),
        *((body, "The body is no JSON object") for body in [b"", b"user=u", b"{", b"\xff", b"[" * 100_000]),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_request_that_means_nothing_or_two_things_is_refused(body, said):
    with pytest.raises(ValueError, match=f"^{said}"):
        asked(body)


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_a_body_that_is_not_called_json_is_refused(content_type):
    with pytest.raises(ValueError, match="application/json"):
        asked_for(content_type, b'{"user": "u", "dry_run": true}')
