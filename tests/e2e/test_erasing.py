"""An administrator erases what is stored of somebody: all of it, at once, and nothing of others'."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from redis import Redis

from lab.asking import Asker, asking
from lab.custom_auth import bearer
from lab.processes import wait_until
from lab.provider import Provider
from lab.proxy import Proxy
from lab.recording import Recorded
from lab.redis_server import GivenRedis, RedisServer
from lab.stored import TURNS, turns_of
from lab.trees import ROOT

from .checks import check_remembers, marker, outcome, redis_holds
from .sizes import IDENTITIES

pytestmark = IDENTITIES

FREED_SECONDS = 10


@pytest.fixture
def asker(identity_proxy: Proxy, provider: Provider) -> Iterator[Asker]:
    with asking(identity_proxy, provider) as asker:
        yield asker


def erase(asker: Asker, **wanted: Any) -> dict[str, Any]:
    """The last line of the answer, as the administrator that the proxy's own key is."""
    reply = posted(asker, asker.client.key, wanted)
    assert reply.status_code == 200, reply.text
    lines = [json.loads(line) for line in reply.text.splitlines()]
    assert {line["dry_run"] for line in lines} == {wanted.get("dry_run", False)}
    return lines[-1]


def erase_by_the_tool(asker: Asker, url: str, **wanted: Any) -> dict[str, Any]:
    """On the same Redis; the proxy is not asked."""
    ((part, value),) = wanted.items()
    command = [sys.executable, "-m", "patches", "erase", "--json", "--url", url, f"--{part.replace('_', '-')}", value]
    environment = {"PATH": os.environ["PATH"], "LITELLM_MASTER_KEY": asker.client.key}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False, env=environment)
    told = json.loads(done.stdout)
    assert (done.returncode, told["error"]) == (0, None), done.stdout + done.stderr
    assert value not in done.stdout + done.stderr
    (audit,) = [line for line in done.stderr.splitlines() if "asked for by" in line]
    assert audit.endswith(f"erased 1 conversations with 1 responses, asked for by {part}.")
    return told


def posted(asker: Asker, key: str, wanted: dict[str, Any]) -> httpx.Response:
    return asker.client.http.post("/session_store/erase", json=wanted, headers={"authorization": f"Bearer {key}"})


