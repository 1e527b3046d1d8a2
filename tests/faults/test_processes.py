"""Proxies that die, end, differ: what a client was told is stored, and served by whichever proxy is asked."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from redis import Redis

from lab.answers import Answer
from lab.client import AsyncResponsesClient
from lab.lines import HttpLine, Manner
from lab.load import FAILED, FIRST, LOST, WHOLE, Teller, answered_by
from lab.processes import wait_until
from lab.provider import Provider
from lab.proxy import Proxy, ProxyOptions
from lab.redis_server import RedisServer
from lab.trees import BUILD, tree
from tests.deploy.versions import ALSO_TESTED
from tests.e2e.conftest import with_environment
from tests.e2e.sizes import LONG

pytestmark = pytest.mark.xdist_group("processes")

CONVERSATIONS = 60 if LONG else 16
STREAMS = 100 if LONG else 20
SHORT_SECONDS = 4
RECORDS = "litellm_patch:session:*"
PLAIN_AND_STREAM = (Manner(), Manner(form="stream"))


@pytest.fixture(scope="module")
def redis_of_processes() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def options(running_provider: Provider, redis_of_processes: RedisServer) -> ProxyOptions:
    return ProxyOptions(running_provider.url, tree("patched"), {"REDIS_SESSION_PATCH_URL": redis_of_processes.url})


@pytest.fixture
def redis(redis_of_processes: RedisServer) -> Iterator[Redis]:
    with Redis.from_url(redis_of_processes.url) as client:
        yield client


@pytest.fixture
def started() -> Iterator[ExitStack]:
    """Proxies that are entered here end with the test."""
    with ExitStack() as stack:
        yield stack


def start(stack: ExitStack, *all_options: ProxyOptions, releases: tuple[str | None, ...] = (None,)) -> list[Proxy]:
    proxies = [Proxy(each, release) for each, release in zip(all_options, releases * len(all_options), strict=False)]
    for proxy in proxies:
        stack.callback(proxy.stop)
        proxy.start()
    return [proxy.wait_until_ready() for proxy in proxies]


async def begin(client: AsyncResponsesClient, provider: Provider, tags: Iterator[int], count: int) -> list[Teller]:
    """So many conversations with a first turn each."""
    manners = [PLAIN_AND_STREAM[number % 2] for number in range(count)]
    tellers = [Teller(HttpLine(client, manner), manner, provider) for manner in manners]
    verdicts = await asyncio.gather(*(teller.ask(next(tags)) for teller in tellers))
    assert {verdict for verdict, _ in verdicts} == {FIRST}, verdicts
    return tellers


async def follow(client: AsyncResponsesClient, tellers: list[Teller], tags: Iterator[int]) -> list[tuple[str, str]]:
    """A turn in each conversation, through this client."""
    for teller in tellers:
        teller.line = HttpLine(client, teller.manner)
    return await asyncio.gather(*(teller.ask(next(tags)) for teller in tellers))


async def test_what_a_killed_proxy_had_answered_its_successor_knows(
    options: ProxyOptions, started: ExitStack, provider: Provider, next_tag: Iterator[int]
) -> None:
    """Turns that it was killed in are asked again; they follow what was answered before."""
    (proxy,) = start(started, options)
    async with AsyncResponsesClient(proxy.url, proxy.key, CONVERSATIONS) as client:
        tellers = await begin(client, provider, next_tag, CONVERSATIONS)
        asking = asyncio.ensure_future(follow(client, tellers, next_tag))
        answered = len(provider.requests())
        while len(provider.requests()) < answered + CONVERSATIONS // 3:  # under way, in every state
            await asyncio.sleep(0.001)
        proxy.kill()
        verdicts = Counter(verdict for verdict, _ in await asking)
    assert verdicts[FAILED] and not verdicts.keys() - {WHOLE, FAILED}
    (successor,) = start(started, options)
    async with AsyncResponsesClient(successor.url, successor.key) as client:
        for _ in range(2):
            later = await follow(client, tellers, next_tag)
            assert {verdict for verdict, _ in later} == {WHOLE}, later


async def test_streams_that_a_proxy_ends_with_are_remembered(
    options: ProxyOptions, started: ExitStack, provider: Provider, next_tag: Iterator[int]
) -> None:
    """SIGTERM while they run: they are finished, and another proxy goes on with them."""
    ending, other = start(started, options, options)
    gate = f"gate-{next(next_tag)}"
    provider.always(Answer("one two three", gate=gate))
    async with AsyncResponsesClient(ending.url, ending.key, STREAMS) as client:
        streams = [Teller(HttpLine(client, manner), manner, provider) for manner in [Manner(form="stream")] * STREAMS]
        asking = asyncio.gather(*(stream.ask(next(next_tag)) for stream in streams))
        while len(provider.requests()) < STREAMS:
            await asyncio.sleep(0.01)
        ending.signal(signal.SIGTERM)
        while is_listening(ending):
            await asyncio.sleep(0.01)
        provider.release(gate)
        verdicts = await asking
    assert {verdict for verdict, _ in verdicts} == {FIRST}, verdicts
    async with AsyncResponsesClient(other.url, other.key) as client:
        later = await follow(client, streams, next_tag)
    assert {verdict for verdict, _ in later} == {WHOLE}, later


def is_listening(proxy: Proxy) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", proxy.port)) == 0


async def test_two_releases_of_litellm_share_their_conversations(
    options: ProxyOptions, started: ExitStack, provider: Provider, next_tag: Iterator[int]
) -> None:
    venv = BUILD / ALSO_TESTED / "venv"
    (packages,) = venv.glob("lib/python*/site-packages")
    other = replace(options, tree=tree("patched", packages), python=venv / "bin" / "python")
    proxies = start(started, options, other, releases=(None, ALSO_TESTED))
    await alternate(proxies, provider, next_tag)


def clock_off_by(hours: int) -> dict[str, str]:
    """The environment of a process whose clock is wrong, while its timers run as they should."""
    (package,) = find_spec("libfaketime").submodule_search_locations
    (library,) = Path(package).rglob("libfaketime.so.1")
    return {"LD_PRELOAD": str(library), "FAKETIME": f"{hours:+d}h", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


async def test_proxies_whose_clocks_are_an_hour_apart_share_their_conversations(
    options: ProxyOptions, started: ExitStack, provider: Provider, next_tag: Iterator[int]
) -> None:
    ages = {"REDIS_SESSION_PATCH_MAX_AGE": "7200"}
    away = [with_environment(options, **ages, **clock_off_by(hours)) for hours in (0, 1)]
    proxies = start(started, *away)
    await alternate(proxies, provider, next_tag)


async def alternate(proxies: list[Proxy], provider: Provider, tags: Iterator[int], turns: int = 6) -> None:
    """Conversations whose every turn goes to another proxy than the one before."""
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(AsyncResponsesClient(each.url, each.key)) for each in proxies]
        tellers = await begin(clients[0], provider, tags, CONVERSATIONS)
        for number in range(1, turns):
            verdicts = await follow(clients[number % len(clients)], tellers, tags)
            assert {verdict for verdict, _ in verdicts} == {WHOLE}, verdicts


async def test_a_shorter_time_to_live_never_shortens_what_another_proxy_gave(
    options: ProxyOptions, started: ExitStack, provider: Provider, next_tag: Iterator[int], redis: Redis
) -> None:
    long, short = start(started, options, with_environment(options, REDIS_SESSION_PATCH_TTL=str(SHORT_SECONDS)))
    async with (
        AsyncResponsesClient(long.url, long.key) as of_long,
        AsyncResponsesClient(short.url, short.key) as of_short,
    ):
        kept = await begin(of_long, provider, next_tag, CONVERSATIONS)
        firsts = [teller.reply for teller in kept]
        before = set(redis.scan_iter(RECORDS))
        brief = await begin(of_short, provider, next_tag, CONVERSATIONS)
        records = set(redis.scan_iter(RECORDS)) - before
        prolonged = await begin(of_short, provider, next_tag, CONVERSATIONS)
        assert verdicts_of(await follow(of_short, kept, next_tag)) == {WHOLE}
        assert verdicts_of(await follow(of_long, prolonged, next_tag)) == {WHOLE}
        # What only the short one has touched ends by itself.
        await asyncio.to_thread(wait_until, lambda: not redis.exists(*records), 60, "their end of life")
        assert verdicts_of(await follow(of_long, brief, next_tag)) == {LOST}
        assert verdicts_of(await follow(of_long, prolonged, next_tag)) == {WHOLE}
        for teller, first in zip(kept, firsts, strict=True):
            teller.reply, teller.seen = first, (*teller.seen[:1], answered_by(first))
        assert verdicts_of(await follow(of_long, kept, next_tag)) == {WHOLE}


def verdicts_of(verdicts: list[tuple[str, str]]) -> set[str]:
    return {verdict for verdict, _ in verdicts}
