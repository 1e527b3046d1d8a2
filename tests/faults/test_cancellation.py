"""Clients that leave at any moment: no half turn is ever served, and nothing of the proxy or of Redis is used up."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
import re
from collections import Counter
from collections.abc import Iterator

import pytest
from redis import Redis

from lab.client import AsyncResponsesClient
from lab.load import Load, Plan
from lab.player import FIRST, WHOLE
from lab.processes import wait_until
from lab.provider import Provider
from lab.proxy import Proxy
from lab.stored import living_responses
from lab.trial import our_lines
from lab.ways import Way
from lab.wire import Conversation
from tests.e2e.sizes import LONG

REQUESTS = 10_000 if LONG else 300
AT_ONCE = 12
CONNECTIONS_OF_ITS_OWN = 20  # the README's, and one or two that look at it
QUIET_SECONDS = 60


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marked = [pytest.param("url", marks=pytest.mark.xdist_group("cancellation"))]
    metafunc.parametrize("way", marked, indirect=True, scope="session")


@pytest.fixture
def redis(way: Way) -> Iterator[Redis]:
    with way.client() as client:
        client.flushall()
        yield client


async def ask_and_leave(
    client: AsyncResponsesClient, tag: int, previous: str | None, chance: random.Random, patience_seconds: float
) -> str | None:
    """The id of a reply that came in time; None when the client had gone by then."""
    asking = client.responses(
        "chat-model", f"What about {tag}?", chance.random() < 0.5, tag=tag, previous_response_id=previous
    )
    with contextlib.suppress(asyncio.TimeoutError):
        reply = await asyncio.wait_for(asking, chance.random() * patience_seconds)
        assert reply.status == 200 and not reply.broken, reply
        return reply.id
    return None


async def leave_often(client: AsyncResponsesClient, tags: Iterator[int], patience_seconds: float) -> Counter[str]:
    """Conversations of clients that often do not wait for the answer; then they ask the same again."""
    chance, counts = random.Random(1), Counter()

    async def converse() -> None:
        previous = None
        while counts["asked"] < REQUESTS:
            counts["asked"] += 1
            came = await ask_and_leave(client, next(tags), previous, chance, patience_seconds)
            counts["left"] += came is None
            previous = came or (previous if chance.random() < 0.9 else None)

    await asyncio.gather(*(converse() for _ in range(AT_ONCE)))
    return counts


async def latency_of(client: AsyncResponsesClient, provider: Provider, tags: Iterator[int]) -> float:
    """The seconds that a request takes here, under the load to come."""
    async with Load(client, provider, tags, AT_ONCE, Plan(2, 0)) as load:
        await asyncio.sleep(2)
    seconds = sorted(each.seconds for each in load.asked)
    return seconds[len(seconds) // 2]


async def test_clients_that_leave_leave_nothing_half_done(
    way: Way, way_proxy: Proxy, provider: Provider, next_tag: Iterator[int], redis: Redis
) -> None:
    logged = len(our_lines(way_proxy))
    async with AsyncResponsesClient(way_proxy.url, way_proxy.key, AT_ONCE) as client:
        patience = 2 * await latency_of(client, provider, next_tag)
        counts = await leave_often(client, next_tag, patience)
    assert counts["left"] > counts["asked"] // 10, counts
    async with AsyncResponsesClient(way_proxy.url, way_proxy.key, AT_ONCE) as client:
        wait_for_quiet(redis)
        checked = await check_every_response(client, provider, next_tag, redis)
        print(f"{counts}, {checked} responses whole")
        # Places and connections are all there: more than there are, at once, and none is lost.
        async with Load(client, provider, next_tag, 2 * AT_ONCE, Plan(3, 0)) as load:
            await asyncio.sleep(2)
    assert {each.verdict for each in load.asked} == {FIRST, WHOLE}, [each for each in load.asked if each.detail]
    assert len(redis.client_list()) <= CONNECTIONS_OF_ITS_OWN
    assert our_lines(way_proxy)[logged:] == []


def wait_for_quiet(redis: Redis) -> None:
    """Until the proxy has done what clients have left it with."""
    seen: list[int] = []

    def is_quiet() -> bool:
        asked = (redis.info("commandstats").get(f"cmdstat_{name}", {}) for name in ("eval", "evalsha"))
        seen.append(sum(each.get("calls", 0) for each in asked) + redis.dbsize())
        return len(seen) > 20 and len(set(seen[-20:])) == 1

    wait_until(is_quiet, QUIET_SECONDS, "quiet", 0.05)


async def check_every_response(
    client: AsyncResponsesClient, provider: Provider, tags: Iterator[int], redis: Redis
) -> int:
    """Each response that is stored, also one whose id no client ever saw, goes on whole. How many there were."""
    responses = list(living_responses(redis))
    for response_id in responses:
        tag = next(tags)
        reply = await client.responses("chat-model", "And?", tag=tag, previous_response_id=response_id)
        assert reply.status == 200, reply
        (request,) = provider.take(tag)
        check_is_whole(request.conversation)
    assert responses
    return len(responses)


def check_is_whole(conversation: Conversation) -> None:
    """The stand-in's answers are digests of all before them, so nothing can be missing, or out of its place."""
    assert len(conversation) >= 3 and conversation[-1].texts == ("And?",), conversation
    for number, message in enumerate(conversation[:-1]):
        if message.role == "assistant":
            digest = hashlib.sha256(repr(conversation[:number]).encode()).hexdigest()[:16]
            assert message.texts == (f"answer-{digest}",), (number, conversation)
        else:
            assert re.fullmatch(r"What about \d+\?", message.text), conversation
