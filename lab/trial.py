"""A load while something happens to Redis: what became of the requests before, during and after."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass

from .client import AsyncResponsesClient
from .faults import Fault
from .load import PLAN, Asked, Load, Plan
from .player import FAILED, FIRST, LOST, WHOLE, WRONG
from .processes import ProcessFailed
from .proxy import Proxy
from .recording import ProviderState
from .ways import Way

OUR_LOGGER = "litellm.redis_session_patch:"
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Spans:
    """Seconds of load before, during and after; `back_seconds`: to wait at most until it remembers again."""

    before: float = 3.0
    during: float = 5.0
    after: float = 1.0
    back_seconds: float = 90.0


SPANS = Spans()


@dataclass(frozen=True)
class Trial:
    """What was asked, and when (`time.monotonic`) the fault began and ended.

    back_seconds: until all was remembered again, from the fault's end; of one that heals, from its begin.
    log_lines: ours, from the fault's begin on.
    """

    asked: tuple[Asked, ...]
    began: float
    ended: float
    back_seconds: float | None
    log_lines: tuple[str, ...]

    @property
    def before(self) -> list[Asked]:
        return [each for each in self.asked if each.ended < self.began]

    @property
    def during(self) -> list[Asked]:
        """All that any part of the fault may have touched."""
        return [each for each in self.asked if each.ended >= self.began and each.started < self.ended]

    @property
    def after(self) -> list[Asked]:
        return [each for each in self.asked if each.started >= self.ended]

    def of(self, verdict: str) -> list[Asked]:
        return [each for each in self.asked if each.verdict == verdict]

    def figures(self) -> dict:
        """Counts, and the milliseconds added: by the fault, and by its last third (settled)."""
        settled = [each for each in self.during if each.started > self.ended - (self.ended - self.began) / 3]
        base = hundredths(self.before)
        return {
            "requests": len(self.asked),
            "during": len(self.during),
            "failed": len(self.of(FAILED)),
            "wrong": len(self.of(WRONG)),
            "whole": sum(each.verdict == WHOLE for each in self.during),
            "lost": sum(each.verdict == LOST for each in self.during),
            "base_p50_ms": base[50],
            "base_p99_ms": base[99],
            **{f"added_p{n}_ms": round(value - base[n], 1) for n, value in hundredths(self.during).items()},
            **{f"settled_p{n}_ms": round(value - base[n], 1) for n, value in hundredths(settled).items()},
            "worst_ms": round(max((1000 * each.seconds for each in self.during), default=0)),
            "back_after_seconds": None if self.back_seconds is None else round(max(0.0, self.back_seconds), 1),
            "log_lines": len(self.log_lines),
        }


def hundredths(asked: list[Asked]) -> dict[int, float]:
    if len(asked) < 2:
        return {50: 0.0, 99: 0.0}
    cuts = statistics.quantiles([1000 * each.seconds for each in asked], n=100, method="inclusive")
    return {n: round(cuts[n - 1], 1) for n in (50, 99)}


def back_at(asked: list[Asked], since: float, turns: int) -> float | None:
    """When the first conversation began, after `since`, that was remembered to its end, as all later ones were."""
    later: dict[float, list[Asked]] = {}
    for each in asked:
        if each.began >= since:
            later.setdefault(each.began, []).append(each)
    whole_since: float | None = None
    for began, played in sorted(later.items(), reverse=True):
        if any(each.verdict not in (FIRST, WHOLE) for each in played):
            break
        if len(played) == turns:
            whole_since = began
    return whole_since


async def try_fault(
    proxy: Proxy,
    provider: ProviderState,
    tags: Iterator[int],
    fault: Fault,
    way: Way,
    spans: Spans = SPANS,
    plan: Plan = PLAN,
    at_once: int = 3,
    remembers: bool = True,
) -> Trial:
    """`remembers`: whether this proxy does at all. Raises ProcessFailed if it never does again."""

    async def wait_until_back(since: float) -> float | None:
        deadline = time.monotonic() + spans.back_seconds
        while remembers and (back := back_at(load.asked, since, plan.turns)) is None:
            if time.monotonic() > deadline:
                lines = "\n".join(our_lines(proxy)[logged:])
                raise ProcessFailed(f"{fault.name}: nothing is remembered {spans.back_seconds:.0f} s later.\n{lines}")
            await asyncio.sleep(POLL_SECONDS)
        return back - since if remembers else None

    happening = fault.happen(way)
    async with AsyncResponsesClient(proxy.url, proxy.key, at_once) as client:
        await Load(client, provider, tags, plan=plan).converse()  # warm
        async with Load(client, provider, tags, at_once, plan) as load:
            await asyncio.sleep(spans.before)
            logged = len(our_lines(proxy))
            began = time.monotonic()
            await asyncio.to_thread(happening.__enter__)
            try:
                await asyncio.sleep(spans.during)
                healed = await wait_until_back(began) if fault.heals else None
            finally:
                await asyncio.to_thread(happening.__exit__, None, None, None)
            ended = time.monotonic()
            back = await wait_until_back(ended)
            await asyncio.sleep(spans.after)
    asked = tuple(sorted(load.asked, key=lambda each: each.started))
    return Trial(asked, began, ended, healed if fault.heals else back, tuple(our_lines(proxy)[logged:]))


def our_lines(proxy: Proxy) -> list[str]:
    return [line for line in proxy.log_text().splitlines() if OUR_LOGGER in line]
