"""What the stand-in provider keeps: the requests it got, the answers it shall give, and the gates
they wait behind.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property

from .answers import Answer, Script
from .formats import FORMATS
from .issuing import issued_with, signed
from .refusing import OFF, RULES, Maker, Refusal, Sent, maker_of
from .wire import Conversation, asked_of, tidy

KEPT_HEADERS = (
    "authorization",
    "x-api-key",
    "x-goog-api-key",
    "anthropic-version",
    "anthropic-beta",
    "user-agent",
)
QUESTION = re.compile(r"what is my favou?rite number\?", re.IGNORECASE)
MODEL_IN_PATH = re.compile(r"/models/([^/:]+):")
STATEMENT = re.compile(r"my favou?rite number is (\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Recorded:
    """One model request as it came in.

    format: chat, anthropic or gemini.
    refused: the slug of the rule by which it was refused; None: it was taken.
    """

    sequence: int
    path: str
    format: str
    stream: bool
    headers: dict[str, str]
    body: dict
    refused: str | None = None

    @property
    def maker(self) -> Maker:
        return maker_of(self.path, self.format)

    @property
    def model(self) -> str:
        """As the provider is asked for it."""
        in_path = MODEL_IN_PATH.search(self.path)
        return in_path.group(1) if in_path else str(self.body.get("model", ""))

    @property
    def tag(self) -> int | None:
        return FORMATS[self.format].tag_of(self.body)

    @cached_property
    def conversation(self) -> Conversation:
        return self.conversation_as()

    def conversation_as(self, merge: bool = True, thinking: bool = False) -> Conversation:
        """The normal form of `lab.wire`."""
        parsed = FORMATS[self.format].parse(self.body)
        return tidy(parsed, merge=merge, thinking=thinking, ids=self.format != "gemini")

    @property
    def asked(self) -> str:
        return asked_of(self.conversation)

    def to_dict(self) -> dict:
        names = ("sequence", "path", "format", "stream", "headers", "body", "refused")
        return {name: getattr(self, name) for name in names}


def default_answer(request: Recorded) -> Answer:
    """A function of the request alone: the favourite number out of the history, or a digest of all
    that was sent.
    """
    if QUESTION.search(request.asked):
        said = [text for message in request.conversation if message.role == "user" for text in message.texts]
        numbers = [number for text in said for number in STATEMENT.findall(text)]
        return Answer(text=f"Your favourite number is {numbers[-1]}." if numbers else "I do not know.")
    digest = hashlib.sha256(repr(request.conversation).encode()).hexdigest()[:16]
    return Answer(text=f"answer-{digest}")


class ProviderState:
    """The script and the record; thread-safe. `responder`, when set, is asked before the script."""

    def __init__(self) -> None:
        self._script = Script()
        self._sequence = itertools.count(1)
        self._recorded: list[Recorded] = []
        self._recorded_by_tag: dict[int | None, list[Recorded]] = {}
        self._gates: dict[str, threading.Event] = {}
        self._issued: dict[str, set[tuple[str, str]]] = {format: set() for format in FORMATS}
        self._allowed: list[str] = list(OFF)
        self._lock = threading.Lock()
        self.responder: Callable[[Recorded], Answer | None] | None = None

    def script(self, *answers: Answer, when: str | None = None, tag: int | None = None) -> None:
        """Give each answer once, in order, to requests that match (regex over what is asked; tag;
        else any).
        """
        self._script.add(answers, when, tag, once=True)

    def always(self, answer: Answer, when: str | None = None, tag: int | None = None) -> None:
        self._script.add((answer,), when, tag, once=False)

    def requests(self, when: str | None = None, tag: int | None = None, since: int = 0) -> list[Recorded]:
        """Recorded requests in order of arrival; `since` is a sequence number that is left out
        itself.
        """
        with self._lock:
            among = self._recorded if tag is None else self._recorded_by_tag.get(tag, [])
            kept = [each for each in among if each.sequence > since]
        return [each for each in kept if re.search(when, each.asked)] if when else kept

    def last_sequence(self) -> int:
        """Of the newest request that is kept; 0 when there is none."""
        with self._lock:
            return self._recorded[-1].sequence if self._recorded else 0

    def take(self, tag: int) -> list[Recorded]:
        """The requests with this tag, which are not kept any longer: for a load that would fill the memory."""
        with self._lock:
            taken = self._recorded_by_tag.pop(tag, [])
            for each in taken:
                self._recorded.remove(each)
        return taken

    def clear(self) -> None:
        """Forget answers and requests, and open all gates. Sequence numbers go on, what was given out stays known."""
        self._script.clear()
        self.responder = None
        with self._lock:
            self._recorded.clear()
            self._recorded_by_tag.clear()
            gates, self._gates = self._gates, {}
        for gate in gates.values():
            gate.set()

    @contextmanager
    def allow(self, *slugs: str) -> Iterator[None]:
        """Turn these rules off inside. Raises KeyError for what is no rule's slug."""
        self.turn_off(*slugs)
        try:
            yield
        finally:
            self.turn_on(*slugs)

    def turn_off(self, *slugs: str) -> None:
        """Each is off until it was turned on as often. Raises KeyError for what is no rule's slug."""
        for slug in slugs:
            self._allowed.append(RULES[slug].slug)

    def turn_on(self, *slugs: str) -> None:
        for slug in slugs:
            self._allowed.remove(slug)

    def release(self, gate: str) -> None:
        """Let the answers behind this gate go, now and from now on."""
        self._gate(gate).set()

    def _gate(self, name: str) -> threading.Event:
        with self._lock:
            return self._gates.setdefault(name, threading.Event())

    def record(
        self, path: str, headers: Mapping[str, str], body: dict, format: str, stream: bool
    ) -> tuple[Recorded, Refusal | None]:
        """Keep the request, refused or not."""
        kept = {name: headers[name] for name in KEPT_HEADERS if name in headers}
        streamed = stream or bool(body.get("stream"))
        recorded = Recorded(next(self._sequence), path, format, streamed, kept, body)
        sent = Sent(body, recorded.model, kept.get("anthropic-beta", ""), self._issued[format])
        if refusal := recorded.maker.refusal_of(sent, self._allowed):
            recorded = replace(recorded, refused=refusal.slug)
        with self._lock:
            self._recorded.append(recorded)
            self._recorded_by_tag.setdefault(recorded.tag, []).append(recorded)
        return recorded, refusal

    def choose(self, recorded: Recorded) -> Answer:
        answer = self.responder(recorded) if self.responder else None
        answer = answer or self._script.pick(recorded.asked, recorded.tag) or default_answer(recorded)
        answer = signed(answer, recorded.format, recorded.model)
        self._issued[recorded.format].update(issued_with(answer, recorded.format))
        return answer

    async def wait_for(self, answer: Answer) -> None:
        if answer.delay_seconds:
            await asyncio.sleep(answer.delay_seconds)
        await self.pass_gate(answer.gate)

    async def pass_gate(self, name: str | None) -> None:
        gate = self._gate(name) if name else None
        while gate and not gate.is_set():
            await asyncio.sleep(0.01)
