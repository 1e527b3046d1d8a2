"""Proxies that die, end, differ: what a client was told is stored, and served by whichever proxy is asked."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from redis import Redis

from lab.answers import Answer
from lab.client import AsyncResponsesClient
from lab.lines import HttpLine, Manner
from lab.load import Teller
from lab.player import FAILED, FIRST, LOST, WHOLE, Player, Turn
from lab.processes import wait_until
from lab.provider import Provider
from lab.proxy import Proxy, ProxyOptions
from lab.redis_server import RedisServer
from lab.stored import living_responses
from lab.trees import BUILD, tree
from tests.deploy.versions import ALSO_TESTED
from tests.e2e.conftest import with_environment
from tests.e2e.sizes import LONG

pytestmark = pytest.mark.xdist_group("processes")

CONVERSATIONS = 60 if LONG else 16
STREAMS = 100 if LONG else 20
SHORT_SECONDS = 4
PLAIN_AND_STREAM = (Manner(), Manner(stream=True))


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


def tellers_on(
    client: AsyncResponsesClient, provider: Provider, tags: Iterator[int], manners: Sequence[Manner]
) -> list[Teller]:
    return [Teller(Player(HttpLine(client, manner), provider, tags, as_text=True)) for manner in manners]


async def begin(client: AsyncResponsesClient, provider: Provider, tags: Iterator[int]) -> list[Teller]:
    """So many conversations with a first turn each."""
    tellers = tellers_on(client, provider, tags, [PLAIN_AND_STREAM[number % 2] for number in range(CONVERSATIONS)])
    check(await asyncio.gather(*(teller.ask() for teller in tellers)), FIRST)
    return tellers


async def follow(client: AsyncResponsesClient, tellers: list[Teller]) -> list[Turn]:
    """A turn in each conversation, through this client."""
    for teller in tellers:
        teller.player = replace(teller.player, line=replace(teller.player.line, client=client))
    return await asyncio.gather(*(teller.ask() for teller in tellers))


def check(turns: Sequence[Turn], verdict: str) -> None:
    others = [turn for turn in turns if turn.verdict != verdict]
    assert not others, f"{len(others)} of {len(turns)} are not {verdict}; the first: {others[0].report}"


async def test_what_a_killed_proxy_had_answered_its_successor_knows(
    options: ProxyOptions, started: ExitStack, provider: Provider, next_tag: Iterator[int]
) -> None:
    """Turns that it was killed in are asked again; they follow what was answered before."""
    (proxy,) = start(started, options)
    async with AsyncResponsesClient(proxy.url, proxy.key, CONVERSATIONS) as client:
        tellers = await begin(client, provider, next_tag)
        asking = asyncio.ensure_future(follow(client, tellers))
        answered = len(provider.requests())
        while len(provider.requests()) < answered + CONVERSATIONS // 3:  # under way, in every state
            await asyncio.sleep(0.001)
        proxy.kill()
        verdicts = Counter(turn.verdict for turn in await asking)
    assert verdicts[FAILED] and not verdicts.keys() - {WHOLE, FAILED}
    (successor,) = start(started, options)
    async with AsyncResponsesClient(successor.url, successor.key) as client:
        for _ in range(2):
            check(await follow(client, tellers), WHOLE)


async def test_streams_that_a_proxy_ends_with_are_remembered(
    options: ProxyOptions, started: ExitStack, provider: Provider, next_tag: Iterator[int]
) -> None:
    """SIGTERM while they run: they are finished, and another proxy goes on with them."""
    ending, other = start(started, options, options)
    gate = f"gate-{next(next_tag)}"
    provider.always(Answer("one two three", gate=gate))
    async with AsyncResponsesClient(ending.url, ending.key, STREAMS) as client:
        streams = tellers_on(client, provider, next_tag, [Manner(stream=True)] * STREAMS)
        asking = asyncio.gather(*(stream.ask() for stream in streams))
        while len(provider.requests()) < STREAMS:
            await asyncio.sleep(0.01)
        ending.signal(signal.SIGTERM)
        while is_listening(ending):
            await asyncio.sleep(0.01)
        provider.release(gate)
        check(await asking, FIRST)
    async with AsyncResponsesClient(other.url, other.key) as client:
        check(await follow(client, streams), WHOLE)


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
        tellers = await begin(clients[0], provider, tags)
        for number in range(1, turns):
            check(await follow(clients[number % len(clients)], tellers), WHOLE)


async def test_a_shorter_time_to_live_never_shortens_what_another_proxy_gave(
    options: ProxyOptions, started: ExitStack, provider: Provider, next_tag: Iterator[int], redis: Redis
) -> None:
    long, short = start(started, options, with_environment(options, REDIS_SESSION_PATCH_TTL=str(SHORT_SECONDS)))
    async with (
        AsyncResponsesClient(long.url, long.key) as of_long,
        AsyncResponsesClient(short.url, short.key) as of_short,
    ):
        kept = await begin(of_long, provider, next_tag)
        firsts = [teller.last for teller in kept]
        before = set(living_responses(redis))
        brief = await begin(of_short, provider, next_tag)
        begun = set(living_responses(redis)) - before
        prolonged = await begin(of_short, provider, next_tag)
        check(await follow(of_short, kept), WHOLE)
        check(await follow(of_long, prolonged), WHOLE)
        # What only the short one has touched ends by itself.
        await asyncio.to_thread(wait_until, lambda: begun.isdisjoint(living_responses(redis)), 60, "their end of life")
        check(await follow(of_long, brief), LOST)
        check(await follow(of_long, prolonged), WHOLE)
        for teller, first in zip(kept, firsts, strict=True):
            teller.last = first
        check(await follow(of_long, kept), WHOLE)
