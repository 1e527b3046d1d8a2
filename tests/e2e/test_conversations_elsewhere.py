"""Conversation objects of several owners, several at once, over proxies that die and a Redis that is away."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import httpx
import openai
import pytest
from redis import Redis

from lab.answers import Answer
from lab.custom_auth import bearer
from lab.exchange import texts_of
from lab.lines import Manner
from lab.monitor import monitored
from lab.processes import wait_until
from lab.provider import Provider
from lab.proxy import Proxy, ProxyOptions
from lab.redis_server import RedisServer

from .checks import marker, redis_holds
from .conftest import NEW_KEY, with_environment
from .raw import openai_client
from .test_conversations import CHAT, MISSING, error_of, items_in, made, message, said_in
from .test_stored_responses import create, refused, texts_in

ALICE, BOB = bearer(key="k1", user="alice"), bearer(key="k2", user="bob")
LOCKED = error_of(
    400,
    "Another process is currently operating on this conversation. Please retry in a few seconds.",
    "conversation",
    "conversation_locked",
)
HOLD_SECONDS = 30
AT_ONCE = 50


@pytest.fixture(scope="module")
def own_redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def own_options(identity_options: ProxyOptions, own_redis: RedisServer) -> ProxyOptions:
    return with_environment(
        identity_options,
        REDIS_SESSION_PATCH_URL=own_redis.url,
        REDIS_SESSION_PATCH_ENCRYPTION_KEY=NEW_KEY,
        REDIS_SESSION_PATCH_MAX_TURN_BYTES="100000",
    )


@pytest.fixture(scope="module")
def own_proxy(own_options: ProxyOptions) -> Iterator[Proxy]:
    """On a Redis of its own, which tests stop; values are encrypted, turns of 100 kB are too large."""
    with Proxy(own_options) as proxy:
        yield proxy


@pytest.fixture
def sdk(own_proxy: Proxy, provider: Provider) -> Iterator[openai.OpenAI]:
    with openai_client(own_proxy, ALICE) as client:
        yield client


def test_nobody_else_can_do_anything_with_it(own_proxy: Proxy, sdk: openai.OpenAI, provider: Provider) -> None:
    secret = marker()
    conversation = made(sdk, secret)
    (item,) = items_in(sdk, conversation)
    missing = error_of(404, f"Conversation with id '{conversation}' not found.")
    with openai_client(own_proxy, BOB) as other:
        his = other.conversations
        for act in (
            lambda: his.retrieve(conversation),
            lambda: his.update(conversation, metadata={"a": "b"}),
            lambda: his.delete(conversation),
            lambda: his.items.list(conversation),
            lambda: his.items.create(conversation, items=[message("x")]),
            lambda: his.items.retrieve(item["id"], conversation_id=conversation),
            lambda: his.items.delete(item["id"], conversation_id=conversation),
            lambda: create(other, CHAT, input="What did I say?", conversation=conversation),
        ):
            assert refused(act) == missing
        named: Any = {"type": "item_reference", "id": item["id"]}
        assert refused(lambda: his.items.create(made(other), items=[named]))[0] == 404
        assert refused(lambda: create(other, CHAT, input=[named]))[0] == 404
    assert not provider.requests()
    assert said_in(sdk, conversation) == [secret]


def test_whom_the_proxy_does_not_know_has_none(own_proxy: Proxy, sdk: openai.OpenAI) -> None:
    conversation = made(sdk, "one")
    with openai_client(own_proxy, bearer(key=None)) as nobody:
        assert refused(lambda: made(nobody, "one"))[0] == 403
        assert refused(lambda: nobody.conversations.retrieve(conversation))[0] == 404
        assert refused(lambda: create(nobody, CHAT, input="x", conversation=conversation))[0] in (403, 404)


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer sk-of-nobody"}], ids=["no key", "a wrong key"])
def test_whom_the_responses_routes_refuse_these_refuse_alike(headers: dict[str, str], proxy: Proxy) -> None:
    for method, path, beside in (
        ("POST", "/conversations", "/responses"),
        ("GET", f"/conversations/{MISSING}", f"/responses/{MISSING}"),
        ("GET", f"/conversations/{MISSING}/items", f"/responses/{MISSING}/input_items"),
    ):
        ours, theirs = (httpx.request(method, f"{proxy.url}/v1{each}", headers=headers) for each in (path, beside))
        assert (ours.status_code, ours.text) == (theirs.status_code, theirs.text) and ours.status_code >= 400


def test_where_messages_are_not_to_be_logged_no_items_are_kept(own_proxy: Proxy, sdk: openai.OpenAI) -> None:
    settings = {"logging": [{"callback_name": "langfuse", "callback_vars": {"turn_off_message_logging": "true"}}]}
    with openai_client(own_proxy, bearer(key="k3", user="alice", metadata=settings)) as unlogged:
        status, body = refused(lambda: made(unlogged, "one"))
        assert status == 400 and "logging is off" in body["error"]["message"]
        conversation = made(sdk)
        status, body = refused(lambda: unlogged.conversations.items.create(conversation, items=[message("one")]))
        assert status == 400 and said_in(sdk, conversation) == []


def test_everything_of_it_is_encrypted_and_erased(
    own_proxy: Proxy, sdk: openai.OpenAI, provider: Provider, own_redis: RedisServer
) -> None:
    secret, topic = marker(), marker()
    conversation = made(sdk, secret, metadata={"topic": topic})
    create(sdk, CHAT, input="hello", conversation=conversation)
    with Redis.from_url(own_redis.url) as redis:
        assert not redis_holds(redis, secret) and not redis_holds(redis, topic)
        keys = list(redis.scan_iter(f"*{conversation.removeprefix('conv_')}*"))
        assert len(keys) == 3 and not any(secret.encode() in (redis.dump(key) or b"") for key in keys)
    answer = httpx.post(
        f"{own_proxy.url}/session_store/erase",
        json={"user": "alice"},
        headers={"authorization": f"Bearer {own_proxy.key}"},
        timeout=60,
    )
    assert json.loads(answer.text.splitlines()[-1])["done"] is True
    assert refused(lambda: sdk.conversations.retrieve(conversation))[0] == 404
    assert refused(lambda: sdk.conversations.items.create(conversation, items=[message("x")]))[0] == 404
    assert said_in(sdk, made(sdk, "anew")) == ["anew"]


def test_a_turn_over_a_limit_is_answered_but_not_said_to_be_in_it(
    own_proxy: Proxy, sdk: openai.OpenAI, provider: Provider
) -> None:
    conversation, large = made(sdk, "one"), "x" * 200_000
    for stream in (False, True):
        provider.script(Answer("y"))
        response = create(sdk, Manner("chat-model", stream), input=large, conversation=conversation)
        assert (response.output_text, response.conversation) == ("y", None)
    status, body = refused(lambda: sdk.conversations.items.create(conversation, items=[message(large)]))
    assert (status, body["error"]["code"]) == (400, "conversation_not_stored")
    assert said_in(sdk, conversation) == ["one"]
    assert create(sdk, CHAT, input="two", conversation=conversation).conversation is not None


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_while_a_request_is_under_way_others_are_refused(
    stream: bool, own_proxy: Proxy, sdk: openai.OpenAI, provider: Provider
) -> None:
    """F: paulgmiller/careme, issue 379; community.openai.com, topics 1367791 and 1355268."""
    conversation = made(sdk, "one")
    provider.script(Answer("slow", gate="slow"))

    async def both() -> Any:
        slow = asyncio.create_task(
            asyncio.to_thread(create, sdk, Manner("chat-model", stream), input="two", conversation=conversation)
        )
        await asyncio.to_thread(wait_until, lambda: provider.requests(), 30, "the first request", 0.05)
        for act in (
            lambda: create(sdk, CHAT, input="three", conversation=conversation),
            lambda: sdk.conversations.items.create(conversation, items=[message("three")]),
            lambda: sdk.conversations.items.delete(items_in(sdk, conversation)[0]["id"], conversation_id=conversation),
        ):
            assert await asyncio.to_thread(refused, act) == LOCKED
        assert said_in(sdk, conversation) == ["one"], "reading goes on"
        provider.release("slow")
        return await slow

    asyncio.run(both())
    create(sdk, CHAT, input="four", conversation=conversation)
    assert texts_of(provider.requests()[-1].conversation) == ["one", "two", "slow", "four"]


async def insist(act: Any) -> Any:
    """As the Agents SDK does, but for as long as it takes."""
    while True:
        try:
            return await act()
        except openai.BadRequestError as error:
            assert (error.response.status_code, error.response.json()) == LOCKED
            await asyncio.sleep(0.05)


def test_fifty_requests_at_once_are_all_in_it_each_after_all_before_it(
    own_proxy: Proxy, sdk: openai.OpenAI, provider: Provider
) -> None:
    conversation = made(sdk, "begin")

    async def all_at_once() -> None:
        async with openai.AsyncOpenAI(
            base_url=f"{own_proxy.url}/v1", api_key=ALICE, max_retries=0, timeout=300
        ) as client:

            async def ask(number: int) -> None:
                stream = number % 2 == 0
                reply = await insist(
                    lambda: client.responses.create(
                        model="chat-model", input=f"say {number}", conversation=conversation, stream=stream
                    )
                )
                if stream:
                    async for event in reply:
                        last = event
                    assert last.type == "response.completed"

            await asyncio.gather(*map(ask, range(AT_ONCE)))

    asyncio.run(all_at_once())
    told = said_in(sdk, conversation)
    assert told[0] == "begin" and len(told) == 1 + 2 * AT_ONCE
    assert sorted(told[1::2]) == sorted(f"say {number}" for number in range(AT_ONCE))
    sent = sorted((texts_of(request.conversation) for request in provider.requests()), key=len)
    assert sent == [told[: 2 + 2 * number] for number in range(AT_ONCE)], "none without those before it, none twice"


def test_fifty_additions_at_once_are_all_in_it_once(own_proxy: Proxy, sdk: openai.OpenAI) -> None:
    conversation = made(sdk)

    async def all_at_once() -> None:
        async with openai.AsyncOpenAI(
            base_url=f"{own_proxy.url}/v1", api_key=ALICE, max_retries=0, timeout=300
        ) as client:
            await asyncio.gather(
                *(
                    insist(
                        lambda number=number: client.conversations.items.create(
                            conversation, items=[message(f"{number} a"), message(f"{number} b")]
                        )
                    )
                    for number in range(AT_ONCE)
                )
            )

    asyncio.run(all_at_once())
    told = said_in(sdk, conversation)
    assert [text.split()[0] for text in told[::2]] == [text.split()[0] for text in told[1::2]], "a call's stay together"
    assert sorted(told) == sorted(f"{number} {part}" for number in range(AT_ONCE) for part in "ab")


def test_adding_to_a_thousand_items_costs_two_commands_and_no_byte_of_them(
    own_proxy: Proxy, sdk: openai.OpenAI, own_redis: RedisServer, provider: Provider
) -> None:
    conversation = made(sdk)
    for start in range(0, 1_000, 20):
        sdk.conversations.items.create(
            conversation, items=[message(f"{start + number} {'word ' * 100}") for number in range(20)]
        )
    with own_redis.client() as redis:
        start, end = moved_bytes(redis), moved_bytes(redis)
        sdk.conversations.items.create(conversation, items=[message("one more")])
        cost = moved_bytes(redis) - end - (end - start)  # without what asking for it moves
    with monitored(own_redis.host, own_redis.port) as seen:
        sdk.conversations.items.create(conversation, items=[message("one more")])
        sdk.conversations.items.list(conversation)
        (newest,) = sdk.conversations.items.list(conversation, limit=1).data
        create(sdk, CHAT, input="two", conversation=conversation)
    assert texts_in([newest.to_dict()]) == ["one more"]
    print(f"adding one item to 1,000: 2 commands, {cost} bytes to and from Redis")
    assert seen.of_ours == ["EVALSHA"] * (2 + 1 + 1 + 2)
    assert cost < 3_000
    assert len(said_in(sdk, conversation)) == 1_004


def moved_bytes(redis: Redis) -> int:
    """What Redis has got and given until now."""
    stats = redis.info("stats")
    return int(stats["total_net_input_bytes"]) + int(stats["total_net_output_bytes"])


def test_a_redis_that_is_away_refuses_and_loses_nothing_that_was_confirmed(
    own_proxy: Proxy, sdk: openai.OpenAI, own_redis: RedisServer, provider: Provider
) -> None:
    conversation = made(sdk, "one")
    confirmed = ["one"]
    own_redis.pause()
    try:
        for act in (
            lambda: sdk.conversations.retrieve(conversation),
            lambda: sdk.conversations.items.create(conversation, items=[message("lost")]),
            lambda: sdk.conversations.items.list(conversation),
            lambda: made(sdk),
        ):
            status, body = refused(act)
            assert (status, body["error"]["code"]) == (503, "conversation_unavailable")
        for stream in (False, True):
            status, body = refused(
                lambda: create(sdk, Manner("chat-model", stream), input="lost", conversation=conversation)  # noqa: B023
            )
            assert (status, body["error"]["code"], body["error"]["param"]) == (
                503,
                "conversation_unavailable",
                "conversation",
            )
        assert not provider.requests(), "no answer without the history"
    finally:
        own_redis.resume()
    wait_until(lambda: _is_served(sdk, conversation), 30, "Redis", 0.2)
    # What was sent while nobody answered may still have come in: it was not confirmed, and is whole.
    told = said_in(sdk, conversation)
    assert [text for text in told if text != "lost"] == confirmed

    async def taken_away_meanwhile() -> Any:
        provider.script(Answer("answered", gate="away"))
        asked = asyncio.create_task(asyncio.to_thread(create, sdk, CHAT, input="in between", conversation=conversation))
        await asyncio.to_thread(wait_until, lambda: provider.requests(), 30, "the request", 0.05)
        own_redis.pause()
        provider.release("away")
        return await asked

    try:
        response = asyncio.run(taken_away_meanwhile())
    finally:
        own_redis.resume()
    assert (response.output_text, response.conversation) == ("answered", None)
    wait_until(lambda: _is_served(sdk, conversation), 30, "Redis", 0.2)


def _is_served(sdk: openai.OpenAI, conversation: str) -> bool:
    try:
        return bool(sdk.conversations.update(conversation, metadata={}))  # reading and storing
    except openai.APIStatusError:
        return False


def test_a_proxy_that_is_killed_takes_nothing_along_and_holds_nothing_for_long(
    own_options: ProxyOptions, own_proxy: Proxy, sdk: openai.OpenAI, provider: Provider
) -> None:
    conversation = made(sdk, "one")
    with ExitStack() as stack:
        mortal = stack.enter_context(Proxy(replace(own_options)))
        other = stack.enter_context(openai_client(mortal, ALICE))
        create(other, CHAT, input="two", conversation=conversation)
        provider.script(Answer("never", gate="never"))

        async def killed() -> None:
            asked = asyncio.create_task(
                asyncio.to_thread(create, other, CHAT, input="three", conversation=conversation)
            )
            await asyncio.to_thread(wait_until, lambda: len(provider.requests()) == 2, 30, "the request", 0.05)
            assert (
                await asyncio.to_thread(refused, lambda: create(sdk, CHAT, input="x", conversation=conversation))
                == LOCKED
            )
            mortal.kill()
            with pytest.raises(openai.APIConnectionError):
                await asked

        asyncio.run(killed())
        provider.release("never")
        began = time.monotonic()
        wait_until(lambda: _goes_on(sdk, conversation), HOLD_SECONDS + 20, "the end of the hold", 0.5)
        print(f"free again {time.monotonic() - began:.0f} s after the proxy was killed")
    told = said_in(sdk, conversation)
    assert told[:2] == ["one", "two"] and told[3] == "four" and len(told) == 5
    assert texts_of(provider.requests()[-1].conversation) == told[:4]


def _goes_on(sdk: openai.OpenAI, conversation: str) -> bool:
    try:
        create(sdk, CHAT, input="four", conversation=conversation)
    except openai.BadRequestError as error:
        assert (error.response.status_code, error.response.json()) == LOCKED
        return False
    return True
