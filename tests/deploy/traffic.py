"""Proxies behind a balancer, replaced one by one as a rolling update does, and clients that talk all the while."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count

import httpx

from lab.answers import Answer
from lab.client import ResponsesClient
from lab.processes import wait_until
from lab.proxy import MASTER_KEY, MODELS, Proxy
from lab.recording import Recorded, default_answer

PRE_STOP_SECONDS = 1.0  # of the manifests' 15: here nobody has to hear of it
ANSWER_SECONDS = 0.3  # so that there is always a request under way
CLIENTS = 4
TURNS = 12
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


@dataclass(frozen=True)
class Asked:
    """One request: in which phase it began, in which its conversation did, whether it succeeded, and for a follow-up
    whether the model knew.
    """

    phase: str
    conversation_phase: str
    stream: bool
    turn: int
    failure: str | None
    knew: bool


class Traffic:
    """Conversations of TURNS turns, plain and streams in turn, each follow-up at once."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._asked: list[Asked] = []
        self._ends = threading.Event()
        self._threads = [threading.Thread(target=self._talk, daemon=True) for _ in range(CLIENTS)]
        self._phase = "start"

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        for thread in self._threads:
            thread.join()

    @contextmanager
    def phase(self, name: str, at_least: int = 0) -> Iterator[None]:
        """Requests that begin inside are of this phase; it lasts until there are so many."""
        self._phase = name
        yield
        wait_until(lambda: len(self.asked(name)) >= at_least, WAIT_SECONDS, f"{at_least} requests of {name}")
        self._phase = f"after {name}"

    def asked(self, phase: str) -> list[Asked]:
        return [each for each in tuple(self._asked) if each.phase == phase]

    def _talk(self) -> None:
        while not self._ends.is_set():
            self._hold_conversation()

    def _hold_conversation(self) -> None:
        number, previous, began = random.randrange(100_000, 1_000_000), None, self._phase
        for turn in count():
            if turn == TURNS or self._ends.is_set():
                return
            text = "What is my favourite number?" if turn else f"My favourite number is {number}. Say OK."
            phase, stream = self._phase, turn % 2 == 1
            previous, failure, answer = self._ask(text, stream, previous)
            self._asked.append(Asked(phase, began, stream, turn, failure, str(number) in answer))
            if failure:
                return

    def _ask(self, text: str, stream: bool, previous: str | None) -> tuple[str | None, str | None, str]:
        """The id for the next turn, what failed, what was answered."""
        try:
            with ResponsesClient(self._fleet.choose(), MASTER_KEY) as client:
                reply = client.responses(random.choice(MODELS), text, stream, previous_response_id=previous)
        except httpx.HTTPError as error:
            return None, repr(error), ""
        if reply.status != 200 or reply.broken or (stream and reply.events[-1]["type"] != "response.completed"):
            return None, f"{reply.status}, broken: {reply.broken}, {str(reply.body)[:200]}", ""
        return reply.id, None, reply.text


def failures(asked: list[Asked]) -> list[Asked]:
    return [each for each in asked if each.failure]


def forgotten(asked: list[Asked], *without: str) -> list[Asked]:
    """`without`: conversations that began in these phases are left out."""
    return [each for each in asked if each.turn and not each.knew and each.conversation_phase not in without]
