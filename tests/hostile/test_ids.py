"""Response ids that somebody made up: to their sender there is nothing behind them, and to nobody else a trouble."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from redis import Redis

from lab.asking import Asker, asking
from lab.provider import Provider
from lab.proxy import Proxy
from lab.redis_server import RedisServer
from lab.stored import PREFIX, TURNS, id_at, lives_key
from lab.trial import our_lines
from tests.e2e.checks import unknown_id

pytestmark = pytest.mark.xdist_group("hostile")


def wrapped(inner: str, head: str = "litellm:custom_llm_provider:deepseek;model_id:m") -> str:
    return "resp_" + base64.b64encode(f"{head};response_id:{inner}".encode()).decode()


def nested(times: int) -> str:
    inner = "chatcmpl-1;turn:c0nversat-_AAAAAAAB"
    for _ in range(times):
        inner = wrapped(inner)
    return inner


ODD_IDS = {
    "blank": " ",
    "no base64": "resp_%%%",
    "half a wrapper": wrapped("chatcmpl-1")[:-5],
    "a place alone": ";turn:c0nversat-_AAAAAAAB",
    "a place that is not there": wrapped("chatcmpl-1;turn:c0nversat-_AAAAAAAB"),
    "a place without a wrapper": "chatcmpl-1;turn:c0nversat-_AAAAAAAB",
    "a place without a turn": wrapped("chatcmpl-1;turn:c0nversat-_"),
    "turn 0": wrapped("chatcmpl-1;turn:c0nversat-_AAAAAAAA"),
    "half a turn": wrapped("chatcmpl-1;turn:c0nversat-_-1"),
    "a field of the hash": wrapped("chatcmpl-1;turn:c0nversat-_about"),
    "two places": wrapped("chatcmpl-1;turn:c0nversat-_AAAAAAAB;turn:c0nversat-_AAAAAAAC"),
    "another slot": wrapped("chatcmpl-1;turn:}:turns{x}_AAAAAAAB"),
    "NUL and line feed": wrapped("chatcmpl-1\x00\n;turn:c0nversat-_AAAAAAAB\n"),
    "what an erasure marks": wrapped("chatcmpl-1;turn:erased:userAAAAAAAB"),
    "a probe's": wrapped("chatcmpl-1;turn:probe-1AAAAAAAB"),
    "a pattern": wrapped("chatcmpl-1;turn:***********AAAAAAAB"),
    "the proxy's encryption, made up": "resp_" + base64.b64encode(b"x" * 200).decode(),
    "thirty wrappers": nested(30),
    "a megabyte": wrapped("x" * 700_000),
}

# Upstream takes the third part, asks for no history, and the fork cannot tell why.
EMPTY_IDS = {
    "a wrapper of nothing": wrapped(""),
    "a wrapper with a part more": wrapped(
        "chatcmpl-1;turn:c0nversat-_AAAAAAAB", "litellm:custom_llm_provider:\x00;model_id:;"
    ),
}


@pytest.fixture
def asker(proxy: Proxy, provider: Provider) -> Iterator[Asker]:
    """Afterwards nothing was a defect."""
    logged = len(our_lines(proxy))
    with asking(proxy, provider) as asker:
        yield asker
    assert [line for line in our_lines(proxy)[logged:] if "fails at" in line or "defect" in line] == []


@pytest.mark.parametrize("name", ODD_IDS)
def test_a_made_up_id_is_no_history_and_a_conversation_begins(name: str, asker: Asker, victim: RedisServer) -> None:
    with Redis.from_url(victim.url) as redis:
        redis.flushall()
        first = asker.ask("hello", ODD_IDS[name])
        assert (first.status, first.said) == (200, ["hello"]), first.reply.body
        assert asker.ask("And?", first).said == ["hello", first.reply.text, "And?"]
        assert len(list(redis.scan_iter(TURNS))) == 1
        assert all(key.startswith(PREFIX.encode()) for key in redis.scan_iter("*"))


@pytest.mark.parametrize("name", EMPTY_IDS)
def test_an_id_in_which_litellm_sees_none_is_answered_and_begins_nothing(
    name: str, asker: Asker, victim: RedisServer
) -> None:
    with Redis.from_url(victim.url) as redis:
        redis.flushall()
        first = asker.ask("hello", EMPTY_IDS[name])
        assert (first.status, first.said) == (200, ["hello"]), first.reply.body
        assert list(redis.scan_iter("*")) == []
        assert asker.ask("And?", first).said == ["And?"]


@pytest.mark.parametrize("method, last", [("GET", ""), ("GET", "/input_items"), ("DELETE", ""), ("POST", "/cancel")])
def test_of_a_made_up_id_there_is_no_response(method: str, last: str, asker: Asker) -> None:
    """It gets what an id gets that leads nowhere."""

    def answer_to(response_id: str) -> tuple[int, str]:
        path = f"/v1/responses/{quote(response_id, safe='')}{last}"
        reply = asker.client.http.request(method, path, headers={"authorization": f"Bearer {asker.client.key}"})
        return reply.status_code, reply.text.replace(response_id, "ID")

    unknown = answer_to(unknown_id())
    assert unknown[0] in (400, 404)
    for name in ("a place that is not there", "a place without a wrapper", "another slot", "a field of the hash"):
        assert answer_to(ODD_IDS[name]) == unknown, name


def test_another_provider_s_id_before_a_place_leads_to_the_same_response(asker: Asker, victim: RedisServer) -> None:
    """The place alone says which; whose it is says Redis."""
    with Redis.from_url(victim.url) as redis:
        redis.flushall()
        first = asker.ask("hello")
        (key,) = redis.scan_iter(TURNS)
        conversation = key.decode().partition("{")[2].partition("}")[0]
        (turn,) = redis.zrange(lives_key(key), 0, -1)
    forged = wrapped(id_at(conversation, int(turn), "chatcmpl-forged"))
    assert asker.ask("And?", forged).said == ["hello", first.reply.text, "And?"]
