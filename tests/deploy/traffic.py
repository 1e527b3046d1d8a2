"""Proxies behind a balancer, replaced one by one as a rolling update does, and clients that talk all the while."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from lab.answers import Answer
from lab.client import AsyncResponsesClient, Reply
from lab.conversations import tags
from lab.lines import Manner
from lab.load import Asked, Load, Plan
from lab.player import FAILED, LOST, WRONG
from lab.processes import wait_until
from lab.provider import Provider
from lab.proxy import MASTER_KEY, MODELS, Proxy
from lab.recording import Recorded, default_answer

PRE_STOP_SECONDS = 4.0  # of the manifests' 15; a client of a busy machine takes some from its choice to its request
ANSWER_SECONDS = 0.3  # so that there is always a request under way
CLIENTS = 4
PLAN = Plan(12, 0, tuple(Manner(model, stream) for model in MODELS for stream in (False, True)))
WAIT_SECONDS = 120

Make = Callable[[], Proxy]


def answer_slowly(request: Recorded) -> Answer:
    return replace(default_answer(request), delay_seconds=ANSWER_SECONDS)


class Fleet:
    """Clients choose among those in rotation, for each request anew. `make` gives a proxy that is not started."""

    def __init__(self, make: Make, size: int = 2) -> None:
        self._proxies = [make() for _ in range(size)]
        self._rotation: list[Proxy] = []
        self._ended_logs: list[str] = []

    def __enter__(self) -> Fleet:
        try:
            for proxy in self._proxies:
                proxy.start()
            for proxy in self._proxies:
                self._rotation.append(proxy.wait_until_ready())
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for proxy in self._proxies:
            proxy.stop()

    def choose(self) -> str:
        return random.choice(self._rotation).url

    def roll(self, make: Make, takes_out_first: bool = True) -> list[Proxy]:
        """Replace each: the new one comes first; the old one is taken out and given time, then told to end.

        `takes_out_first`: False tells it to end while requests still come, as without a preStop hook.
        """
        for old in list(self._rotation):
            new = make()
            self._proxies.append(new.start())
            self._rotation.append(new.wait_until_ready())
            if takes_out_first:
                self._rotation.remove(old)
                time.sleep(PRE_STOP_SECONDS)
                self._end(old)
            else:
                self._end(old)
                time.sleep(PRE_STOP_SECONDS)
                self._rotation.remove(old)
            self._proxies.remove(old)
        return list(self._rotation)

    def _end(self, proxy: Proxy) -> None:
        self._ended_logs.append(proxy.log_text())  # its folder goes with it
        proxy.stop()

    def tracebacks(self) -> str:
        """What the proxies' logs have, to explain a failure."""
        logs = [*self._ended_logs, *(proxy.log_text() for proxy in self._proxies)]
        return "\n".join(log[log.index("Traceback") :][:6000] for log in logs if "Traceback" in log)


class AnyOf:
    """A client whose every request goes to another proxy of a fleet, as a balancer's do."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    async def responses(self, *arguments: Any, **params: Any) -> Reply:
        async with AsyncResponsesClient(self._fleet.choose(), MASTER_KEY) as client:
            return await client.responses(*arguments, **params)


class Traffic:
    """Conversations through a fleet, on a thread of their own; each follow-up comes at once."""

    def __init__(self, fleet: Fleet, provider: Provider) -> None:
        self._load = Load(AnyOf(fleet), provider, tags(), CLIENTS, PLAN)
        self._ends = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._play()), daemon=True)
        self._phases: list[tuple[float, str]] = [(0, "start")]

    async def _play(self) -> None:
        async with self._load:
            await asyncio.to_thread(self._ends.wait)

    def __enter__(self) -> Traffic:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()

    @contextmanager
    def phase(self, name: str, at_least: int = 0) -> Iterator[None]:
        """Requests that begin inside are of this phase; it lasts until there are so many."""
        self._phases.append((time.monotonic(), name))
        yield
        wait_until(lambda: len(self.asked(name)) >= at_least, WAIT_SECONDS, f"{at_least} requests of {name}")
        self._phases.append((time.monotonic(), f"after {name}"))

    def asked(self, phase: str) -> list[Asked]:
        return [each for each in tuple(self._load.asked) if self._phase_at(each.started) == phase]

    def failures(self, phase: str) -> list[Asked]:
        """Those without an answer, and those whose history was neither whole nor lost; but for a race of LiteLLM's."""
        bad = (each for each in self.asked(phase) if each.verdict in (FAILED, WRONG))
        return [each for each in bad if not each.is_of_litellm]

    def forgotten(self, phase: str, *without: str) -> list[Asked]:
        """`without`: conversations that began in these phases are left out."""
        lost = (each for each in self.asked(phase) if each.verdict == LOST)
        return [each for each in lost if self._phase_at(each.began) not in without]

    def _phase_at(self, moment: float) -> str:
        return next(name for since, name in reversed(self._phases) if since <= moment)