def took_part(redis: Redis, name: str) -> bool:
    """Whether a conversation says that somebody of this name took part in it."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(name.encode()).digest()[:8]).rstrip(b"=")
    return any(digest in (redis.hget(key, "by") or b"") for key in redis.scan_iter(TURNS))


def test_all_of_a_user_is_gone_and_nothing_of_another(asker: Asker, redis: Redis) -> None:
    name, secret, other_secret = marker(), marker(), marker()
    hers, his = asker.as_key(bearer(key="k1", user=name)), asker.as_key(bearer(key="k2", user="somebody else"))
    first = hers.ask(secret)
    last = check_remembers(hers, first, [secret])
    kept = his.ask(other_secret)
    asked_dry = erase(asker, user=name, dry_run=True)
    assert (asked_dry["conversations"], asked_dry["responses"], asked_dry["done"]) == (1, 2, True)
    assert redis_holds(redis, secret) and took_part(redis, name)
    erased = erase(asker, user=name)
    assert (erased["conversations"], erased["responses"], erased["done"]) == (1, 2, True)
    assert not redis_holds(redis, secret) and not took_part(redis, name)
    assert outcome(hers, last.id)[:2] == (400, None)
    check_remembers(his, kept, [other_secret])


def test_a_conversation_of_many_branches_is_freed_beside_what_redis_serves(asker: Asker, redis: Redis) -> None:
    """Freed by the thread that serves, 20,000 turns would hold up everybody."""
    name, before = marker(), set(redis.scan_iter(TURNS))
    asker.as_key(bearer(key="k1", user=name)).ask("hello")
    (turns,) = set(redis.scan_iter(TURNS)) - before
    tree = turns.removesuffix(b"turns") + b"tree"
    with redis.pipeline() as pipeline:
        for number in range(1_000, 21_000):
            pipeline.hset(turns, str(number), b"1 1 1 1 \nP")
            pipeline.zadd(tree, {str(number): 0})
        pipeline.execute()
    freed = redis.info("memory")["lazyfreed_objects"]
    assert erase(asker, user=name)["conversations"] == 1
    wait_until(lambda: redis.info("memory")["lazyfreed_objects"] >= freed + 2, FREED_SECONDS, "what Redis frees beside")
    assert redis.hlen(turns) <= 2 and not redis.exists(tree)


@pytest.mark.parametrize("part", ["team", "key_hash", "end_user", "organization", "response", "user"])
@pytest.mark.parametrize("by", ["route", "tool"])
def test_every_way_to_name_what_is_to_go(
    asker: Asker, redis: Redis, redis_server: RedisServer | GivenRedis, part: str, by: str
) -> None:
    name, secret = marker(), marker()
    who = bearer(**({"key": name} if part == "key_hash" else {"key": "k1", part: name} if part != "response" else {}))
    first = asker.as_key(who).ask(secret)
    assert redis_holds(redis, secret)
    value = {"response": first.id, "key_hash": hashlib.sha256(f"sk-{name}".encode()).hexdigest()}.get(part, name)
    done = (
        erase(asker, **{part: value}) if by == "route" else erase_by_the_tool(asker, redis_server.url, **{part: value})
    )
    assert (done["conversations"], done["responses"]) == (1, 1)
    assert not redis_holds(redis, secret)


def test_what_is_left_of_a_deleted_response_goes_with_its_conversation(asker: Asker, redis: Redis) -> None:
    name, later = marker(), marker()
    hers = asker.as_key(bearer(key="k1", user=name))
    first = hers.ask("hello")
    hers.ask(later, first)
    address = f"/v1/responses/{first.id}"
    headers = {"authorization": f"Bearer {hers.key}"}
    assert asker.client.http.delete(address, headers=headers).json()["deleted"] is True
    done = erase(asker, user=name)
    assert (done["conversations"], done["responses"]) == (1, 1)
    assert not redis_holds(redis, later)


def test_nobody_but_an_administrator_erases(asker: Asker) -> None:
    assert posted(asker, bearer(key="k1", user="u"), {"user": "u"}).status_code == 403


@pytest.mark.parametrize("asked", [{}, {"user": " "}, {"user": 1}, {"user": "a", "team": "b"}, {"everything": "yes"}])
def test_a_request_that_names_nothing_or_two_things_is_refused(asker: Asker, asked: dict[str, Any]) -> None:
    reply = posted(asker, asker.client.key, asked)
    assert reply.status_code == 400 and "Expected one of user" in reply.text


@pytest.mark.parametrize("dry_run", ["true", "yes", 1, 0, None, {}], ids=repr)
def test_a_dry_run_that_is_no_boolean_is_refused_and_erases_nothing(asker: Asker, redis: Redis, dry_run: Any) -> None:
    name, secret = marker(), marker()
    asker.as_key(bearer(user=name)).ask(secret)
    reply = posted(asker, asker.client.key, {"user": name, "dry_run": dry_run})
    assert (reply.status_code, redis_holds(redis, secret)) == (400, True)
    assert "dry_run: " in reply.text and "true or false" in reply.text


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", '{"user": "NAME", "dry_run": true, "dry_run": false}'),
        ("application/json", '["user", "NAME"]'),
        ("application/json", "null"),
        ("application/json", ""),
        ("application/json", "user=NAME"),
        ("application/x-www-form-urlencoded", "user=NAME&dry_run=true"),
        ("application/x-www-form-urlencoded", '{"user": "NAME"}'),
        ("text/plain", '{"user": "NAME"}'),
    ],
)
def test_a_body_that_is_no_object_or_says_a_thing_twice_is_refused_and_erases_nothing(
    asker: Asker, redis: Redis, content_type: str, body: str
) -> None:
    name, secret = marker(), marker()
    asker.as_key(bearer(user=name)).ask(secret)
    headers = {"authorization": f"Bearer {asker.client.key}", "content-type": content_type}
    reply = asker.client.http.post("/session_store/erase", content=body.replace("NAME", name), headers=headers)
    assert (reply.status_code, redis_holds(redis, secret)) == (400, True), reply.text


def meanwhile(provider: Provider, *happen: Callable[[], Any]) -> None:
    """While the model answers the next request."""
    left = list(happen)

    def respond(_: Recorded) -> None:
        while left:
            left.pop(0)()

    provider.responder = respond


def lose(redis: Redis, secret: str) -> None:
    """The conversation, as by an eviction."""
    for key in list(redis.scan_iter(TURNS)):
        if any(secret.encode() in text for text in turns_of(redis, key).values()):
            redis.delete(*(key.removesuffix(b"turns") + name for name in (b"turns", b"tree", b"lives")))


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("part", ["end_user", "key_hash"])
def test_a_conversation_that_redis_lost_is_erased_for_whoever_took_part(
    asker: Asker, provider: Provider, redis: Redis, part: str, stream: bool
) -> None:
    """It is stored anew by another one of the team, with all that was said."""
    name, key, secret = marker(), marker(), marker()
    of_both = {"user": f"both {name}", "team": "red"}
    hers = asker.with_manner(stream=stream).as_key(bearer(key=key, end_user=name, **of_both))
    his = hers.as_key(bearer(key="k2", end_user="somebody else", **of_both))
    first = hers.ask(secret)
    meanwhile(provider, lambda: lose(redis, secret))
    second = his.ask("And?", first)
    assert second.said[0] == secret and redis_holds(redis, secret)
    check_remembers(his, second, [*second.said])
    value = {"end_user": name, "key_hash": hashlib.sha256(f"sk-{key}".encode()).hexdigest()}[part]
    assert erase(asker, **{part: value})["conversations"] == 1
    assert not redis_holds(redis, secret)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_a_conversation_that_redis_lost_does_not_come_back_after_its_erasure(
    asker: Asker, provider: Provider, redis: Redis, stream: bool
) -> None:
    name, secret = marker(), marker()
    of_both = {"user": f"both {name}", "team": "red"}
    hers = asker.with_manner(stream=stream).as_key(bearer(key="k1", end_user=name, **of_both))
    his = hers.as_key(bearer(key="k2", end_user="somebody else", **of_both))
    first = hers.ask(secret)
    meanwhile(provider, lambda: lose(redis, secret), lambda: erase(asker, end_user=name))
    second = his.ask("And?", first)
    assert (second.status, second.said[0]) == (200, secret)
    assert not redis_holds(redis, secret)
    assert outcome(his, second.id)[:2] == (400, None)
    his_new = his.ask("Something new.")
    check_remembers(his, his_new, ["Something new."])
