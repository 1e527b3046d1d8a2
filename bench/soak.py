"""Mixed traffic for long, with something happening to Redis every few seconds, each answer checked.

    python -m bench.soak --minutes 30 --way url

Plain requests, streams and WebSockets, with tools and without, over all wire formats. What must be remembered is known:
a conversation that no fault touched, all of it; any other, whole or nothing. Writes `bench/results/soak.json`, a point
a second, and a plot. Ends with 1 when a request failed, a history was wrong, or one was lost without a fault; then the
proxy's log is in `.build/soak.log`. A crash of LiteLLM's own ends what is judged.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from lab.client import AsyncResponsesClient
from lab.conversations import tags
from lab.faults import Fault
from lab.lines import Manner
from lab.load import Asked, Load, Plan
from lab.memory import resident_bytes
from lab.player import FAILED, LOST, WRONG
from lab.provider import Provider
from lab.proxy import MODELS, Proxy
from lab.trees import BUILD, installed_release, tree
from lab.trial import hundredths, our_lines
from lab.ways import WAYS, Way

from .before_after import RESULTS
from .faults import FAULTS, faults_of
from .soak_plot import plot

MANNERS = tuple(
    Manner(model, **form, has_tools=has_tools)
    for model in MODELS
    for form in ({}, {"stream": True}, {"socket": True})
    for has_tools in (False, True)
)
PLAN = Plan(turns=6, pause_seconds=0.5, manners=MANNERS)
AT_ONCE = 4
LEAST_REQUESTS = 300
# After a fault's end a breaker may stay open so long; until then nothing need be remembered.
RECOVERY_SECONDS = 15


@dataclass(frozen=True)
class Spell:
    """A fault as it happened, in seconds of the soak."""

    fault: Fault
    began: float
    ended: float

    def excuses(self, began: float, ended: float) -> bool:
        """Whether a history may be lost of what was stored and read between these times."""
        return not self.fault.keeps and began <= self.ended + RECOVERY_SECONDS and ended >= self.began


async def make_trouble(proxy: Proxy, way: Way, seconds: float, every: float, started: float, seed: int) -> list[Spell]:
    """A fault every so many seconds, for a part of them, until so many seconds have passed or the proxy has ended."""
    chance, spells = random.Random(seed), []
    faults = faults_of(way, list(FAULTS))
    while proxy.is_running() and time.monotonic() - started + every < seconds:
        await asyncio.sleep(every * chance.uniform(0.3, 0.6))
        fault = chance.choice(faults)
        happening = fault.happen(way)
        began = time.monotonic()
        await asyncio.to_thread(happening.__enter__)
        try:
            await asyncio.sleep(every * chance.uniform(0.2, 0.4))
        finally:
            await asyncio.to_thread(happening.__exit__, None, None, None)
        spells.append(Spell(fault, began - started, time.monotonic() - started))
        print(f"{spells[-1].began:7.1f} s  {fault.name}", file=sys.stderr, flush=True)
    if proxy.is_running():
        await asyncio.sleep(max(0.0, started + seconds - time.monotonic()))
    return spells


async def watch(proxy: Proxy, started: float) -> list[dict]:
    """The memory of the proxy and of Redis, a point a second, until cancelled."""
    points: list[dict] = []
    with contextlib.suppress(asyncio.CancelledError):
        while True:
            second = round(time.monotonic() - started, 1)
            held = await asyncio.to_thread(resident_bytes, proxy.pid)
            points.append({"second": second, "proxy_mb": round(held / 1e6, 1)})
            await asyncio.sleep(1)
    return points


async def soak(proxy: Proxy, provider: Provider, way: Way, seconds: float, every: float, seed: int) -> dict:
    async with AsyncResponsesClient(proxy.url, proxy.key, AT_ONCE) as client:
        for manner in MANNERS:  # warm
            await Load(client, provider, tags(), plan=Plan(2, 0, (manner,))).converse()
        started = time.monotonic()
        watching = asyncio.ensure_future(watch(proxy, started))
        async with Load(client, provider, tags(1_000_000), AT_ONCE, PLAN, seed) as load:
            spells = await make_trouble(proxy, way, seconds, every, started, seed)
        watching.cancel()
        points = [point for point in await watching if point["proxy_mb"]]
        return result_of(load.asked, spells, points, started, our_lines(proxy), proxy.exit_code)


def result_of(
    asked: list[Asked],
    spells: list[Spell],
    points: list[dict],
    started: float,
    lines: list[str],
    exit_code: int | None = None,
) -> dict:
    """Totals, the series and all that is bad. `exit_code`: of a proxy that ended by itself; of LiteLLM's own crash
    (README, "Limits") nothing is judged that ended after the last point before it.
    """
    crashed_at = points[-1]["second"] if exit_code == -signal.SIGSEGV else None
    if crashed_at is not None:
        asked = [each for each in asked if each.ended - started <= crashed_at]
    lost = [each for each in asked if each.verdict == LOST and not is_excused(each, asked, spells, started)]
    bad = [each for each in asked if each.verdict in (FAILED, WRONG)] + lost
    of_litellm = [each for each in bad if each.is_of_litellm]
    bad = [each for each in bad if each not in of_litellm]
    held = [point["proxy_mb"] for point in points]
    problems = [f"{each.started - started:.1f} s, {each.manner}, {each.verdict}: {each.detail}" for each in bad[:50]]
    if len(asked) < LEAST_REQUESTS:
        problems.append(f"{len(asked)} requests say nothing, at least {LEAST_REQUESTS} do")
    return {
        "crashed_at_second": crashed_at,
        "release": installed_release(),
        "seconds": round(points[-1]["second"]),
        "requests": len(asked),
        "verdicts": dict(Counter(each.verdict for each in asked)),
        "lost_without_a_fault": len(lost),
        "failed_by_litellm_s_own_race": len(of_litellm),
        "by_manner": {str(m): dict(Counter(e.verdict for e in asked if e.manner == m)) for m in MANNERS},
        "latency_ms": {f"p{n}": value for n, value in hundredths(asked).items()},
        "proxy_mb": {"after a tenth": held[len(held) // 10], "at the end": held[-1], "most": max(held)},
        "log_lines": len(lines),
        "faults": [
            {"fault": each.fault.name, "began": round(each.began, 1), "ended": round(each.ended, 1)} for each in spells
        ],
        "bad": problems,
        "series": [{**point, **second_of(asked, started, point["second"])} for point in points],
    }


def is_excused(lost: Asked, asked: list[Asked], spells: list[Spell], started: float) -> bool:
    """Whether a fault touched the turn that lost its history, or the one before, which may not have been stored."""
    before = [each.started for each in asked if each.began == lost.began and each.turn < lost.turn]
    since = max(before, default=lost.started)
    return any(spell.excuses(since - started, lost.ended - started) for spell in spells)


def second_of(asked: list[Asked], started: float, second: float) -> dict:
    ended = [each for each in asked if second - 1 < each.ended - started <= second]
    return {
        "requests": len(ended),
        "lost": sum(each.verdict == LOST for each in ended),
        "worst_ms": round(max((1000 * each.seconds for each in ended), default=0)),
    }


def one_line_each(result: dict) -> str:
    """As JSON with a line a name: a series is thousands of values."""
    return "{\n" + ",\n".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in result.items()) + "\n}\n"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--every", type=float, default=20, help="seconds from fault to fault (20)")
    parser.add_argument("--way", default="url", choices=WAYS)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--file", type=Path, default=RESULTS / "soak.json", help="the data; the plot stands beside it")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", file=sys.stderr)
    with contextlib.ExitStack() as stack:
        provider, way = stack.enter_context(Provider()), stack.enter_context(WAYS[arguments.way]())
        proxy = stack.enter_context(Proxy(way.options(provider.url, tree("patched"))))
        work = soak(proxy, provider, way, 60 * arguments.minutes, arguments.every, arguments.seed)
        result = {"way": way.name, "seed": arguments.seed, **asyncio.run(work)}
        if result["bad"]:
            (BUILD / "soak.log").write_text(proxy.log_text())
    arguments.file.parent.mkdir(parents=True, exist_ok=True)
    arguments.file.write_text(one_line_each(result))
    arguments.file.with_suffix(".svg").write_text(plot(result))
    print(json.dumps({name: value for name, value in result.items() if name not in ("series", "faults")}, indent=1))
    return 1 if result["bad"] else 0


if __name__ == "__main__":
    sys.exit(main())
