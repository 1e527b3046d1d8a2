"""What the patch costs: requests a second and latency, on against off in one run, and bytes in Redis.

    python -m bench.overhead --requests 1600

Runs in the environment of the LiteLLM to be measured. Patched and pristine proxy take turns in short rounds, so that
both meet the same machine; what is compared is the ratio. Half of the requests are first turns, half second turns: by
`previous_response_id` with the patch, with the whole conversation sent without it, so that the provider gets the same.
Writes `bench/results/overhead.json` and `.md`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import sys
import time
from collections.abc import Iterator

from redis import Redis

from lab.client import AsyncResponsesClient
from lab.conversations import tags
from lab.provider import Provider
from lab.proxy import Proxy, ProxyOptions
from lab.redis_server import RedisServer
from lab.trees import installed_release, tree

from .before_after import RESULTS

MODEL = "chat-model"
AT_ONCE = 8
ROUNDS = 8
TURNS = 50
TEXT = "Some words of a usual length, as people write them. " * 4


async def one_conversation(
    client: AsyncResponsesClient, patched: bool, stream: bool, numbers: Iterator[int]
) -> list[float]:
    """The seconds of a first and of a second turn."""
    first_text, second_text = (f"{next(numbers)} {TEXT}" for _ in range(2))
    started = time.perf_counter()
    first = await client.responses(MODEL, first_text, stream)
    between = time.perf_counter()
    if patched:
        second = await client.responses(MODEL, second_text, stream, previous_response_id=first.id)
    else:
        texts = (("user", first_text), ("assistant", first.text), ("user", second_text))
        second = await client.responses(MODEL, [{"role": role, "content": text} for role, text in texts], stream)
    if first.status != 200 or second.status != 200:
        raise RuntimeError(f"a request failed: {first.body} {second.body}")
    return [between - started, time.perf_counter() - between]


async def one_round(
    client: AsyncResponsesClient, patched: bool, conversations: int, numbers: Iterator[int]
) -> tuple[list[float], list[float], float]:
    """The latencies of plain requests and of streams, and the seconds the round took."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> list[float]:
        async with places:
            return await one_conversation(client, patched, number % 2 == 0, numbers)

    started = time.perf_counter()
    done = await asyncio.gather(*(one(number) for number in range(conversations)))
    took = time.perf_counter() - started
    plain, streams = ([seconds for each in done[first::2] for seconds in each] for first in (1, 0))
    return plain, streams, took


async def compare(patched: Proxy, pristine: Proxy, requests: int) -> dict:
    numbers = tags()
    per_round = max(1, requests // 2 // ROUNDS)
    plain: dict[bool, list[float]] = {True: [], False: []}
    streams: dict[bool, list[float]] = {True: [], False: []}
    rates: dict[bool, list[float]] = {True: [], False: []}
    async with (
        AsyncResponsesClient(patched.url, patched.key, AT_ONCE) as with_patch,
        AsyncResponsesClient(pristine.url, pristine.key, AT_ONCE) as without_patch,
    ):
        sides = ((True, with_patch), (False, without_patch))
        for side, client in sides:
            await one_round(client, side, AT_ONCE, numbers)  # warm
        for number in range(ROUNDS):
            for side, client in sides if number % 2 else sides[::-1]:
                of_plain, of_streams, took = await one_round(client, side, per_round, numbers)
                plain[side] += of_plain
                streams[side] += of_streams
                rates[side].append((len(of_plain) + len(of_streams)) / took)
    return {
        name: {
            "requests": len(plain[side]) + len(streams[side]),
            "requests_per_second": round(statistics.median(rates[side]), 1),
            **numbers_of("plain", plain[side]),
            **numbers_of("stream", streams[side]),
        }
        for name, side in (("on", True), ("off", False))
    }


def numbers_of(kind: str, latencies: list[float]) -> dict[str, float]:
    hundredths = statistics.quantiles(latencies, n=100)
    return {f"{kind}_p50_ms": round(1000 * hundredths[49], 1), f"{kind}_p99_ms": round(1000 * hundredths[98], 1)}


async def bytes_by_turn(proxy: Proxy, redis: Redis) -> list[int]:
    """Redis's own count of what one conversation takes, after each of its turns."""
    redis.flushall()
    counts, previous = [], None
    async with AsyncResponsesClient(proxy.url, proxy.key) as client:
        for number in range(TURNS):
            reply = await client.responses(MODEL, f"{number} {TEXT}", previous_response_id=previous)
            previous = reply.id
            counts.append(sum(redis.memory_usage(key, samples=0) for key in redis.scan_iter("litellm_patch:*")))
    return counts


def table(result: dict) -> str:
    on, off, sizes = result["on"], result["off"], result["bytes_by_turn"]
    rows = [
        f"| {label} | {off[name]} | {on[name]} | {on[name] / off[name]:.2f} |"
        for label, name in (
            ("requests a second", "requests_per_second"),
            ("plain, p50, ms", "plain_p50_ms"),
            ("plain, p99, ms", "plain_p99_ms"),
            ("stream, p50, ms", "stream_p50_ms"),
            ("stream, p99, ms", "stream_p99_ms"),
        )
    ]
    turns = " / ".join(f"{turn}: {sizes[turn - 1]:,}" for turn in (1, 10, 20, 30, 40, 50))
    return (
        f"litellm {result['release']}, {on['requests']} requests each, {AT_ONCE} at once, half of them streams; the"
        f" provider answers at once.\n\n| | off | on | on ÷ off |\n|---|---|---|---|\n"
        + "\n".join(rows)
        + f"\n\nBytes in Redis of one conversation by its turns ({len(TEXT)} characters asked a turn): {turns}.\n"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.overhead", description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=1_600, metavar="N", help="for each side (1600)")
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        provider = stack.enter_context(Provider())
        server = stack.enter_context(RedisServer())
        proxies = [
            Proxy(ProxyOptions(provider.url, tree("patched"), server.environment)),
            Proxy(ProxyOptions(provider.url, tree("pristine"))),
        ]
        for proxy in proxies:
            stack.callback(proxy.stop)
            proxy.start()
        patched, pristine = (proxy.wait_until_ready() for proxy in proxies)
        result = {"release": installed_release(), **asyncio.run(compare(patched, pristine, arguments.requests))}
        result["bytes_by_turn"] = asyncio.run(bytes_by_turn(patched, stack.enter_context(Redis.from_url(server.url))))
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "overhead.json").write_text(json.dumps(result, indent=1) + "\n")
    (RESULTS / "overhead.md").write_text(table(result))
    print(table(result), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
