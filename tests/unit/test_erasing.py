"""An erasure on a real Redis: what it finds, counts and says. Over HTTP: tests/e2e/test_erasing.py."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError

from litellm.responses.litellm_completion_transformation.redis_session_patch.erasing import asked_for
from litellm.responses.litellm_completion_transformation.redis_session_patch.owner import digest_of
from litellm.responses.litellm_completion_transformation.redis_session_patch.results import Miss

from .support.erasures import erase_all_of, with_a_write_after_each_scan
from .support.inside import responses
from .support.stores import ALICE, BOB, PREFIX, TTL_SECONDS, load, say, talk


async def test_what_is_written_while_an_erasure_runs_goes_too(redis_client, store):
    await talk(store, "ab")
    late = [partial(say, store, text, as_id=text) for text in "cd"]
    done = await erase_all_of(with_a_write_after_each_scan(redis_client, *late))
    assert (done.conversations, done.responses) == (3, 4)
    assert await responses(redis_client) == set()


async def test_an_erasure_ends_though_somebody_goes_on_writing(redis_client, store):
    await say(store, "a")
    late = [partial(say, store, "late")] * 100
    done = await erase_all_of(with_a_write_after_each_scan(redis_client, *late))
    assert 1 < done.conversations < 10


async def test_a_dry_run_touches_nothing_and_says_that_it_was_one(redis_client, store):
    ids = await talk(store, "ab")
    before = await redis_client.keys("*")
    done = await erase_all_of(redis_client, dry_run=True)
    assert (done.dry_run, done.conversations, done.responses) == (True, 1, 2)
    assert sorted(await redis_client.keys("*")) == sorted(before)
    done = await erase_all_of(redis_client)
    assert (done.dry_run, done.conversations, done.responses) == (False, 1, 2)
    assert await load(store, ids[-1]) is Miss.UNKNOWN


async def test_the_mark_of_an_erasure_names_nobody_and_lives_as_long_as_a_conversation(redis_client):
    await erase_all_of(redis_client)
    (mark,) = await redis_client.keys("*")
    assert mark.decode() == f"{PREFIX}erased:user:{ALICE.user}"
    assert await redis_client.ttl(mark) > TTL_SECONDS


@pytest.mark.parametrize("place, part", enumerate(["user", "team", "key_hash", "end_user", "organization"]))
async def test_tags_of_every_edition_are_found_by_each_of_their_parts(redis_client, store, place, part):
    """Those of before had no organization."""
    await say(store, "his", owner=BOB)
    names = ["u", "t", "k", "e", "o"]
    tags = [".".join(digest_of(name) or "" for name in names[:length]) for length in (4, 5)]
    tags += [".".join("" if at == place else digest_of("another") or "" for at in range(5))]
    for number, tag in enumerate(tags):
        await redis_client.hset(f"{PREFIX}{{c{number}}}:turns", mapping={f"o{tag}": "", "1": "P"})
    done = await erase_all_of(redis_client, part, names[place])
    assert done.conversations == (1 if part == "organization" else 2)
    assert len(await responses(redis_client)) == 1


async def test_what_may_not_be_read_is_an_error_and_not_nobody_s(redis_client, redis_server, store):
    await say(store, "a")
    await redis_client.execute_command("ACL", "SETUSER", "blind", "on", ">x", "~*", "+@all", "-hkeys")
    try:
        async with Redis(host=redis_server.host, port=redis_server.port, username="blind", password="x") as blind:
            with pytest.raises(NoPermissionError):
                await erase_all_of(blind)
    finally:
        await redis_client.execute_command("ACL", "DELUSER", "blind")


async def test_a_key_of_another_type_stops_no_erasure(redis_client, store):
    await redis_client.set(f"{PREFIX}{{x}}:turns", "odd")
    await redis_client.hset(f"{PREFIX}session:odd", "a", "b")
    await say(store, "a")
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
